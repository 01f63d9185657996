import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

/// Brings gates and store together again after crashes of either side: claims that only Redis knows get their row, gates that miss
/// claims of the store are rebuilt, and gates of campaigns that ended long ago are removed.
///
/// Runs at start, after every reconnect and on a timer. It reads live campaigns only; two runs at once do no harm, nor do those of
/// several services.
final class ClaimRecovery: Sendable {
    let store: TransactionalStore
    let redis: RedisClient
    private let campaigns: Campaigns
    private let clock: WallClock
    private let archiveAfterMilliseconds: Int64
    let logger: Logger
    let state = Mutex(State())
    private let compared = Atomic<Int>(0)

    struct State {
        /// Open campaigns without an open gate of the store's epoch when last looked at; nil before the first look.
        var unloaded: Set<CouponID>?
        /// Campaigns, open and closed, whose gate was not compared with the store in full yet; nil before the first look.
        var uncompared: Set<CouponID>?
        /// The open campaigns when last looked at.
        var open: Set<CouponID> = []
        /// Whether gates of archived campaigns that an older state of Redis has brought back were removed.
        var hasRemovedArchivedGates = false
        /// Campaigns that the last run could not recover.
        var failing: Set<CouponID> = []
        var verified: [CouponID: Verified] = [:]
        /// Rises with each reconnect: what was read of Redis before says nothing about the one that answers now.
        var generation: UInt64 = 0
    }

    /// A prefix of a campaign's claims that gate and store were seen to share. Claims under way come after it.
    struct Verified {
        var epoch: Int64
        /// All claims up to this sequence match.
        var sequence: Int64 = 0
        /// Number of claims up to `sequence`.
        var count: Int64 = 0
    }

    typealias GrantedClaim = (user: UserID, sequence: Int64)
    typealias Gate = CouponGate.GateState

    /// Gates read in one round trip, campaigns archived in one commit, and claims compared in one step.
    static let gatesPerRead = 200
    private static let claimsPerStep = 5_000
    /// Campaigns recovered side by side.
    private static let recoveredAtOnce = 16
    /// Claims written together, so that they share commits.
    private static let writesAtOnce = 256
    /// Gates of archived campaigns that an older snapshot of Redis may bring back: those archived within a week, the newest 10,000. An
    /// operator who restores an older snapshot than that finds the rest with `firstcome audit`.
    static let archivedMilliseconds: Int64 = 7 * 86_400_000
    static let archivedLimit = 10_000

    init(
        store: TransactionalStore, redis: RedisClient, campaigns: Campaigns, clock: WallClock, archiveAfter: Duration,
        logger: Logger
    ) {
        (self.store, self.redis, self.campaigns, self.clock, self.logger) = (store, redis, campaigns, clock, logger)
        let (seconds, attoseconds) = archiveAfter.components
        archiveAfterMilliseconds = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }

    /// Open campaigns without an open gate of the store's epoch when last looked at; `nil` before the first look.
    var unloadedCampaigns: [CouponID]? { state.withLock { $0.unloaded?.sorted() } }

    /// How many open campaigns are still to be compared in full since the start or the last reconnect; `nil` before the first look.
    var uncomparedCampaigns: Int? {
        state.withLock { state in state.uncompared.map { $0.count { state.open.contains($0) } } }
    }

    /// Claims of gates and of the store read so far to compare them.
    var comparedClaims: Int { compared.load(ordering: .relaxed) }

    /// After a reconnect: what was read of one Redis says nothing about the one that answers now.
    func forgetStates() {
        state.withLock { $0 = State(generation: $0.generation + 1) }
    }

