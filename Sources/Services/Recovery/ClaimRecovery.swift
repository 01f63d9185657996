import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

/// Makes gates and store consistent after a crash of either: writes the rows of claims that only Redis has, rebuilds gates that miss
/// claims of the store, and removes gates of campaigns that ended long ago.
///
/// Runs at the start, after every reconnect and on a timer. It reads live campaigns only. Several runs at once, also of several
/// services, do no harm.
final class ClaimRecovery: Sendable {
    let store: TransactionalStore
    let redis: RedisClient
    private let campaigns: Campaigns
    private let clock: WallClock
    private let archiveAfterMilliseconds: Int64
    let logger: Logger
    let state = Mutex(State())
    private let compared = Atomic<Int>(0)
    let found: FindingCounter
    private let wins: WinFeed
    /// When a whole recovery succeeded last, in milliseconds; 0 before the first one.
    private let succeededAt = Atomic<Int64>(0)

    struct State {
        /// Open campaigns that had no open gate of the store's epoch in the last run; nil before the first run.
        var unloaded: Set<CouponID>?
        /// Campaigns, open and closed, whose gate was not compared with the store in full yet; nil before the first run.
        var uncompared: Set<CouponID>?
        /// The open campaigns of the last run.
        var open: Set<CouponID> = []
        /// Whether gates of archived campaigns, which an older snapshot of Redis may have brought back, were removed.
        var hasRemovedArchivedGates = false
        /// Campaigns that the last run could not recover.
        var failing: Set<CouponID> = []
        var verified: [CouponID: Verified] = [:]
        /// Counts reconnects. A result that was read from Redis before a reconnect is not noted after it.
        var generation: UInt64 = 0
    }

    /// A prefix of a campaign's claims that was found equal in gate and store. Claims in flight have later sequences.
    struct Verified {
        var epoch: Int64
        /// All claims up to this sequence match.
        var sequence: Int64 = 0
        /// Number of claims up to `sequence`.
        var count: Int64 = 0
    }

    typealias GrantedClaim = (user: UserID, sequence: Int64)
    typealias Gate = CouponGate.GateState

    /// Gates read in one round trip, and campaigns archived in one commit.
    static let gatesPerRead = 200
    /// Claims compared in one step.
    private static let claimsPerStep = 5_000
    /// Campaigns recovered concurrently.
    private static let recoveredAtOnce = 16
    /// Claims written together, so that they share commits.
    private static let writesAtOnce = 256
    /// Which gates of archived campaigns are removed after a reconnect: those archived within a week, at most the newest 10,000. An
    /// operator who restores an older snapshot of Redis finds the others by `firstcome audit`.
    static let archivedMilliseconds: Int64 = 7 * 86_400_000
    static let archivedLimit = 10_000

    init(
        store: TransactionalStore, redis: RedisClient, campaigns: Campaigns, clock: WallClock, archiveAfter: Duration,
        found: FindingCounter = FindingCounter(), wins: WinFeed = WinFeed(keepsWins: false), logger: Logger
    ) {
        (self.store, self.redis, self.campaigns, self.clock, self.logger) = (store, redis, campaigns, clock, logger)
        (self.found, self.wins) = (found, wins)
        let (seconds, attoseconds) = archiveAfter.components
        archiveAfterMilliseconds = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    }

    /// Open campaigns that had no open gate of the store's epoch in the last run; `nil` before the first run.
    var unloadedCampaigns: [CouponID]? { state.withLock { $0.unloaded?.sorted() } }

    /// Open campaigns that were not compared in full since the start or the last reconnect; `nil` before the first run.
    var uncompared: Set<CouponID>? { state.withLock { state in state.uncompared?.intersection(state.open) } }

    /// How many campaigns are ``uncompared``; `nil` before the first run.
    var uncomparedCampaigns: Int? { uncompared?.count }

    /// Whether the campaign's gate can be reached: false in a cluster while the primary that holds it is away.
    func isReachable(_ campaign: CouponID) -> Bool {
        !redis.configuration.endpoint.isCluster || redis.isConnected(to: RedisKeys.coupon(campaign))
    }

    /// The number of claims that were read from gates and store to compare them.
    var comparedClaims: Int { compared.load(ordering: .relaxed) }

