import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

/// Brings gates and store together again after crashes of either side: claims that Redis alone knows get their row, and gates
/// that miss claims of the store are rebuilt. Runs at start, after every reconnect and on a timer; two at once do no harm.
final class ClaimRecovery: Sendable {
    private let store: Store
    private let redis: RedisClient
    private let campaigns: Campaigns
    private let clock: WallClock
    private let logger: Logger
    private let unloaded = Mutex<Set<CouponID>?>(nil)

    /// Gates read in one round trip, and claims compared in one step.
    private static let gatesPerRead = 200
    private static let claimsPerStep = 5_000
    /// Campaigns recovered side by side.
    private static let recoveredAtOnce = 16
    /// Claims written together, so that they share commits.
    private static let writesAtOnce = 256

    init(store: Store, redis: RedisClient, campaigns: Campaigns, clock: WallClock, logger: Logger) {
        (self.store, self.redis, self.campaigns, self.clock, self.logger) = (store, redis, campaigns, clock, logger)
    }

    /// Open campaigns whose gate did not stand when last looked at; `nil` before the first look.
    var unloadedCampaigns: [CouponID]? { unloaded.withLock { $0?.sorted() } }

    /// After a reconnect: what was seen of one Redis says nothing about the one that answers now.
    func forgetStates() { unloaded.withLock { $0 = nil } }

    /// Looks at every campaign; `deep` compares the claims one by one also where their number agrees.
    ///
    /// A claim without a row may be on its way to the store just now, and its claimant is owed the 201 that goes with writing it.
    /// So such claims get `grace` before they are written here; none is needed while nobody can claim.
    func run(deep: Bool, grace: Duration = .zero) async throws {
        // The store first: every claim that it shows has passed the gate, so the gate must know it.
        let all = try await store.snapshot { snapshot throws(StoreError) in try snapshot.campaigns() }
        var missing: Set<CouponID> = []
        var firstFailure: (any Error)?
        var unwritten: [(campaign: Campaign, claims: [GrantedClaim])] = []
        for start in stride(from: 0, to: all.count, by: Self.gatesPerRead) {
            let chunk = all[start..<min(start + Self.gatesPerRead, all.count)]
            let states = try await CouponGate.states(of: chunk.map(\.id), through: redis)
            for (campaign, result) in await recover(Array(zip(chunk, states)), deep: deep) {
                switch result {
                case .success(let claims):
                    if !claims.isEmpty { unwritten.append((campaign, claims)) }
                case .failure(let error):
                    missing.insert(campaign.id)
                    if firstFailure == nil { firstFailure = error }
                    logger.debug("campaign not recovered", metadata: ["coupon": "\(campaign.id)", "error": "\(error)"])
                }
            }
        }
        let before = unloaded.withLock { unloaded in
            defer { unloaded = missing }
            return unloaded
        }
        // One line when something has changed: what keeps recovery from its work lasts, and there may be many campaigns.
        if let firstFailure, let first = missing.min(), before != missing {
            logger.warning(
                "campaigns not recovered", metadata: ["count": "\(missing.count)", "first": "\(first)", "error": "\(firstFailure)"])
        }
        if unwritten.isEmpty { return }
        try await Task.sleep(for: grace)
        for (campaign, claims) in unwritten where try await !honour(claims, of: campaign) {
            try await campaigns.build(campaign.id, beyond: campaign.epoch)
        }
    }

    /// Recovers campaigns side by side, each for itself: builds wait for commits and for Redis, and share both.
    private func recover(
        _ campaigns: [(Campaign, CouponGate.GateState?)], deep: Bool
    ) async -> [(Campaign, Result<[GrantedClaim], any Error>)] {
        await withTaskGroup(of: (Campaign, Result<[GrantedClaim], any Error>).self) { group in
            var rest = campaigns[...]
            func recoverNext() {
                guard let (campaign, gate) = rest.popFirst() else { return }
                group.addTask { [self] in
                    do { return (campaign, .success(try await recover(campaign, gate, deep: deep))) } catch {
                        return (campaign, .failure(error))
                    }
                }
            }
            for _ in 0..<Self.recoveredAtOnce { recoverNext() }
            var results: [(Campaign, Result<[GrantedClaim], any Error>)] = []
            for await result in group {
                results.append(result)
                recoverNext()
            }
            return results
        }
    }