    /// Looks at every live campaign, the open ones first: they have a gate before anything else is read.
    ///
    /// A claim without a row may be on its way to the store just now, and its claimant is owed the 201 that goes with writing it.
    /// So such claims get `grace` before they are written here; none is needed while nobody can claim.
    ///
    /// - Parameter deep: compares all claims also where their number agrees. The first look after a start or a reconnect is deep anyway.
    func run(deep: Bool, grace: Duration = .zero) async throws {
        // The store first: every claim that it shows has passed the gate, so the gate must know it.
        let live = try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() }
        let now = clock.now
        let limit = now.advanced(byMilliseconds: -archiveAfterMilliseconds) ?? Instant(milliseconds: 0)
        let isDue = { (campaign: Campaign) in campaign.isArchived || campaign.terms.closesAt.map { $0 <= limit } ?? false }
        let open = live.filter { $0.status(at: now) != .closed && !$0.isArchived }
        let closed = live.filter { $0.status(at: now) == .closed && !isDue($0) }
        let look = begin(open: open, closed: closed, deep: deep)
        var findings = Findings()
        try await recover(open, areOpen: true, look, &findings)
        try await recover(closed, areOpen: false, look, &findings)
        defer { report(findings, look) }
        try await persist(&findings, after: grace)
        try await archive(live.filter(isDue), endedBefore: limit, at: now, &findings)
        if look.removesArchivedGates { try await removeArchivedGates(at: now, look) }
        try await persist(&findings, after: grace)
    }

    /// One run, and which Redis it began with.
    struct Look: Sendable {
        let isDeep: Bool
        let removesArchivedGates: Bool
        let generation: UInt64
    }

    /// What a run has come across.
    struct Findings {
        /// Claims that only the gates know.
        var unwritten: [(campaign: Campaign, claims: [GrantedClaim])] = []
        var failed: Set<CouponID> = []
        var firstFailure: (any Error)?

        mutating func add(_ error: any Error, of campaign: CouponID) {
            failed.insert(campaign)
            if firstFailure == nil { firstFailure = error }
        }
    }

    private func begin(open: [Campaign], closed: [Campaign], deep: Bool) -> Look {
        let (open, all) = (Set(open.map(\.id)), Set((open + closed).map(\.id)))
        return state.withLock { state in
            let isDeep = deep || state.uncompared == nil
            // A campaign that ended or was archived meanwhile does not keep /readyz at 503.
            state.open = open
            state.uncompared = isDeep ? all : state.uncompared?.intersection(all)
            state.verified = state.verified.filter { all.contains($0.key) }
            return Look(isDeep: isDeep, removesArchivedGates: deep || !state.hasRemovedArchivedGates, generation: state.generation)
        }
    }

    /// Logs one line, and only when the set of failing campaigns changes: what keeps recovery from its work lasts, and there may be many.
    private func report(_ findings: Findings, _ look: Look) {
        if Task.isCancelled { return }
        let before = state.withLock { state in
            defer { if state.generation == look.generation { state.failing = findings.failed } }
            return state.failing
        }
        guard let failure = findings.firstFailure, let first = findings.failed.min(), before != findings.failed else { return }
        logger.warning(
            "campaigns not recovered", metadata: ["count": "\(findings.failed.count)", "first": "\(first)", "error": "\(failure)"])
    }
}

// MARK: - Gates

extension ClaimRecovery {
    /// Ensures the gates of all campaigns, and only then compares claims.
    private func recover(_ campaigns: [Campaign], areOpen: Bool, _ look: Look, _ findings: inout Findings) async throws {
        var gates: [(Campaign, Gate)] = []
        for chunk in Self.chunks(of: campaigns) {
            let states = try await CouponGate.states(of: chunk.map(\.id), through: redis)
            let results = await sideBySide(Array(zip(chunk, states))) { [self] campaign, gate in try await ensureGate(campaign, gate, look)
            }
            for ((campaign, _), result) in results {
                switch result {
                case .success(let gate): if let gate { gates.append((campaign, gate)) }
                case .failure(let error): findings.add(error, of: campaign.id)
                }
            }
        }
        if areOpen { noteUnloaded(findings.failed, look) }
        for ((campaign, _), result) in await sideBySide(gates, { [self] in try await compare($0, $1, look) }) {
            switch result {
            case .success(let claims): if !claims.isEmpty { findings.unwritten.append((campaign, claims)) }
            case .failure(let error): findings.add(error, of: campaign.id)
            }
        }
        if areOpen { noteUnloaded(findings.failed, look) }
    }

    private func noteUnloaded(_ campaigns: Set<CouponID>, _ look: Look) {
        state.withLock { if $0.generation == look.generation { $0.unloaded = campaigns } }
    }