    /// When a whole recovery succeeded last; nil before the first one.
    var lastSuccess: Instant? {
        let milliseconds = succeededAt.load(ordering: .relaxed)
        return milliseconds == 0 ? nil : Instant(milliseconds: milliseconds)
    }

    /// Notes that a recovery has left nothing to do.
    func noteSuccess() { succeededAt.store(clock.now.milliseconds, ordering: .relaxed) }

    /// Drops everything that was read from Redis. Call it after a reconnect.
    func forgetStates() {
        state.withLock { $0 = State(generation: $0.generation + 1) }
    }

    /// Recovers every live campaign. The open ones come first: all of them have a gate before any claims are compared.
    ///
    /// - Parameters:
    ///   - deep: compares all claims, also where their number agrees. The first run after a start or a reconnect is always deep.
    ///   - grace: how long to wait before claims without a row are written. The request that made such a claim may be writing it right
    ///     now, and the request that writes the row is the one that answers 201. Zero is enough while no requests are served.
    ///   - archives: whether gates of campaigns that ended long ago are removed too.
    func run(deep: Bool, grace: Duration = .zero, archives: Bool = true) async throws {
        // The store is read before the gates: a claim that is in the store has passed the gate, so the gate must have it.
        let live = try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() }
        let now = clock.now
        let limit = now.advanced(byMilliseconds: -archiveAfterMilliseconds) ?? Instant(milliseconds: 0)
        let isDue = { (campaign: Campaign) in campaign.isArchived || campaign.terms.closesAt.map { $0 <= limit } ?? false }
        let open = live.filter { $0.status(at: now) != .closed && !$0.isArchived }
        let closed = live.filter { $0.status(at: now) == .closed && !isDue($0) }
        let run = begin(open: open, closed: closed, deep: deep)
        var findings = Findings()
        try await recover(open, areOpen: true, run, &findings)
        try await recover(closed, areOpen: false, run, &findings)
        defer { report(findings, run) }
        try await persist(&findings, after: grace)
        guard archives else { return }
        try await archive(live.filter(isDue), endedBefore: limit, at: now, &findings)
        if run.removesArchivedGates { try await removeArchivedGates(at: now, run) }
        try await persist(&findings, after: grace)
    }

    /// Looks which open campaigns have a gate, for `/readyz`, and repairs nothing: another service does.
    func look() async throws {
        let live = try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() }
        let now = clock.now
        let open = live.filter { $0.status(at: now) != .closed && !$0.isArchived }
        let run = begin(open: open, closed: live.filter { $0.status(at: now) == .closed && !$0.isArchived }, deep: false)
        var unloaded: Set<CouponID> = []
        for chunk in Self.chunks(of: open) {
            for (campaign, gate) in zip(chunk, try await CouponGate.readableStates(of: chunk.map(\.id), through: redis)) {
                // A gate on a primary that is away is a failure.
                guard let gate = try? gate.get(), gate.isOf(store.identity), gate.isOpen, gate.epoch == campaign.epoch else {
                    unloaded.insert(campaign.id)
                    continue
                }
            }
        }
        noteUnloaded(unloaded, run)
    }

    /// Whether every campaign was compared since the start or the last reconnect.
    var hasCompared: Bool { state.withLock { $0.uncompared?.isEmpty ?? false } }

    /// The settings of one run, and the generation of Redis that it began with.
    struct Run: Sendable {
        let isDeep: Bool
        let removesArchivedGates: Bool
        let generation: UInt64
    }

    /// What a run has found.
    struct Findings {
        /// Claims that only the gates have.
        var unwritten: [(campaign: Campaign, claims: [GrantedClaim])] = []
        var failed: Set<CouponID> = []
        var firstFailure: (any Error)?

        mutating func add(_ error: any Error, of campaign: CouponID) {
            failed.insert(campaign)
            if firstFailure == nil { firstFailure = error }
        }
    }

    private func begin(open: [Campaign], closed: [Campaign], deep: Bool) -> Run {
        let (open, all) = (Set(open.map(\.id)), Set((open + closed).map(\.id)))
        return state.withLock { state in
            let isDeep = deep || state.uncompared == nil
            // Campaigns that have ended or were archived are dropped, so that they do not keep /readyz at 503.
            state.open = open
            state.uncompared = isDeep ? all : state.uncompared?.intersection(all)
            state.verified = state.verified.filter { all.contains($0.key) }
            return Run(isDeep: isDeep, removesArchivedGates: deep || !state.hasRemovedArchivedGates, generation: state.generation)
        }
    }

    /// Logs the failures in one line, and only when the set of failing campaigns has changed: many may fail for long, by the same cause.
    private func report(_ findings: Findings, _ run: Run) {
        if Task.isCancelled { return }
        let before = state.withLock { state in
            defer { if state.generation == run.generation { state.failing = findings.failed } }
            return state.failing
        }
        guard let failure = findings.firstFailure, let first = findings.failed.min(), before != findings.failed else { return }
        logger.warning(
            "campaigns not recovered", metadata: ["count": "\(findings.failed.count)", "first": "\(first)", "error": "\(failure)"])
    }
}

