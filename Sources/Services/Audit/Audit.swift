package import Commerce
package import Redis
package import Store

/// Checks every invariant (guide *Architecture*) over store and Redis, also beside a running service.
///
/// Requests in flight make store and Redis differ for a moment. So a difference counts as a violation only where 12 looks all find it.
package struct Audit: Sendable {
    private let store: TransactionalStore
    private let redis: RedisClient
    private let calendar: BusinessCalendar
    private let clock: WallClock

    /// How many looks must find a difference before it counts.
    private static let looks = 12
    /// The pause between two looks. All together take longer than any claim or payment in flight.
    var pause: Duration = .milliseconds(250)
    private static let claimsPerStep = 10_000
    private static let gatesPerStep = 200
    /// The greatest number of violations that one check lists.
    private static let namedViolations = 100

    package init(store: TransactionalStore, redis: RedisClient, calendar: BusinessCalendar, clock: WallClock) {
        (self.store, self.redis, self.calendar, self.clock) = (store, redis, calendar, clock)
    }

    /// Runs every check.
    ///
    /// - Parameter progress: is called with what is checked next.
    package func run(progress: @escaping @Sendable (String) -> Void = { _ in }) async throws -> AuditReport {
        let results = try await store.audit { done, all in progress("the store, rule \(done) of \(all)") }
        var checks = results.map { result in
            AuditReport.Check(
                invariant: result.invariant, claim: result.claim, rowsChecked: result.rowsChecked, violationCount: result.violationCount,
                violations: result.violations)
        }
        progress("gates in Redis")
        checks += try await gateChecks()
        progress("sales in Redis")
        checks.append(try await salesCheck())
        checks.append(try await ownerCheck(expectsRows: checks.contains { $0.isOfRedis && ($0.rowsChecked > 0 || $0.expectsRows) }))
        return AuditReport(checks: checks.sorted { $0.invariant < $1.invariant })
    }

    /// The result of a check of Redis. The fault ``nothing`` is no violation; it means that Redis lacks what the check should have seen.
    private func check(_ invariant: Int, _ claim: String, rows: Int64, _ faults: [String]) -> AuditReport.Check {
        let violations = faults.filter { $0 != Self.nothing }
        return AuditReport.Check(
            invariant: invariant, claim: claim, rowsChecked: rows, expectsRows: violations.count < faults.count,
            violationCount: Int64(violations.count), violations: Array(violations.prefix(Self.namedViolations)))
    }

    /// The fault of a look that found rows in the store and nothing in Redis to compare them with.
    private static let nothing = "nothing"
}

// MARK: - Invariant 3: gates against issued coupons

extension Audit {
    private func gateChecks() async throws -> [AuditReport.Check] {
        let campaigns = try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() }
        let numbers = try await lastingFaults { try await gateFaults() }
        let archived = try await lastingFaults { try await archivalFaults() }
        var claims: (rows: Int64, faults: [String]) = (0, [])
        for campaign in campaigns {
            // Once all looks have found one campaign's gate missing, another missing gate needs no further looks.
            let found = try await lastingFaults(known: claims.faults.contains(Self.nothing)) { try await claimFaults(of: campaign) }
            claims.rows += found.rows
            claims.faults += found.faults
        }
        return [
            check(
                3, "every gate in Redis has the quantity and window of its campaign, and remaining = quantity - claims", rows: numbers.rows,
                numbers.faults),
            check(3, "the claims in Redis are the issued coupons of the store", rows: claims.rows, claims.faults),
            check(3, "no archived campaign has a gate in Redis", rows: archived.rows, archived.faults),
        ]
    }

    /// Repeats a look while it finds faults, 12 times at most, and returns the faults that every look has found.
    ///
    /// - Parameter known: whether ``nothing`` was found to last before, so that it needs no further looks.
    private func lastingFaults(
        known isNothingKnown: Bool = false, _ look: () async throws -> (rows: Int64, faults: Set<String>)
    ) async throws -> (rows: Int64, faults: [String]) {
        var (rows, suspects) = try await look()
        for _ in 1..<Self.looks where !suspects.isEmpty && !(isNothingKnown && suspects == [Self.nothing]) {
            try await Task.sleep(for: pause)
            let again = try await look()
            suspects.formIntersection(again.faults)
            rows = max(rows, again.rows)
        }
        return (rows, suspects.sorted())
    }

    private func gateFaults() async throws -> (rows: Int64, faults: Set<String>) {
        let campaigns = try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() }
        var (rows, faults): (Int64, Set<String>) = (0, [])
        for start in stride(from: 0, to: campaigns.count, by: Self.gatesPerStep) {
            let chunk = campaigns[start..<min(start + Self.gatesPerStep, campaigns.count)]
            let states = try await CouponGate.states(of: chunk.map(\.id), through: redis)
            for (campaign, gate) in zip(chunk, states) {
                // A missing gate is no fault: it decides nothing, and the next claim or recovery builds it from the store.
                guard let gate else { continue }
                rows += 1
                if !gate.isOf(store.identity) { faults.insert("coupon \(campaign.id): the gate is of another store") }
                if !gate.isOpen { faults.insert("coupon \(campaign.id): the gate is paused") }
                if gate.isOpen, !gate.isConsistent {
                    faults.insert("coupon \(campaign.id): remaining, sequence and claims do not agree")
                }
                if !gate.matches(campaign.terms) {
                    faults.insert("coupon \(campaign.id): quantity or window differ from the store")
                }
            }
        }
        if rows == 0, campaigns.contains(where: needsGate) { faults.insert(Self.nothing) }
        return (rows, faults)
    }

    private func needsGate(_ campaign: Campaign) -> Bool { !campaign.isArchived && campaign.status(at: clock.now) != .closed }

    /// Finds keys of archived campaigns, of any Redis type.
    private func archivalFaults() async throws -> (rows: Int64, faults: Set<String>) {
        let campaigns = try await store.snapshot { snapshot throws(StoreError) in try snapshot.archivedCampaigns() }
        var faults: Set<String> = []
        for start in stride(from: 0, to: campaigns.count, by: Self.gatesPerStep) {
            let chunk = campaigns[start..<min(start + Self.gatesPerStep, campaigns.count)]
            let replies = try await redis.pipeline(
                chunk.map { RedisCommand(words: ["EXISTS"] + CouponGate.keys($0), isRepeatable: true) })
            for (campaign, reply) in zip(chunk, replies) where reply.integer != 0 {
                faults.insert("coupon \(campaign): the campaign is archived, and its gate is still in Redis")
            }
        }
        return (Int64(campaigns.count), faults)
    }

    private func claimFaults(of campaign: Campaign) async throws -> (rows: Int64, faults: Set<String>) {
        let coupon = campaign.id
        // The store is read first: a claim that it has then must be in Redis.
        var stored: [Int64: UserID] = [:]
        for try await page in store.claimPages(of: coupon, size: Self.claimsPerStep) {
            for claim in page { stored[claim.sequence] = claim.userID }
        }
        let rows = Int64(stored.count)
        guard try await CouponGate.states(of: [coupon], through: redis)[0] != nil else {
            return (0, rows > 0 && needsGate(campaign) ? [Self.nothing] : [])
        }
        var faults: Set<String> = []
        for try await page in CouponGate.claimPages(of: coupon, size: Self.claimsPerStep, through: redis) {
            for claim in page where stored.removeValue(forKey: claim.sequence) != claim.user {
                faults.insert("coupon \(coupon): user \(claim.user) has sequence \(claim.sequence) in Redis and not in the store")
            }
        }
        for (sequence, user) in stored {
            faults.insert("coupon \(coupon): user \(user) has sequence \(sequence) in the store and not in Redis")
        }
        return (rows, faults)
    }
}

