package import Commerce
import FaultPoints
import Logging
import NIOCore
import Redis
package import Store
import Synchronization

/// Creates and changes campaigns in the store, and builds their gates in Redis.
///
/// Concurrent callers that need the same gate built or realigned share one run of that work.
package final class Campaigns: Sendable {
    private let store: TransactionalStore
    private let reader: PointReader
    private let redis: RedisClient
    private let logger: Logger
    private let builds = SharedWork<CouponID, Int64?>()
    private let recent = Mutex(RecentBuilds())
    private let realignments = SharedWork<CouponID, Alignment>()
    private let changes = TaskQueue()

    init(store: TransactionalStore, reader: PointReader, redis: RedisClient, logger: Logger) {
        (self.store, self.reader, self.redis, self.logger) = (store, reader, redis, logger)
    }

    /// Writes a campaign to the store, then builds its gate. If the gate cannot be built, the campaign exists nevertheless, and the next
    /// claim or recovery builds its gate.
    package func create(
        _ terms: CampaignTerms, in context: WriteContext<Campaign>
    ) async throws -> WriteResult<Campaign> {
        let result = try await store.createCampaign(terms, in: context)
        if case .done(let campaign) = result { await buildIfPossible(campaign.id) }
        return result
    }

    /// Changes a campaign's quantity or window. One change runs at a time.
    ///
    /// A smaller quantity is agreed with the gate before it is written, because the gate may have granted more claims than the store has
    /// written yet. Every other change is written first and then passed to the gate. An archived campaign gets its gate back.
    ///
    /// - Parameter condition: must hold for the present campaign; otherwise nothing changes, and the outcome is `preconditionFailed`.
    package func change(
        _ id: CouponID, _ change: CampaignChange, onlyIf condition: (@Sendable (Campaign) -> Bool)? = nil,
        on context: LoopContext? = nil
    ) async throws -> Outcome<Campaign> {
        try await changes.run { [self] in
            guard let campaign = try reader.campaign(id) else { return .refused(.couponNotFound) }
            // Checked here before the gate gets a smaller quantity, and again in the transaction of the write.
            if let condition, !condition(campaign) { return .refused(.preconditionFailed) }
            let update: Update = { [store] in try await store.updateCampaign(id, change, onlyIf: condition, context: context) }
            guard !campaign.isArchived else { return try await unarchive(id, update) }
            guard let quantity = change.quantity, quantity < campaign.terms.quantity else {
                return try await changeStoreFirst(id, update)
            }
            var terms = campaign.terms
            terms.quantity = quantity
            return try await lowerQuantity(of: campaign, to: terms, update)
        }
    }

    /// Writes the change to the store.
    private typealias Update = @Sendable () async throws -> Outcome<Campaign>

    /// Changes an archived campaign and builds its gate. The store has all its coupons: without a gate, no claim was granted.
    private func unarchive(_ id: CouponID, _ update: Update) async throws -> Outcome<Campaign> {
        let outcome = try await update()
        FaultPoint.betweenStoreAndGate.reached()
        if case .done = outcome { await buildIfPossible(id) }
        return outcome
    }

    /// Writes the change, then passes it to the gate.
    private func changeStoreFirst(_ id: CouponID, _ update: Update) async throws -> Outcome<Campaign> {
        let outcome = try await update()
        FaultPoint.betweenStoreAndGate.reached()
        if case .done = outcome { await alignIfPossible(id) }
        return outcome
    }

    /// Lowers the quantity in the gate, unless it has granted more claims than that, then in the store.
    private func lowerQuantity(of campaign: Campaign, to terms: CampaignTerms, _ update: Update) async throws -> Outcome<Campaign> {
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
            await alignIfPossible(campaign.id)
            return outcome
        } catch {
            await alignIfPossible(campaign.id)
            throw error
        }
    }

    /// Gives the gate the store's terms. If that fails, the next refusal of a claim or the next recovery finds the difference.
    private func alignIfPossible(_ id: CouponID) async {
        do {
            if case .impossible(let epoch) = try await align(id) { try await build(id, beyond: epoch, waits: true) }
        } catch {
            logger.warning("gate adjustment failed; recovery retries it", metadata: ["coupon": "\(id)", "error": "\(error)"])
        }
    }

    /// Builds the gate. If that fails, the next claim or recovery builds it.
    private func buildIfPossible(_ id: CouponID) async {
        do {
            try await build(id, beyond: nil, waits: true)
        } catch {
            logger.warning("gate not opened; recovery retries it", metadata: ["coupon": "\(id)", "error": "\(error)"])
        }
    }
}