    /// Ensures an open gate of the store's epoch.
    ///
    /// - Returns: a gate that was already open: its claims must be compared. Nil where it was built now or is not needed.
    private func ensureGate(_ campaign: Campaign, _ gate: Gate?, _ look: Look) async throws -> Gate? {
        guard var gate else {
            // A closed campaign needs no gate: without one no claim is granted, and there is nothing to compare.
            if campaign.status(at: clock.now) == .closed {
                noteCompared(campaign.id, nil, look)
            } else {
                try await build(campaign, beyond: nil, look)
            }
            return nil
        }
        // The two keys of a gate are read by two commands, and a claim may fall between these: look again before a rebuild.
        if gate.isOpen, !gate.isConsistent, let again = try await CouponGate.settledState(of: campaign.id, through: redis) { gate = again }
        guard gate.isOf(store.identity), gate.isOpen, gate.epoch == campaign.epoch, gate.isConsistent else {
            try await build(campaign, beyond: nil, look)
            return nil
        }
        return gate
    }

    /// A gate that was built holds what the store holds, so it needs no comparison.
    private func build(_ campaign: Campaign, beyond epoch: Int64?, _ look: Look) async throws {
        try await campaigns.build(campaign.id, beyond: epoch, waits: true)
        noteCompared(campaign.id, nil, look)
    }

    private func noteCompared(_ id: CouponID, _ verified: Verified?, _ look: Look) {
        state.withLock { state in
            guard state.generation == look.generation else { return }
            state.uncompared?.remove(id)
            state.verified[id] = verified
        }
    }

    static func chunks(of campaigns: [Campaign]) -> [ArraySlice<Campaign>] {
        stride(from: 0, to: campaigns.count, by: gatesPerRead).map { campaigns[$0..<min($0 + gatesPerRead, campaigns.count)] }
    }

    /// Works on campaigns side by side, each for itself: builds wait for commits and for Redis, and share both.
    func sideBySide<Value: Sendable, Detail: Sendable>(
        _ items: [(Campaign, Detail)], _ work: @escaping @Sendable (Campaign, Detail) async throws -> Value
    ) async -> [((Campaign, Detail), Result<Value, any Error>)] {
        await withTaskGroup(of: ((Campaign, Detail), Result<Value, any Error>).self) { group in
            var rest = items[...]
            func beginNext() {
                guard let item = rest.popFirst() else { return }
                group.addTask {
                    do { return (item, .success(try await work(item.0, item.1))) } catch { return (item, .failure(error)) }
                }
            }
            for _ in 0..<Self.recoveredAtOnce { beginNext() }
            var results: [((Campaign, Detail), Result<Value, any Error>)] = []
            for await result in group {
                results.append(result)
                beginNext()
            }
            return results
        }
    }
}

// MARK: - Claims

extension ClaimRecovery {
    /// Compares claims where that is due; answers those that the gate has granted and the store does not have.
    private func compare(_ campaign: Campaign, _ gate: Gate, _ look: Look) async throws -> [GrantedClaim] {
        let isFirst = state.withLock { $0.uncompared?.contains(campaign.id) ?? true }
        var unwritten: [GrantedClaim] = []
        if look.isDeep || isFirst || gate.claims != campaign.issued {
            let known = look.isDeep || isFirst ? nil : state.withLock { $0.verified[campaign.id] }
            guard let comparison = try await comparison(of: campaign, with: gate, after: known) else {
                try await build(campaign, beyond: campaign.epoch, look)
                return []
            }
            unwritten = comparison.unwritten
            noteCompared(campaign.id, comparison.verified, look)
        }
        // The campaign was read before the gate, and may have been changed in between: realigning reads it again.
        if !gate.matches(campaign.terms) { _ = try await campaigns.realign(campaign.id) }
        return unwritten
    }

    struct Comparison {
        var verified: Verified
        /// Claims that only the gate knows.
        var unwritten: [GrantedClaim] = []
        /// Claims of the gate after the verified ones, up to the gate's sequence when it was looked at.
        var granted: Int64 = 0
    }

