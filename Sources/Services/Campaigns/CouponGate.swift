package import Commerce
package import Redis
package import Store

/// The gates of coupon campaigns in Redis: one function for each script that touches them.
package enum CouponGate {
    /// The place that the gate gave to a winner.
    package struct Place: Sendable, Equatable {
        package let sequence: Int64
        /// The time of the answer by Redis' clock.
        package let at: Instant
        package let epoch: Int64
    }

    /// The terms that a refusal rests on: those of the gate, which may differ from the store's.
    package struct RefusalTerms: Sendable, Equatable {
        package enum Reason: Sendable, Equatable {
            case soldOut(quantity: Int64)
            case notOpen(opensAt: Instant)
            case closed(closesAt: Instant)
        }

        package let reason: Reason
        /// The time of the answer by Redis' clock.
        package let at: Instant
        package let epoch: Int64
    }

    /// How the gate decided a claim.
    package enum Verdict: Sendable, Equatable {
        case claimed(Place)
        case alreadyClaimed(Place)
        case refused(RefusalTerms)
        /// The gate is being built; the build last wrote to it that many milliseconds ago, by Redis' clock.
        case paused(silenceMilliseconds: Int64)
        case notLoaded
        case damaged(epoch: Int64)
        /// The gate is of another store, or of another incarnation of this one.
        case otherStore
    }

    /// The greatest number of claims in one call of `claim_coupon`.
    static let claimsPerCall = 256

    /// Grants coupons to users in their order, before the window opens too.
    ///
    /// - Parameter users: at most ``claimsPerCall``.
    static func grant(
        _ coupon: CouponID, of store: StoreIdentity, to users: [UserID], through redis: RedisClient
    ) async throws -> [Verdict] {
        let arguments = [.string(store.description), "early"] + users.map { RedisArgument.integer($0.rawValue) }
        return try verdicts(
            try await redis.evaluate(Scripts.claimCoupon, keys: keys(coupon), arguments: arguments), count: users.count)
    }

    /// Decodes the reply of `claim_coupon` to a call with `count` user ids: one verdict for each, in the order of the ids.
    ///
    /// - Throws: `ServiceError` with code `internal` where the reply is not what the script's header says.
    package static func verdicts(_ reply: RedisValue, count: Int) throws(ServiceError) -> [Verdict] {
        guard case .array(let numbers) = reply, numbers.count == 4 * count else { throw Self.unknownAnswer }
        var verdicts: [Verdict] = []
        verdicts.reserveCapacity(count)
        for index in stride(from: 0, to: numbers.count, by: 4) {
            guard case .integer(let rawCode) = numbers[index], case .integer(let number) = numbers[index + 1],
                case .integer(let now) = numbers[index + 2], case .integer(let epoch) = numbers[index + 3],
                let code = ClaimCode(rawValue: rawCode)
            else { throw Self.unknownAnswer }
            let at = Instant(milliseconds: now)
            func refused(_ reason: RefusalTerms.Reason) -> Verdict { .refused(RefusalTerms(reason: reason, at: at, epoch: epoch)) }
            switch code {
            case .claimed: verdicts.append(.claimed(Place(sequence: number, at: at, epoch: epoch)))
            case .alreadyClaimed: verdicts.append(.alreadyClaimed(Place(sequence: number, at: at, epoch: epoch)))
            case .soldOut: verdicts.append(refused(.soldOut(quantity: number)))
            case .notOpen: verdicts.append(refused(.notOpen(opensAt: Instant(milliseconds: number))))
            case .closed: verdicts.append(refused(.closed(closesAt: Instant(milliseconds: number))))
            case .paused: verdicts.append(.paused(silenceMilliseconds: number))
            case .notLoaded: verdicts.append(.notLoaded)
            case .damaged: verdicts.append(.damaged(epoch: epoch))
            case .otherStore: verdicts.append(.otherStore)
            }
        }
        return verdicts
    }

    private static let unknownAnswer = ServiceError(.internal, "claim_coupon gave a reply that its header does not describe")

    /// What Redis holds of a gate. Recovery, builds and the audit read it.
    package struct GateState: Sendable, Equatable {
        package let isOpen: Bool
        package let quantity: Int64?
        package let remaining: Int64?
        package let sequence: Int64?
        package let opensAtMilliseconds: Int64?
        package let closesAtMilliseconds: Int64?
        package let epoch: Int64?
        package let claims: Int64
        /// How long ago a build last wrote to the gate, by Redis' clock; counted from 1970 where no build has.
        package let silenceMilliseconds: Int64
        /// The store that built the gate; nil for a gate of an earlier version.
        package let store: String?

        /// Whether the gate was built by this store, in its present incarnation. A gate of an earlier version counts as such.
        package func isOf(_ identity: StoreIdentity) -> Bool { store == nil || store == identity.description }

        /// Greater sequences count as damage: `load_claims` takes 15 digits, and further claims must fit too.
        private static let greatestSequence: Int64 = 100_000_000_000_000

        /// Whether window and quantity are those of the campaign.
        package func matches(_ terms: CampaignTerms) -> Bool {
            quantity == terms.quantity && opensAtMilliseconds == terms.opensAt.milliseconds
                && closesAtMilliseconds == (terms.closesAt?.milliseconds ?? 0)
        }

        /// Whether the numbers agree with one another: remaining = quantity - claims, and no sequence was lost.
        package var isConsistent: Bool {
            guard let quantity, let remaining, let sequence else { return false }
            // Another program may have written any number, so the subtraction may overflow.
            let (left, overflow) = quantity.subtractingReportingOverflow(claims)
            return !overflow && remaining == left && sequence >= claims && sequence < Self.greatestSequence
        }
    }

    /// Reads gates in one round trip, or one to each primary of a cluster; `nil` for one that is absent or not a hash.
    package static func states(of coupons: [CouponID], through redis: RedisClient) async throws -> [GateState?] {
        let isCluster = redis.configuration.endpoint.isCluster
        let replies = try await redis.pipeline(stateCommands(of: coupons, isCluster: isCluster))
        return try coupons.indices.map { index in
            try state(replies[2 * index], replies[2 * index + 1], time: replies[2 * coupons.count + (isCluster ? index : 0)])
        }
    }

    /// As ``states(of:through:)``, but of a cluster also while primaries are away: the gates that they hold are failures.
    ///
    /// - Throws: where a single server does not answer.
    static func readableStates(of coupons: [CouponID], through redis: RedisClient) async throws -> [Result<GateState?, any Error>] {
        guard redis.configuration.endpoint.isCluster else { return try await states(of: coupons, through: redis).map { .success($0) } }
        let replies = await redis.outcomes(of: stateCommands(of: coupons, isCluster: true))
        return coupons.indices.map { index in
            Result {
                try state(
                    try replies[2 * index].get(), try replies[2 * index + 1].get(), time: try replies[2 * coupons.count + index].get())
            }
        }
    }

    /// Two commands for each gate, and then `TIME` of the server; in a cluster, for each gate `TIME` of the primary that holds it.
    private static func stateCommands(of coupons: [CouponID], isCluster: Bool) -> [RedisCommand] {
        var commands: [RedisCommand] = []
        commands.reserveCapacity(3 * coupons.count)
        for coupon in coupons {
            commands.append(
                RedisCommand(
                    "HMGET", .string(RedisKeys.coupon(coupon)), "state", "quantity", "remaining", "sequence", "opensAt", "closesAt",
                    "epoch", "builtAt", "store", isRepeatable: true))
            commands.append(RedisCommand("ZCARD", .string(RedisKeys.claims(of: coupon)), isRepeatable: true))
        }
        for coupon in isCluster ? coupons[...] : coupons.prefix(1) {
            commands.append(RedisCommand("TIME", isRepeatable: true).beside(RedisKeys.coupon(coupon)))
        }
        return commands
    }

    private static func state(_ gate: RedisValue, _ claims: RedisValue, time: RedisValue) throws(ServiceError) -> GateState? {
        guard let time = time.array, time.count == 2, let seconds = time[0].integer, let microseconds = time[1].integer else {
            throw ServiceError(.internal, "TIME gave a reply of unknown form")
        }
        let now = seconds * 1_000 + microseconds / 1_000
        guard let fields = gate.array, fields.count == 9, let state = fields[0].string, case .integer(let claims) = claims
        else { return nil }
        return GateState(
            isOpen: state == "open", quantity: fields[1].integer, remaining: fields[2].integer, sequence: fields[3].integer,
            opensAtMilliseconds: fields[4].integer, closesAtMilliseconds: fields[5].integer, epoch: fields[6].integer, claims: claims,
            silenceMilliseconds: now - (fields[7].integer.flatMap { (0...now).contains($0) ? $0 : nil } ?? 0), store: fields[8].string)
    }

    /// One page of a gate's claims from a sequence on, in the order of their sequences.
    package static func claims(
        of coupon: CouponID, from sequence: Int64, limit: Int, through redis: RedisClient
    ) async throws -> [(user: UserID, sequence: Int64)] {
        claims(in: try await redis.send(claimsCommand(coupon, from: sequence, limit: limit)))
    }

    private static func claimsCommand(_ coupon: CouponID, from sequence: Int64, limit: Int) -> RedisCommand {
        RedisCommand(
            "ZRANGE", .string(RedisKeys.claims(of: coupon)), .integer(sequence), "+inf", "BYSCORE", "LIMIT", 0, .integer(Int64(limit)),
            "WITHSCORES", isRepeatable: true)
    }

    private static func claims(in reply: RedisValue) -> [(user: UserID, sequence: Int64)] {
        guard let elements = reply.array else { return [] }
        return stride(from: 0, to: elements.count - 1, by: 2).map { index in
            // A member that is not a user id becomes user 0, who does not exist.
            (UserID(elements[index].integer ?? 0), elements[index + 1].integer ?? 0)
        }
    }

    /// Reads all users who have a place at a gate, page by page.
    static func holders(of coupon: CouponID, through redis: RedisConnection) async throws -> HolderSet {
        var (holders, next): ([UserID], Int64) = ([], 1)
        while true {
            let page = claims(in: try await redis.send(claimsCommand(coupon, from: next, limit: claimsPerLoad)))
            holders += page.lazy.map(\.user)
            guard let last = page.last, page.count == claimsPerLoad else { return HolderSet(holders) }
            // A score that is no whole number reads as sequence 0. Without this check the same page would be read for ever.
            guard last.sequence >= next else { throw ServiceError(.internal, "the claims of coupon \(coupon) are not in order") }
            next = last.sequence + 1
        }
    }

    /// Starts the build of a campaign's gate: pauses it under the campaign's epoch.
    ///
    /// - Returns: false where a gate of the same or a later epoch exists.
    static func load(_ campaign: Campaign, of store: StoreIdentity, through redis: RedisClient) async throws -> Bool {
        let terms = campaign.terms
        let reply = try await redis.evaluate(
            Scripts.loadCoupon, keys: keys(campaign.id),
            arguments: [
                .integer(campaign.epoch), .integer(terms.quantity), .integer(terms.opensAt.milliseconds),
                .integer(terms.closesAt?.milliseconds ?? 0), .string(store.description),
            ])
        return try ScriptAnswer<LoadCode>(reply, of: Scripts.loadCoupon).code == .loading
    }

    /// The claims in one call of `load_claims`. Each takes two arguments, and Lua's stack limits these to about 8,000.
    static let claimsPerLoad = 2_000

    /// Adds claims to a gate that is being built.
    static func load(
        _ claims: [(user: UserID, sequence: Int64)], into coupon: CouponID, epoch: Int64, through redis: RedisClient
    ) async throws -> LoadClaimsCode {
        var arguments: [RedisArgument] = [.integer(epoch)]
        arguments.reserveCapacity(1 + 2 * claims.count)
        for claim in claims {
            arguments.append(.integer(claim.sequence))
            arguments.append(.integer(claim.user.rawValue))
        }
        let reply = try await redis.evaluate(Scripts.loadClaims, keys: keys(coupon), arguments: arguments)
        return try ScriptAnswer<LoadClaimsCode>(reply, of: Scripts.loadClaims).code
    }

    /// Opens a gate whose build has loaded that many claims.
    static func open(_ coupon: CouponID, epoch: Int64, claims: Int64, through redis: RedisClient) async throws -> OpenCode {
        let reply = try await redis.evaluate(Scripts.openCoupon, keys: keys(coupon), arguments: [.integer(epoch), .integer(claims)])
        return try ScriptAnswer<OpenCode>(reply, of: Scripts.openCoupon).code
    }

    /// The result of giving a gate a new quantity or window.
    enum Adjustment: Sendable, Equatable {
        case adjusted
        case belowIssued(claims: Int64)
        case notLoaded
    }

    /// Gives an open gate of the store the quantity and window of the terms.
    static func adjust(_ coupon: CouponID, of store: StoreIdentity, to terms: CampaignTerms, through redis: RedisClient) async throws
        -> Adjustment
    {
        let reply = try await redis.evaluate(
            Scripts.adjustCoupon, keys: keys(coupon),
            arguments: [
                .integer(terms.quantity), .integer(terms.opensAt.milliseconds), .integer(terms.closesAt?.milliseconds ?? 0),
                .string(store.description),
            ])
        let answer = try ScriptAnswer<AdjustCode>(reply, of: Scripts.adjustCoupon)
        switch answer.code {
        case .adjusted: return .adjusted
        case .belowIssued: return .belowIssued(claims: answer.number(1))
        // The build that follows replaces a gate of another store, or throws where that is not allowed.
        case .notLoaded, .paused, .otherStore: return .notLoaded
        }
    }

    static func keys(_ coupon: CouponID) -> [RedisArgument] {
        [.string(RedisKeys.coupon(coupon)), .string(RedisKeys.claims(of: coupon))]
    }
}
