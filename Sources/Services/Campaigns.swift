package import Commerce
import FaultPoints
import Logging
import NIOCore
import Redis
package import Store

/// Coupon campaigns: made and changed in the store, opened as gates in Redis.
///
/// Everyone who needs a gate built or realigned waits for the same piece of work.
package final class Campaigns: Sendable {
    private let store: Store
    private let reader: PointReader
    private let redis: RedisClient
    private let logger: Logger
    private let builds = SharedWork<CouponID, Int64?>()
    private let realignments = SharedWork<CouponID, Alignment>()
    private let changes = TaskQueue()

    init(store: Store, reader: PointReader, redis: RedisClient, logger: Logger) {
        (self.store, self.reader, self.redis, self.logger) = (store, reader, redis, logger)
    }

    /// Makes a campaign durable and opens its gate. With Redis away the campaign stands and its gate follows with the next recovery.
    package func create(
        _ terms: CampaignTerms, at now: Instant, on context: LoopContext? = nil, idempotency: IdempotentWrite<Campaign>? = nil
    ) async throws -> WriteResult<Campaign> {
        let result = try await store.createCampaign(terms, at: now, idempotency: idempotency, context: context)
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
        let outcome = try await update(id, change, context)
        FaultPoint.betweenStoreAndGate.reached()
        if case .done = outcome { await alignIfPossible(id) }
        return outcome
    }

    private func lower(
        _ campaign: Campaign, to terms: CampaignTerms, _ change: CampaignChange, _ context: LoopContext?
    ) async throws -> Outcome<Campaign> {
        if terms.quantity < campaign.issued { return .refused(.quantityIssued(issued: campaign.issued)) }
        var adjustment = try await CouponGate.adjust(campaign.id, to: terms, through: redis)
        if adjustment != .adjusted {
            // A gate of an older epoch may say that it has granted too many: only the store's own one is asked for good.
            try await build(campaign.id, beyond: nil)
            adjustment = try await CouponGate.adjust(campaign.id, to: terms, through: redis)
        }
        switch adjustment {
        case .belowIssued(let claims): return .refused(.quantityIssued(issued: claims))
        case .notLoaded: throw ServiceError(.paused, "the campaign is being rebuilt")
        case .adjusted: break
        }
        FaultPoint.betweenStoreAndGate.reached()
        do {
            let outcome = try await update(campaign.id, change, context)
            await alignIfPossible(campaign.id)
            return outcome
        } catch {
            await alignIfPossible(campaign.id)
            throw error
        }
    }

    private func update(_ id: CouponID, _ change: CampaignChange, _ context: LoopContext?) async throws -> Outcome<Campaign> {
        try await store.updateCampaign(id, change, context: context)
    }

    /// Tells the gate what the store has decided; where that fails, the next refusal or recovery finds the difference.
    private func alignIfPossible(_ id: CouponID) async {
        do {
            if case .impossible(let epoch) = try await align(id) { try await build(id, beyond: epoch) }
        } catch {
            logger.warning("gate not adjusted, recovery will", metadata: ["coupon": "\(id)", "error": "\(error)"])
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
    /// somebody who asked for less, left the wrong gate gate.
    ///
    /// - Returns: false where the store knows no such campaign.
    @discardableResult
    package func build(_ id: CouponID, beyond epoch: Int64?) async throws -> Bool {
        while true {
            let (gate, isOurs) = try await builds.run(id) { [self] in try await buildAlone(id, beyond: epoch) }
            guard let gate else { return false }
            if isOurs || gate > epoch ?? -1 { return true }
        }
    }

    /// Whether a gate is being built just now. The store has one service, so a paused gate that it does not build has lost its
    /// builder.
    package func isBuilding(_ id: CouponID) -> Bool { builds.isRunning(id) }

    /// The epoch of the gate that stands afterwards; `nil` where the store knows no such campaign.
    private func buildAlone(_ id: CouponID, beyond epoch: Int64?) async throws -> Int64? {
        guard let campaign = try reader.campaign(id) else { return nil }
        let gate = try await CouponGate.states(of: [id], through: redis)[0]
        if let gate, gate.isOpen, gate.isConsistent, gate.epoch == campaign.epoch, campaign.epoch > epoch ?? -1 {
            return campaign.epoch
        }
        // From the commit of the new epoch on, the store refuses every win of an older one: what it holds is all there is.
        guard case .done(let current) = try await beginEpoch(of: id, beyond: gate?.epoch ?? 0) else { return nil }
        FaultPoint.afterEpoch.reached()
        guard try await CouponGate.load(current, through: redis) else {
            throw ServiceError(.paused, "another process is rebuilding the campaign")
        }
        FaultPoint.afterLoadCoupon.reached()
        let claims = try await loadClaims(of: current)
        switch try await CouponGate.open(id, epoch: current.epoch, claims: claims, through: redis) {
        case .opened:
            logger.info("gate built", metadata: ["coupon": "\(id)", "epoch": "\(current.epoch)", "claims": "\(claims)"])
            try await align(id, builtWith: current.terms)
            return current.epoch
        case .superseded, .notLoaded, .incomplete:
            throw ServiceError(.paused, "the gate changed while it was built")
        }
    }

    private func beginEpoch(of id: CouponID, beyond gate: Int64) async throws -> Outcome<Campaign> {
        try await store.bumpEpoch(of: id, beyond: gate)
    }

    /// A change that was made durable during the build found no open gate to tell, so the build passes it on.
    ///
    /// A change waits for a build, so a build cannot wait for its turn among the changes. It looks again instead: a change that
    /// commits after the last look tells the gate after the build did.
    private func align(_ id: CouponID, builtWith terms: CampaignTerms) async throws {
        var told = terms
        while let latest = try reader.campaign(id)?.terms, latest != told {
            _ = try await CouponGate.adjust(id, to: latest, through: redis)
            told = latest
        }
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

extension Campaigns {
    /// What came of giving a gate the store's terms.
    private enum Alignment: Sendable {
        case aligned
        /// No such gate stands: one has to be built, beyond that epoch.
        case impossible(beyond: Int64?)
        case campaignMissing
    }

    /// Gives a gate that stands the quantity and window of the store, in turn with the changes: one of them may have agreed with
    /// the gate on fewer coupons that the store does not know of yet, or may have changed the store since the caller read it.
    ///
    /// - Returns: false where the store knows no such campaign.
    func realign(_ id: CouponID) async throws -> Bool {
        let (alignment, _) = try await realignments.run(id) { [self] in
            try await changes.run { [self] in try await align(id) }
        }
        switch alignment {
        case .aligned: return true
        case .impossible(let epoch): return try await build(id, beyond: epoch)
        case .campaignMissing: return false
        }
    }

    private func align(_ id: CouponID) async throws -> Alignment {
        guard let campaign = try reader.campaign(id) else { return .campaignMissing }
        return switch try await CouponGate.adjust(id, to: campaign.terms, through: redis) {
        case .adjusted: .aligned
        // More granted than there are: what was granted beyond the store's quantity has no force.
        case .belowIssued: .impossible(beyond: campaign.epoch)
        case .notLoaded: .impossible(beyond: nil)
        }
    }
}
