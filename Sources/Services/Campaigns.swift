package import Commerce
import FaultPoints
import Logging
import Redis
package import Store
import Synchronization

/// Coupon campaigns: made and changed in the store, opened as gates in Redis.
///
/// The gates that are being built live in a mutex, so that everyone who needs one waits for the same build.
package final class Campaigns: Sendable {
    private let store: Store
    private let reader: PointReader
    private let redis: RedisClient
    private let logger: Logger
    private let builds = Mutex<[CouponID: Task<Int64?, any Error>]>([:])
    private let changes = TaskQueue()

    /// A paused gate whose builder has been silent for this long has lost it; a builder shows itself with every chunk of claims.
    static let abandonedAfterMilliseconds: Int64 = 5_000

    init(store: Store, reader: PointReader, redis: RedisClient, logger: Logger) {
        (self.store, self.reader, self.redis, self.logger) = (store, reader, redis, logger)
    }

    /// Makes a campaign durable and opens its gate. With Redis away the campaign stands and its gate follows with the next recovery.
    package func create(
        _ terms: CampaignTerms, at now: Instant, on context: LoopContext? = nil, remembering: Remembering<Campaign>? = nil
    ) async throws -> WriteResult<Campaign> {
        let result = try await store.createCampaign(terms, at: now, remember: remembering, context: context)
        if case .done(let campaign) = result { await buildIfPossible(campaign.id) }
        return result
    }

    /// Changes quantity or window, one change at a time. Fewer coupons are agreed with the gate first, since it may have granted
    /// more than the store knows yet; everything else is durable first and reaches the gate next.
    package func change(
        _ id: CouponID, _ change: CampaignChange, at now: Instant, on context: LoopContext? = nil
    ) async throws -> Outcome<Campaign> {
        try await changes.run { [self] in
            guard let campaign = try reader.campaign(id) else { return .refused(.couponNotFound) }
            guard let quantity = change.quantity, quantity < campaign.terms.quantity else {
                return try await raise(id, change, context)
            }
            var terms = campaign.terms
            terms.quantity = quantity
            return try await lower(campaign, to: terms, change, context)
        }
    }

    private func raise(_ id: CouponID, _ change: CampaignChange, _ context: LoopContext?) async throws -> Outcome<Campaign> {
        let outcome = try await store.updateCampaign(id, change, context: context)
        FaultPoint.betweenStoreAndGate.reached()
        if case .done(let campaign) = outcome { await adjustIfPossible(campaign) }
        return outcome
    }

    private func lower(
        _ campaign: Campaign, to terms: CampaignTerms, _ change: CampaignChange, _ context: LoopContext?
    ) async throws -> Outcome<Campaign> {
        if terms.quantity < campaign.issued { return .refused(.quantityIssued(issued: campaign.issued)) }
        var adjustment = try await CouponGate.adjust(campaign.id, to: terms, through: redis)
        if adjustment == .notStanding {
            try await build(campaign.id, beyond: nil)
            adjustment = try await CouponGate.adjust(campaign.id, to: terms, through: redis)
        }
        switch adjustment {
        case .belowIssued(let claims): return .refused(.quantityIssued(issued: claims))
        case .notStanding: throw ServiceError(.paused, "the campaign is being rebuilt")
        case .adjusted: break
        }
        FaultPoint.betweenStoreAndGate.reached()
        do {
            let outcome = try await store.updateCampaign(campaign.id, change, context: context)
            switch outcome {
            case .done(let changed): await adjustIfPossible(changed)
            case .refused: await adjustIfPossible(campaign)
            }
            return outcome
        } catch {
            await adjustIfPossible(campaign)
            throw error
        }
    }

    /// Tells the gate what the store has decided; where that fails, recovery finds the difference.
    private func adjustIfPossible(_ campaign: Campaign) async {
        do {
            if try await CouponGate.adjust(campaign.id, to: campaign.terms, through: redis) != .adjusted {
                try await build(campaign.id, beyond: nil)
            }
        } catch {
            logger.warning("gate not adjusted, recovery will", metadata: ["coupon": "\(campaign.id)", "error": "\(error)"])
        }
    }

    private func buildIfPossible(_ id: CouponID) async {
        do {
            try await build(id, beyond: nil)
        } catch {
            logger.warning("gate not opened, recovery will", metadata: ["coupon": "\(id)", "error": "\(error)"])
        }
    }
}