// MARK: - Building gates

extension Campaigns {
    /// Ensures an open gate with the store's epoch. If several services call this at once, one builds and the others throw `paused`.
    ///
    /// A gate that is open, consistent and of the store's epoch is kept. Callers of this service share a build; if a joined build leaves
    /// the gate at `epoch` or earlier, another build follows.
    ///
    /// - Parameters:
    ///   - epoch: the epoch of a gate that was found to contradict the store, for example by a win that the store refused as stale. The
    ///     gate must then be of a later epoch. Nil where any gate of the store's epoch will do.
    ///   - waits: whether to wait, instead of throwing `paused`, where the last build of this campaign began less than 200 ms ago. Claims
    ///     do not wait.
    /// - Returns: false where the store knows no such campaign.
    /// - Throws: `ServiceError` with code `paused` while another service builds the gate, or where the last build began less than 200 ms
    ///   ago; with code `archived` where the campaign is archived.
    @discardableResult
    package func build(_ id: CouponID, beyond epoch: Int64?, waits: Bool = false) async throws -> Bool {
        while true {
            // Waited outside of the shared work, because claims that join it must not wait.
            if waits, let pause = recent.withLock({ $0.pause(before: id, at: .now) }) { try await Task.sleep(for: pause) }
            let (gate, isOurs) = try await builds.run(id) { [self] in try await buildAlone(id, beyond: epoch) }
            guard let gate else { return false }
            if isOurs || gate > epoch ?? -1 { return true }
        }
    }

    /// Builds the gate where that is needed. Runs once at a time for each campaign in this service.
    ///
    /// - Returns: the epoch of the open gate; `nil` where the store knows no such campaign.
    private func buildAlone(_ id: CouponID, beyond epoch: Int64?) async throws -> Int64? {
        guard var campaign = try reader.campaign(id) else { return nil }
        let gate = try await CouponGate.settledState(of: id, through: redis)
        if let gate, gate.loadedEpoch(of: store.identity) > campaign.epoch, let again = try reader.campaign(id) {
            // Another service may have built the gate between the two reads. An epoch is in the store before its gate opens, so the
            // campaign read again has it.
            campaign = again
        }
        guard !campaign.isArchived else { throw ServiceError(.archived, "the campaign is archived") }
        // A gate of another store: either the whole Redis serves that store, which the check finds, or the gate is left over from an
        // earlier one and is replaced. A gate of a later incarnation is not replaced, because `load_coupon` takes later epochs only.
        if let gate, !gate.isOf(store.identity) { try await StoreAdmission.check(redis) }
        if let gate, gate.isOf(store.identity), gate.isOpen, gate.isConsistent, gate.epoch == campaign.epoch, campaign.epoch > epoch ?? -1 {
            return campaign.epoch
        }
        if let gate, gate.isOf(store.identity), isBeingBuilt(gate, of: id) {
            throw ServiceError(.paused, "another service is building the gate")
        }
        guard recent.withLock({ $0.pause(before: id, at: .now) }) == nil else {
            throw ServiceError(.paused, "the gate was built a moment ago")
        }
        return try await replace(gate, of: campaign)
    }

    /// Whether another service is building the gate, which is so where a build has written to it lately. A running build of this service
    /// cannot be meant, because callers join it.
    ///
    /// The gate's epoch does not matter: a build of an older epoch ends soon, either by opening a gate that is then replaced, or by
    /// writing nothing for the takeover time.
    private func isBeingBuilt(_ gate: CouponGate.GateState, of id: CouponID) -> Bool {
        guard !gate.isOpen, gate.silenceMilliseconds < CouponGate.takeoverMilliseconds else { return false }
        return recent.withLock { !$0.hasLeft(epoch: gate.epoch, of: id) }
    }