    /// Sees to it that the right gate stands; answers the claims that the gate has granted and the store does not have.
    private func recover(_ campaign: Campaign, _ gate: CouponGate.GateState?, deep: Bool) async throws -> [GrantedClaim] {
        guard var gate else {
            // A gate that nobody can pass any more needs not stand.
            if campaign.status(at: clock.now) != .closed { try await campaigns.build(campaign.id, beyond: nil) }
            return []
        }
        guard gate.isOpen else {
            try await campaigns.build(campaign.id, beyond: nil)
            return []
        }
        // The two reads of a gate are no single moment, and a claim may fall between them: look again before tearing down.
        if !gate.isConsistent, let again = try await CouponGate.states(of: [campaign.id], through: redis)[0] { gate = again }
        guard gate.epoch == campaign.epoch, gate.isConsistent else {
            try await campaigns.build(campaign.id, beyond: campaign.epoch)
            return []
        }
        var unwritten: [GrantedClaim] = []
        if deep || gate.claims != campaign.issued {
            guard let found = try await unwrittenClaims(of: campaign) else {
                try await campaigns.build(campaign.id, beyond: campaign.epoch)
                return []
            }
            unwritten = found
        }
        // The campaign was read before the gate, and may have been changed in between: whoever realigns reads it again.
        if !gate.matches(campaign.terms) { _ = try await campaigns.realign(campaign.id) }
        return unwritten
    }

    private typealias GrantedClaim = (user: UserID, sequence: Int64)

    /// The claims that only the gate knows; `nil` where the gate misses or contradicts a row of the store.
    private func unwrittenClaims(of campaign: Campaign) async throws -> [GrantedClaim]? {
        var unwritten: [GrantedClaim] = []
        var last: Int64 = 0
        while true {
            let stored = try await store.claims(of: campaign.id, afterSequence: last, limit: Self.claimsPerStep)
            let end = stored.count < Self.claimsPerStep ? Int64.max : stored[stored.count - 1].sequence
            var rows = Dictionary(uniqueKeysWithValues: stored.map { ($0.sequence, $0.userID) })
            var next = last + 1
            reading: while true {
                let granted = try await CouponGate.claims(of: campaign.id, from: next, limit: Self.claimsPerStep, through: redis)
                for claim in granted {
                    guard claim.sequence <= end else { break reading }
                    if let user = rows.removeValue(forKey: claim.sequence) {
                        guard user == claim.user else { return nil }
                    } else {
                        unwritten.append(claim)
                    }
                }
                guard granted.count == Self.claimsPerStep, let final = granted.last else { break }
                next = final.sequence + 1
            }
            guard rows.isEmpty else { return nil }
            guard end < Int64.max else { return unwritten }
            last = end
        }
    }

    /// Writes the rows of claims whose claimants did not; false where the store contradicts one.
    private func honour(_ claims: [GrantedClaim], of campaign: Campaign) async throws -> Bool {
        FaultPoint.beforePersist.reached()
        for start in stride(from: 0, to: claims.count, by: Self.writesAtOnce) {
            let agrees = try await withThrowingTaskGroup { group in
                for claim in claims[start..<min(start + Self.writesAtOnce, claims.count)] {
                    group.addTask { try await self.honour(claim, of: campaign) }
                }
                return try await group.reduce(true) { $0 && $1 }
            }
            guard agrees else { return false }
        }
        return true
    }

    private func honour(_ claim: GrantedClaim, of campaign: Campaign) async throws -> Bool {
        let record = try await store.recordClaim(
            Claim(
                couponID: campaign.id, userID: claim.user, sequence: claim.sequence, epoch: campaign.epoch, issuedAt: clock.now))
        switch record {
        case .done(.issued):
            logger.info("claim honoured", metadata: ["coupon": "\(campaign.id)", "user": "\(claim.user)", "sequence": "\(claim.sequence)"])
            return true
        case .done(.known): return true
        case .done(.stale), .done(.campaignMissing), .done(.userMissing), .refused, .replayed: return false
        }
    }
}