// MARK: - Invariant 7: day scores against the units of the events that Redis says it has counted

extension Audit {
    private func salesCheck() async throws -> AuditReport.Check {
        let claim = "the day scores in Redis are the units of the store up to the last event counted"
        let (rows, faults) = try await lastingFaults { try await salesFaults() }
        return check(7, claim, rows: rows, faults)
    }

    private func salesFaults() async throws -> (rows: Int64, faults: Set<String>) {
        let days = RankingDays.all(until: calendar.day(of: clock.now))
        let read = { (day: BusinessDay) in
            RedisCommand("ZRANGE", .string(RedisKeys.sales(on: day)), 0, -1, "WITHSCORES", isRepeatable: true)
        }
        let offset = RedisCommand("GET", .string(RedisKeys.applied), isRepeatable: true)
        let replies = try await redis.pipeline([offset] + days.map(read) + [offset])
        // The units up to the event that Redis has counted last; all units where Redis has counted none.
        let (totals, last) = try await store.snapshot { [offset = replies[0].integer] snapshot throws(StoreError) in
            var totals: [[ProductUnits]] = []
            for day in days { totals.append(try snapshot.salesTotals(on: day, through: offset.map { EventID($0) })) }
            return (totals, try snapshot.lastEventID())
        }
        // Without an offset nothing is counted: the relay rebuilds the days before it counts further events.
        guard let applied = replies[0].integer else { return (0, totals.allSatisfy(\.isEmpty) ? [] : [Self.nothing]) }
        guard replies[days.count + 1].integer == applied else { return (0, ["events were counted while the scores were read"]) }
        var faults: Set<String> = []
        if applied > last.rawValue { faults.insert("Redis has counted event \(applied), and the last one is \(last)") }
        var rows: Int64 = 0
        for (index, day) in days.enumerated() {
            var scores: [Int64: Int64] = [:]
            let elements = replies[index + 1].array ?? []
            for position in stride(from: 0, to: elements.count - 1, by: 2) {
                scores[elements[position].integer ?? 0] = elements[position + 1].integer ?? .min
            }
            for line in totals[index] where scores.removeValue(forKey: line.productID.rawValue) != line.units {
                faults.insert("\(day): product \(line.productID) sold \(line.units) units by the store, and another number by Redis")
            }
            for (product, units) in scores {
                faults.insert("\(day): product \(product) has \(units) units in Redis and none in the store")
            }
            rows += Int64(totals[index].count)
        }
        return (rows, faults)
    }
}

// MARK: - Invariant 3: the store that Redis serves

extension Audit {
    /// Checks the name of the store that Redis serves. A client that asks for admission is not connected to another store's Redis at all,
    /// so only a client without it, or a change of the name meanwhile, gets here.
    private func ownerCheck(expectsRows: Bool) async throws -> AuditReport.Check {
        let name = try await redis.send(RedisCommand("GET", .string(RedisKeys.store), isRepeatable: true)).string
        let faults = name.map {
            $0 == store.identity.description ? [] : ["it serves \(StoreIdentity.words($0)), not \(store.identity.words)"]
        }
        return check(
            3, "Redis serves this store, in its present incarnation", rows: name == nil ? 0 : 1,
            faults ?? (expectsRows ? [Self.nothing] : []))
    }
}

extension AuditReport.Check {
    fileprivate var isOfRedis: Bool { invariant == 3 || invariant == 7 }
}