// MARK: - Gates

extension ClaimRecovery {
    /// Ensures the gates of all campaigns first, then compares their claims.
    private func recover(_ campaigns: [Campaign], areOpen: Bool, _ run: Run, _ findings: inout Findings) async throws {
        var gates: [(Campaign, Gate)] = []
        for chunk in Self.chunks(of: campaigns) {
            let states = try await readableStates(of: chunk, &findings)
            let results = await concurrently(states) { [self] campaign, gate in try await ensureGate(campaign, gate, run) }
            for ((campaign, _), result) in results {
                switch result {
                case .success(let gate): if let gate { gates.append((campaign, gate)) }
                case .failure(let error): findings.add(error, of: campaign.id)
                }
            }
        }
        if areOpen { noteUnloaded(findings.failed, run) }
        for ((campaign, _), result) in await concurrently(gates, { [self] in try await compare($0, $1, run) }) {
            switch result {
            case .success(let claims): if !claims.isEmpty { findings.unwritten.append((campaign, claims)) }
            case .failure(let error): findings.add(error, of: campaign.id)
            }
        }
        if areOpen { noteUnloaded(findings.failed, run) }
    }

    /// The gates of the campaigns; in a cluster, without those whose primary is away.
    func readableStates(of campaigns: ArraySlice<Campaign>, _ findings: inout Findings) async throws -> [(Campaign, Gate?)] {
        let states = try await CouponGate.readableStates(of: campaigns.map(\.id), through: redis)
        var readable: [(Campaign, Gate?)] = []
        for (campaign, state) in zip(campaigns, states) {
            switch state {
            case .success(let gate): readable.append((campaign, gate))
            case .failure(let error): findings.add(error, of: campaign.id)
            }
        }
        return readable
    }

    private func noteUnloaded(_ campaigns: Set<CouponID>, _ run: Run) {
        state.withLock { if $0.generation == run.generation { $0.unloaded = campaigns } }
    }

    /// Ensures an open gate of the store's epoch.
    ///
    /// - Returns: the gate where it was already open, so that its claims must be compared. Nil where it was built now or is not needed.
    private func ensureGate(_ campaign: Campaign, _ gate: Gate?, _ run: Run) async throws -> Gate? {
        guard var gate else {
            // A closed campaign needs no gate: no claim can be granted, and there is nothing to compare.
            if campaign.status(at: clock.now) == .closed {
                noteCompared(campaign.id, nil, run)
            } else {
                try await build(campaign, beyond: nil, run)
                found.add(.gateMissing)
            }
            return nil
        }
        // The two keys of a gate are read by two commands, and a claim may come in between. Read again before rebuilding.
        if gate.isOpen, !gate.isConsistent, let again = try await CouponGate.settledState(of: campaign.id, through: redis) { gate = again }
        guard gate.isOf(store.identity), gate.isOpen, gate.epoch == campaign.epoch, gate.isConsistent else {
            try await build(campaign, beyond: nil, run)
            found.add(FindingCounter.Kind(gate, of: campaign, in: store.identity))
            return nil
        }
        return gate
    }

    /// Builds the gate from the store. It then needs no comparison.
    private func build(_ campaign: Campaign, beyond epoch: Int64?, _ run: Run) async throws {
        try await campaigns.build(campaign.id, beyond: epoch, waits: true)
        noteCompared(campaign.id, nil, run)
    }

