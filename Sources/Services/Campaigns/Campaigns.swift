package import Commerce
import FaultPoints
package import Logging
import NIOCore
import Redis
package import Store
import Synchronization

/// Creates and changes campaigns in the store, and builds their gates in Redis.
///
/// Concurrent callers that need the same gate built or realigned share one run of that work.
package final class Campaigns: Sendable {
    let store: TransactionalStore
    let reader: PointReader
    let redis: RedisClient
    let logger: Logger
    let builds = SharedWork<CouponID, Int64?>()
    let recent = Mutex(RecentBuilds())
    private let realignments = SharedWork<CouponID, Alignment>()
    private let changes = TaskQueue()

    init(store: TransactionalStore, reader: PointReader, redis: RedisClient, logger: Logger) {
        (self.store, self.reader, self.redis, self.logger) = (store, reader, redis, logger)
    }

    /// Writes a campaign to the store, then builds its gate. If the gate cannot be built, the campaign exists nevertheless, and the next
    /// claim or recovery builds its gate.
    ///
    /// - Parameter origin: what log lines say beside the campaign, such as the request.
    package func create(
        _ terms: CampaignTerms, in context: WriteContext<Campaign>, origin: Logger.Metadata = [:]
    ) async throws -> WriteResult<Campaign> {
        let result = try await store.createCampaign(terms, in: context)
        if case .done(let campaign) = result { await buildIfPossible(campaign.id, origin) }
        return result
    }

    /// Changes a campaign's quantity or window. One change runs at a time.
    ///
    /// A smaller quantity is agreed with the gate before it is written, because the gate may have granted more claims than the store has
    /// written yet. Every other change is written first and then passed to the gate. An archived campaign gets its gate back.
    ///
    /// - Parameters:
    ///   - condition: must hold for the present campaign; otherwise nothing changes, and the outcome is `preconditionFailed`.
    ///   - log: how the change is logged where an admin asks for it.
    ///   - origin: what log lines say beside the campaign, such as the request.
    package func change(
        _ id: CouponID, _ change: CampaignChange, onlyIf condition: (@Sendable (Campaign) -> Bool)? = nil,
        log: AdminLog<Changed<Campaign>>? = nil, on context: LoopContext? = nil, origin: Logger.Metadata = [:]
    ) async throws -> Outcome<Campaign> {
        try await changes.run { [self] in
            guard let campaign = try await reader.find(campaign: id).row else { return .refused(.couponNotFound) }
            // Checked here before the gate gets a smaller quantity, and again in the transaction of the write.
            if let condition, !condition(campaign) { return .refused(.preconditionFailed) }
            let update: Update = { [store] in try await store.updateCampaign(id, change, onlyIf: condition, log: log, context: context) }
            guard !campaign.isArchived else { return try await unarchive(id, update, origin) }
            guard let quantity = change.quantity, quantity < campaign.terms.quantity else {
                return try await changeStoreFirst(id, update, origin)
            }
            var terms = campaign.terms
            terms.quantity = quantity
            return try await lowerQuantity(of: campaign, to: terms, update, origin)
        }
    }

    /// Writes the change to the store.
    private typealias Update = @Sendable () async throws -> Outcome<Campaign>

    /// Changes an archived campaign and builds its gate. The store has all its coupons: without a gate, no claim was granted.
    private func unarchive(_ id: CouponID, _ update: Update, _ origin: Logger.Metadata) async throws -> Outcome<Campaign> {
        let outcome = try await update()
        FaultPoint.betweenStoreAndGate.reached()
        if case .done = outcome { await buildIfPossible(id, origin) }
        return outcome
    }

    /// Writes the change, then passes it to the gate.
    private func changeStoreFirst(_ id: CouponID, _ update: Update, _ origin: Logger.Metadata) async throws -> Outcome<Campaign> {
        let outcome = try await update()
        FaultPoint.betweenStoreAndGate.reached()
        if case .done = outcome { await alignIfPossible(id, origin) }
        return outcome
    }

    /// Lowers the quantity in the gate, unless it has granted more claims than that, then in the store.
    private func lowerQuantity(
        of campaign: Campaign, to terms: CampaignTerms, _ update: Update, _ origin: Logger.Metadata
    ) async throws -> Outcome<Campaign> {
        if terms.quantity < campaign.issued { return .refused(.quantityIssued(issued: campaign.issued)) }
        var adjustment = try await CouponGate.adjust(campaign.id, of: store.identity, to: terms, through: redis)
        if adjustment != .adjusted {
            // Only a gate of the store's epoch decides: an older one may count claims that the store has refused as stale.
            try await build(campaign.id, beyond: nil, waits: true)
            adjustment = try await CouponGate.adjust(campaign.id, of: store.identity, to: terms, through: redis)
        }
        switch adjustment {
        case .belowIssued(let claims): return .refused(.quantityIssued(issued: claims))
        case .notLoaded: throw ServiceError(.paused, "the campaign's gate is being rebuilt")
        case .adjusted: break
        }
        FaultPoint.betweenStoreAndGate.reached()
        do {
            let outcome = try await update()
            await alignIfPossible(campaign.id, origin)
            return outcome
        } catch {
            await alignIfPossible(campaign.id, origin)
            throw error
        }
    }

    /// Gives the gate the store's terms. If that fails, the next refusal of a claim or the next recovery finds the difference.
    private func alignIfPossible(_ id: CouponID, _ origin: Logger.Metadata) async {
        do {
            if case .impossible(let epoch) = try await align(id) { try await build(id, beyond: epoch, waits: true) }
        } catch {
            log("gate adjustment failed; recovery retries it", id, error, origin)
        }
    }

    /// Builds the gate. If that fails, the next claim or recovery builds it.
    private func buildIfPossible(_ id: CouponID, _ origin: Logger.Metadata) async {
        do {
            try await build(id, beyond: nil, waits: true)
        } catch {
            log("gate not opened; recovery retries it", id, error, origin)
        }
    }

    private func log(_ message: Logger.Message, _ id: CouponID, _ error: any Error, _ origin: Logger.Metadata) {
        logger.warning(message, metadata: origin.merging(["coupon": "\(id)", "error": "\(error)"]) { own, _ in own })
    }
}

extension Campaigns {
    /// The result of giving a gate the store's terms.
    private enum Alignment: Sendable {
        case aligned
        /// There is no gate that can take them; one must be built, with a later epoch than `beyond` where that is given.
        case impossible(beyond: Int64?)
        case campaignMissing
    }

    /// Gives an open gate the store's quantity and window.
    ///
    /// It runs in turn with the changes of campaigns: a running change may have lowered the quantity in the gate and not in the store
    /// yet, or may have changed the store since the caller read it.
    ///
    /// - Returns: false where the store knows no such campaign.
    func realign(_ id: CouponID) async throws -> Bool {
        let (alignment, _) = try await realignments.run(id) { [self] in
            try await changes.run { [self] in try await align(id) }
        }
        switch alignment {
        case .aligned: return true
        case .impossible(let epoch): return try await build(id, beyond: epoch, waits: true)
        case .campaignMissing: return false
        }
    }

    private func align(_ id: CouponID) async throws -> Alignment {
        guard let campaign = try await reader.find(campaign: id).row else { return .campaignMissing }
        return switch try await CouponGate.adjust(id, of: store.identity, to: campaign.terms, through: redis) {
        case .adjusted: .aligned
        // The gate has granted more claims than the store's quantity. A new gate holds only those that are in the store.
        case .belowIssued: .impossible(beyond: campaign.epoch)
        case .notLoaded: .impossible(beyond: nil)
        }
    }
}