    /// Builds a gate of a new epoch and replaces the gate that was read.
    ///
    /// Redis decides which of several services builds: `load_coupon` accepts each epoch only once. The chosen service raises the store's
    /// epoch before it reads the issued coupons. From that commit on the store refuses every win of an older gate, so the coupons that
    /// are read then are complete. If Redis loses data between two builds of one epoch, the store accepts the epoch from one of them only.
    private func replace(_ gate: CouponGate.GateState?, of campaign: Campaign) async throws -> Int64? {
        let (id, terms) = (campaign.id, campaign.terms)
        let epoch = max(campaign.epoch, gate?.loadedEpoch(of: store.identity) ?? 0) + 1
        recent.withLock { $0.begin(id, at: .now) }
        defer { recent.withLock { $0.end(id, at: .now) } }
        let next = Campaign(id: id, terms: terms, issued: campaign.issued, createdAt: campaign.createdAt, epoch: epoch)
        guard try await CouponGate.load(next, of: store.identity, through: redis) else {
            throw ServiceError(.paused, "another service is building the gate")
        }
        recent.withLock { $0.hasPaused(id, epoch: epoch) }
        FaultPoint.afterLoadCoupon.reached()
        guard case .done(let bumped) = try await store.bumpEpoch(of: id, to: epoch) else { return nil }
        guard bumped != nil else {
            try await removeIfArchived(id, epoch: epoch)
            throw ServiceError(.paused, "another service has built the gate")
        }
        FaultPoint.afterEpoch.reached()
        let claims = try await loadClaims(of: id, epoch: epoch)
        // If the store has a later epoch by now, it would refuse every win of this gate as stale.
        guard try reader.campaign(id)?.epoch == epoch else { throw ServiceError(.paused, "another service is rebuilding the gate") }
        switch try await CouponGate.open(id, epoch: epoch, claims: claims, through: redis) {
        case .opened:
            logger.info("gate built", metadata: ["coupon": "\(id)", "epoch": "\(epoch)", "claims": "\(claims)"])
            try await align(id, builtWith: terms)
            return epoch
        case .superseded, .notLoaded, .incomplete:
            throw ServiceError(.paused, "the gate changed while it was built")
        }
    }

    /// Removes the gate that a build has paused, where its campaign was archived meanwhile. Nothing else would remove it before the next
    /// reconnect.
    ///
    /// - Throws: `ServiceError` with code `archived` where the campaign is.
    private func removeIfArchived(_ id: CouponID, epoch: Int64) async throws {
        guard let campaign = try reader.campaign(id), campaign.isArchived else { return }
        // If the campaign gets its gate back from now on, that gate has a later epoch than both and is not removed.
        _ = try await CouponGate.archive([ArchivedGate(id: id, epoch: max(epoch, campaign.epoch))], through: redis)
        throw ServiceError(.archived, "the campaign is archived")
    }

    /// Gives the gate the terms of changes that were committed during the build, because these found no open gate.
    ///
    /// A build cannot run in turn with the changes, because a change may wait for the build. So it reads the terms until they are those
    /// that it gave to the gate. A change that commits after the last read passes its terms to the gate itself.
    private func align(_ id: CouponID, builtWith terms: CampaignTerms) async throws {
        var given = terms
        while let latest = try reader.campaign(id)?.terms, latest != given {
            _ = try await CouponGate.adjust(id, of: store.identity, to: latest, through: redis)
            given = latest
        }
    }

    /// Fills the paused gate with the store's issued coupons.
    ///
    /// - Returns: how many they are.
    private func loadClaims(of id: CouponID, epoch: Int64) async throws -> Int64 {
        var count: Int64 = 0
        for try await page in store.claimPages(of: id, size: CouponGate.claimsPerLoad) where !page.isEmpty {
            let code = try await CouponGate.load(page.map { ($0.userID, $0.sequence) }, into: id, epoch: epoch, through: redis)
            guard code == .loaded else { throw ServiceError(.paused, "the gate changed while it was built") }
            FaultPoint.afterLoadClaims.reached()
            count += Int64(page.count)
        }
        return count
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
        guard let campaign = try reader.campaign(id) else { return .campaignMissing }
        return switch try await CouponGate.adjust(id, of: store.identity, to: campaign.terms, through: redis) {
        case .adjusted: .aligned
        // The gate has granted more claims than the store's quantity. A new gate holds only those that are in the store.
        case .belowIssued: .impossible(beyond: campaign.epoch)
        case .notLoaded: .impossible(beyond: nil)
        }
    }
}