extension Campaigns {
    /// Sees to it that an open gate with the store's own epoch stands, and with a later one than `epoch` where that is given:
    /// the epoch whose gate has proved to be wrong. Joins a build that is under way, and builds again where that one, begun for
    /// somebody who asked for less, left the wrong gate standing.
    ///
    /// - Returns: false where the store knows no such campaign.
    @discardableResult
    package func build(_ id: CouponID, beyond epoch: Int64?) async throws -> Bool {
        while true {
            let (build, isOurs) = builds.withLock { builds in
                if let running = builds[id] { return (running, false) }
                let task = Task { [self] in
                    defer { self.builds.withLock { _ = $0.removeValue(forKey: id) } }
                    return try await buildAlone(id, beyond: epoch)
                }
                builds[id] = task
                return (task, true)
            }
            guard let standing = try await build.value else { return false }
            if isOurs || standing > epoch ?? -1 { return true }
        }
    }

    /// Builds a gate whose builder is gone.
    package func buildAbandoned(_ id: CouponID) async throws -> Bool {
        guard let campaign = try reader.campaign(id) else { return false }
        return try await build(id, beyond: campaign.epoch)
    }

    /// The epoch of the gate that stands afterwards; `nil` where the store knows no such campaign.
    private func buildAlone(_ id: CouponID, beyond epoch: Int64?) async throws -> Int64? {
        guard let campaign = try reader.campaign(id) else { return nil }
        let standing = try await CouponGate.standings(of: [id], through: redis)[0]
        if let standing, standing.isOpen, standing.isConsistent, standing.epoch == campaign.epoch, campaign.epoch > epoch ?? -1 {
            return campaign.epoch
        }
        // From the commit of the new epoch on, the store refuses every win of an older one: what it holds is all there is.
        guard case .done(let current) = try await store.bumpEpoch(of: id, beyond: standing?.epoch ?? 0) else { return nil }
        FaultPoint.afterEpoch.reached()
        guard try await CouponGate.load(current, through: redis) else {
            throw ServiceError(.paused, "another process is rebuilding the campaign")
        }
        FaultPoint.afterLoadCoupon.reached()
        let claims = try await loadClaims(of: current)
        switch try await CouponGate.open(id, epoch: current.epoch, claims: claims, through: redis) {
        case .opened:
            logger.info("gate built", metadata: ["coupon": "\(id)", "epoch": "\(current.epoch)", "claims": "\(claims)"])
            try await adjust(id, builtWith: current.terms)
            return current.epoch
        case .superseded, .notLoaded, .incomplete:
            throw ServiceError(.paused, "the gate changed while it was built")
        }
    }

    /// A change that was made durable during the build found no open gate to tell, so the build passes it on.
    private func adjust(_ id: CouponID, builtWith terms: CampaignTerms) async throws {
        guard let latest = try reader.campaign(id), latest.terms != terms else { return }
        _ = try await CouponGate.adjust(id, to: latest.terms, through: redis)
    }

    private func loadClaims(of campaign: Campaign) async throws -> Int64 {
        var (count, last): (Int64, Int64) = (0, 0)
        while true {
            let chunk = try await store.claims(of: campaign.id, afterSequence: last, limit: CouponGate.claimsPerLoad)
            guard let end = chunk.last else { return count }
            let code = try await CouponGate.load(
                chunk.map { ($0.userID, $0.sequence) }, into: campaign.id, epoch: campaign.epoch, through: redis)
            guard code == .loaded else { throw ServiceError(.paused, "the gate changed while it was built") }
            FaultPoint.afterLoadClaims.reached()
            count += Int64(chunk.count)
            last = end.sequence
        }
    }
}
