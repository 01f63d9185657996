import Commerce
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

    init(store: Store, redis: RedisClient, campaigns: Campaigns, clock: WallClock, logger: Logger) {
        (self.store, self.redis, self.campaigns, self.clock, self.logger) = (store, redis, campaigns, clock, logger)
    }

    /// Open campaigns whose gate did not stand when last looked at; `nil` before the first look.
    var unloadedCampaigns: [CouponID]? { unloaded.withLock { $0?.sorted() } }

    /// Looks at every campaign; `deep` compares the claims one by one also where their number agrees.
    func run(deep: Bool) async throws {
        // The store first: every claim that it shows has passed the gate, so the gate must know it.
        let all = try await store.snapshot { snapshot throws(StoreError) in try snapshot.campaigns() }
        var missing: Set<CouponID> = []
        for start in stride(from: 0, to: all.count, by: Self.gatesPerRead) {
            let chunk = all[start..<min(start + Self.gatesPerRead, all.count)]
            let standings = try await CouponGate.standings(of: chunk.map(\.id), through: redis)
            for (campaign, standing) in zip(chunk, standings) {
                do {
                    try await recover(campaign, standing, deep: deep)
                } catch {
                    missing.insert(campaign.id)
                    logger.warning("campaign not recovered", metadata: ["coupon": "\(campaign.id)", "error": "\(error)"])
                }
            }
        }
        unloaded.withLock { $0 = missing }
    }

    private func recover(_ campaign: Campaign, _ standing: CouponGate.Standing?, deep: Bool) async throws {
        guard let standing else {
            // A gate that nobody can pass any more needs not stand.
            if campaign.status(at: clock.now) != .closed { try await campaigns.build(campaign.id, beyond: nil) }
            return
        }
        guard standing.isOpen else {
            let silence = clock.now.milliseconds - (standing.pausedAtMilliseconds ?? 0)
            if silence > Campaigns.abandonedAfterMilliseconds { _ = try await campaigns.buildAbandoned(campaign.id) }
            return
        }
        guard standing.epoch == campaign.epoch, standing.isConsistent else {
            try await campaigns.build(campaign.id, beyond: campaign.epoch)
            return
        }
        if deep || standing.claims != campaign.issued {
            guard try await settle(campaign) else {
                try await campaigns.build(campaign.id, beyond: campaign.epoch)
                return
            }
        }
        if !standing.matches(campaign.terms) {
            if try await CouponGate.adjust(campaign.id, to: campaign.terms, through: redis) != .adjusted {
                try await campaigns.build(campaign.id, beyond: campaign.epoch)
            }
        }
    }

    /// Writes the rows that only the gate knows; false where the gate misses or contradicts a row of the store.
    private func settle(_ campaign: Campaign) async throws -> Bool {
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
                        guard user == claim.user else { return false }
                    } else {
                        guard try await honour(claim, of: campaign) else { return false }
                    }
                }
                guard granted.count == Self.claimsPerStep, let final = granted.last else { break }
                next = final.sequence + 1
            }
            guard rows.isEmpty else { return false }
            guard end < Int64.max else { return true }
            last = end
        }
    }

    private func honour(_ claim: (user: UserID, sequence: Int64), of campaign: Campaign) async throws -> Bool {
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