    private func noteCompared(_ id: CouponID, _ verified: Verified?, _ run: Run) {
        state.withLock { state in
            guard state.generation == run.generation else { return }
            state.uncompared?.remove(id)
            state.verified[id] = verified
        }
    }

    static func chunks(of campaigns: [Campaign]) -> [ArraySlice<Campaign>] {
        stride(from: 0, to: campaigns.count, by: gatesPerRead).map { campaigns[$0..<min($0 + gatesPerRead, campaigns.count)] }
    }

    /// Runs `work` for several campaigns concurrently, so that their commits and round trips are shared. One failure does not end the
    /// others.
    func concurrently<Value: Sendable, Detail: Sendable>(
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
    /// Compares a campaign's claims where that is needed, and rebuilds a gate that contradicts the store.
    ///
    /// - Returns: the claims that the gate has granted and the store does not have.
    private func compare(_ campaign: Campaign, _ gate: Gate, _ run: Run) async throws -> [GrantedClaim] {
        let isFirst = state.withLock { $0.uncompared?.contains(campaign.id) ?? true }
        var unwritten: [GrantedClaim] = []
        if run.isDeep || isFirst || gate.claims != campaign.issued {
            let known = run.isDeep || isFirst ? nil : state.withLock { $0.verified[campaign.id] }
            guard let comparison = try await comparison(of: campaign, with: gate, after: known) else {
                try await build(campaign, beyond: campaign.epoch, run)
                found.add(.gateContradicted)
                return []
            }
            unwritten = comparison.unwritten
            noteCompared(campaign.id, comparison.verified, run)
        }
        // The campaign may have been changed after it was read here. Realigning reads it again.
        if !gate.matches(campaign.terms), try await campaigns.realign(campaign.id) { found.add(.termsChanged) }
        return unwritten
    }

    struct Comparison {
        var verified: Verified
        /// Claims that only the gate has.
        var unwritten: [GrantedClaim] = []
        /// The number of the gate's claims after the verified ones, up to the gate's sequence when it was read.
        var granted: Int64 = 0
    }

    /// Compares a consistent gate with the store, beginning after the verified prefix where there is one.
    ///
    /// - Returns: nil where the gate misses or contradicts a row of the store, or has other claims than its own count says.
    private func comparison(of campaign: Campaign, with gate: Gate, after known: Verified?) async throws -> Comparison? {
        if let known, known.epoch == campaign.epoch {
            guard let comparison = try await comparison(of: campaign, from: known, through: gate.sequence ?? 0) else { return nil }
            // The verified prefix is not read again. If claims were removed from it, the numbers differ, and all are compared.
            if gate.claims == known.count + comparison.granted { return comparison }
        }
        let comparison = try await comparison(of: campaign, from: Verified(epoch: campaign.epoch), through: gate.sequence ?? 0)
        // If fewer were found up to the gate's sequence, some have a score that no script has given.
        return comparison?.granted == gate.claims ? comparison : nil
    }

    /// Compares the claims after `start` page by page; `granted` counts those up to `sequence`. Nil where the two contradict each other.
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
                    // A score that is no whole number reads as 0. A gate grants sequences from 1, and none twice.
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

    /// Writes the rows of claims whose requests have not done so within `grace`. The next run finds claims that cannot be written now.
    private func persist(_ findings: inout Findings, after grace: Duration) async throws {
        let unwritten = findings.unwritten
        findings.unwritten = []
        if unwritten.isEmpty { return }
        try await Task.sleep(for: grace)
        for (campaign, claims) in unwritten {
            do {
                if try await persist(claims, of: campaign) { continue }
                try await campaigns.build(campaign.id, beyond: campaign.epoch, waits: true)
                found.add(.gateContradicted)
            } catch {
                findings.add(error, of: campaign.id)
            }
        }
    }

    /// Writes the rows of claims; false where the store refuses one of them.
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
        case .done(.issued(let issued)):
            wins.add([ChainedWin(issued)], of: campaign.id)
            found.add(.claimUnwritten)
            logger.info(
                "claim persisted", metadata: ["coupon": "\(campaign.id)", "user": "\(claim.user)", "sequence": "\(claim.sequence)"])
            return true
        case .done(.known): return true
        case .done(.stale), .done(.campaignMissing), .done(.userMissing), .done(.malformed), .refused, .replayed: return false
        }
    }
}