    /// Nil where the gate, whose numbers agree with one another, misses or contradicts a row of the store or its own numbers.
    private func comparison(of campaign: Campaign, with gate: Gate, after known: Verified?) async throws -> Comparison? {
        if let known, known.epoch == campaign.epoch {
            guard let comparison = try await comparison(of: campaign, from: known, through: gate.sequence ?? 0) else { return nil }
            // What was verified is not read again, so its number must still be right.
            if gate.claims == known.count + comparison.granted { return comparison }
        }
        let comparison = try await comparison(of: campaign, from: Verified(epoch: campaign.epoch), through: gate.sequence ?? 0)
        // A claim that is missing among those up to the gate's sequence has a score that the gate never gave.
        return comparison?.granted == gate.claims ? comparison : nil
    }

    func comparison(of campaign: Campaign, from start: Verified, through sequence: Int64) async throws -> Comparison? {
        var comparison = Comparison(verified: start)
        var last = start.sequence
        for try await stored in store.claimPages(of: campaign.id, afterSequence: last, size: Self.claimsPerStep) {
            compared.add(stored.count, ordering: .relaxed)
            let end = stored.count < Self.claimsPerStep ? Int64.max : stored[stored.count - 1].sequence
            var rows = Dictionary(uniqueKeysWithValues: stored.map { ($0.sequence, $0.userID) })
            var previous = last
            let pages = CouponGate.claimPages(of: campaign.id, from: last + 1, size: Self.claimsPerStep, through: redis)
            reading: for try await granted in pages {
                compared.add(granted.count, ordering: .relaxed)
                for claim in granted {
                    // A score that is no whole number counts as sequence 0. The gate grants neither 0 nor a sequence twice.
                    guard claim.sequence > previous else { return nil }
                    previous = claim.sequence
                    guard claim.sequence <= end else { break reading }
                    if claim.sequence <= sequence { comparison.granted += 1 }
                    if let user = rows.removeValue(forKey: claim.sequence) {
                        guard user == claim.user else { return nil }
                        guard comparison.unwritten.isEmpty else { continue }
                        comparison.verified.sequence = claim.sequence
                        comparison.verified.count += 1
                    } else {
                        comparison.unwritten.append(claim)
                    }
                }
                if previous >= end { break }
            }
            guard rows.isEmpty else { return nil }
            last = end
        }
        return comparison
    }

    /// Writes the rows of claims whose claimants have not done so within `grace`. The next look finds those that cannot be written again.
    private func persist(_ findings: inout Findings, after grace: Duration) async throws {
        let unwritten = findings.unwritten
        findings.unwritten = []
        if unwritten.isEmpty { return }
        try await Task.sleep(for: grace)
        for (campaign, claims) in unwritten {
            do {
                if try await persist(claims, of: campaign) { continue }
                try await campaigns.build(campaign.id, beyond: campaign.epoch, waits: true)
            } catch {
                findings.add(error, of: campaign.id)
            }
        }
    }

    /// Writes the rows of claims; false where the store contradicts one.
    private func persist(_ claims: [GrantedClaim], of campaign: Campaign) async throws -> Bool {
        FaultPoint.beforePersist.reached()
        for start in stride(from: 0, to: claims.count, by: Self.writesAtOnce) {
            let agrees = try await withThrowingTaskGroup { group in
                for claim in claims[start..<min(start + Self.writesAtOnce, claims.count)] {
                    group.addTask { try await self.persist(claim, of: campaign) }
                }
                return try await group.reduce(true) { $0 && $1 }
            }
            guard agrees else { return false }
        }
        return true
    }

    private func persist(_ claim: GrantedClaim, of campaign: Campaign) async throws -> Bool {
        let record = try await store.recordClaim(
            Claim(
                couponID: campaign.id, userID: claim.user, sequence: claim.sequence, epoch: campaign.epoch, issuedAt: clock.now))
        switch record {
        case .done(.issued):
            logger.info(
                "claim persisted", metadata: ["coupon": "\(campaign.id)", "user": "\(claim.user)", "sequence": "\(claim.sequence)"])
            return true
        case .done(.known): return true
        case .done(.stale), .done(.campaignMissing), .done(.userMissing), .done(.malformed), .refused, .replayed: return false
        }
    }
}
