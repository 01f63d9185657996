package import Commerce
import FaultPoints
import Logging
import NIOCore
import Redis
package import Store
import Synchronization

/// Coupon campaigns: made and changed in the store, opened as gates in Redis.
///
/// Callers that need the gate of the same campaign built or realigned share one piece of work.
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

    /// Makes a campaign durable and opens its gate. Without Redis the campaign exists, and the next recovery opens its gate.
    package func create(
        _ terms: CampaignTerms, in context: WriteContext<Campaign>
    ) async throws -> WriteResult<Campaign> {
        let result = try await store.createCampaign(terms, in: context)
        if case .done(let campaign) = result { await buildIfPossible(campaign.id) }
        return result
    }

    /// Changes quantity or window, one change at a time. Fewer coupons are agreed with the gate first, since it may have granted
    /// more than the store knows yet; everything else is durable first and reaches the gate next. Nothing changes where `condition`
    /// does not hold for the campaign as it is: `preconditionFailed`.
    ///
    /// Any change gives an archived campaign its gate back. No claim was granted while it had none, so the store has every coupon.
    package func change(
        _ id: CouponID, _ change: CampaignChange, onlyIf condition: (@Sendable (Campaign) -> Bool)? = nil, at now: Instant,
        on context: LoopContext? = nil
    ) async throws -> Outcome<Campaign> {
        try await changes.run { [self] in
            guard let campaign = try reader.campaign(id) else { return .refused(.couponNotFound) }
            // Before a gate is told of fewer coupons; the write asks again.
            if let condition, !condition(campaign) { return .refused(.preconditionFailed) }
            let update: Update = { [store] in try await store.updateCampaign(id, change, onlyIf: condition, context: context) }
            guard !campaign.isArchived else { return try await revive(id, update) }
            guard let quantity = change.quantity, quantity < campaign.terms.quantity else { return try await raise(id, update) }
            var terms = campaign.terms
            terms.quantity = quantity
            return try await lower(campaign, to: terms, update)
        }
    }

    /// Makes a change of a campaign durable.
    private typealias Update = @Sendable () async throws -> Outcome<Campaign>

    private func revive(_ id: CouponID, _ update: Update) async throws -> Outcome<Campaign> {
        let outcome = try await update()
        FaultPoint.betweenStoreAndGate.reached()
        if case .done = outcome { await buildIfPossible(id) }
        return outcome
    }

    private func raise(_ id: CouponID, _ update: Update) async throws -> Outcome<Campaign> {
        let outcome = try await update()
        FaultPoint.betweenStoreAndGate.reached()
        if case .done = outcome { await alignIfPossible(id) }
        return outcome
    }

    private func lower(_ campaign: Campaign, to terms: CampaignTerms, _ update: Update) async throws -> Outcome<Campaign> {
        if terms.quantity < campaign.issued { return .refused(.quantityIssued(issued: campaign.issued)) }
        var adjustment = try await CouponGate.adjust(campaign.id, of: store.identity, to: terms, through: redis)
        if adjustment != .adjusted {
            // A gate of an older epoch may say that it has granted too many: only a gate of the store's epoch decides.
            try await build(campaign.id, beyond: nil, waits: true)
            adjustment = try await CouponGate.adjust(campaign.id, of: store.identity, to: terms, through: redis)
        }
        switch adjustment {
        case .belowIssued(let claims): return .refused(.quantityIssued(issued: claims))
        case .notLoaded: throw ServiceError(.paused, "the campaign is being rebuilt")
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

    /// Tells the gate what the store has decided; where that fails, the next refusal or recovery finds the difference.
    private func alignIfPossible(_ id: CouponID) async {
        do {
            if case .impossible(let epoch) = try await align(id) { try await build(id, beyond: epoch, waits: true) }
        } catch {
            logger.warning("gate adjustment failed; recovery retries it", metadata: ["coupon": "\(id)", "error": "\(error)"])
        }
    }

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
    /// Ensures an open gate with the store's epoch. Several services may call it at once: one builds, the others are told to come back.
    ///
    /// A gate that is open, consistent and of the store's epoch stays as it is, unless the caller names `epoch`: the epoch in which it
    /// has found a contradiction, such as a win that the store refuses as stale. Then the gate must be of a later one.
    /// Callers of this service share a build. If the joined build leaves the gate at `epoch` or earlier, another build follows.
    ///
    /// - Parameter waits: waits where the last build of this campaign began less than 200 ms ago. Claims do not.
    /// - Returns: false where the store knows no such campaign.
    /// - Throws: `ServiceError` with code `paused` while another service builds the gate, and within 200 ms of the last build's begin;
    ///   with code `archived` where the campaign has no gate any more.
    @discardableResult
    package func build(_ id: CouponID, beyond epoch: Int64?, waits: Bool = false) async throws -> Bool {
        while true {
            // Outside of the shared work: claims that join it are not to wait.
            if waits, let pause = recent.withLock({ $0.pause(before: id, at: .now) }) { try await Task.sleep(for: pause) }
            let (gate, isOurs) = try await builds.run(id) { [self] in try await buildAlone(id, beyond: epoch) }
            guard let gate else { return false }
            if isOurs || gate > epoch ?? -1 { return true }
        }
    }

    /// The epoch of the open gate; `nil` where the store knows no such campaign.
    private func buildAlone(_ id: CouponID, beyond epoch: Int64?) async throws -> Int64? {
        guard var campaign = try reader.campaign(id) else { return nil }
        let gate = try await CouponGate.settledState(of: id, through: redis)
        if let gate, gate.loadedEpoch(of: store.identity) > campaign.epoch, let again = try reader.campaign(id) {
            // Another service may have built the gate between the two reads: the store knows an epoch before a gate of it opens.
            campaign = again
        }
        guard !campaign.isArchived else { throw ServiceError(.archived, "the campaign is archived") }
        // Either the whole Redis is of another store, or the gate is a leftover of an earlier one and is replaced. The gate of a later
        // incarnation stays: `load_coupon` takes later epochs only.
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

    /// Whether another service builds the gate: its build wrote to it lately. A build of this service that ran would have been joined.
    ///
    /// The gate's epoch does not matter: a build of an older epoch ends soon, by opening a gate that is then replaced, or by silence.
    private func isBeingBuilt(_ gate: CouponGate.GateState, of id: CouponID) -> Bool {
        guard !gate.isOpen, gate.silenceMilliseconds < CouponGate.takeoverMilliseconds else { return false }
        return recent.withLock { !$0.hasLeft(epoch: gate.epoch, of: id) }
    }

    /// Builds a gate of a new epoch in place of the one that was seen.
    ///
    /// Redis decides which of several services builds: `load_coupon` takes each epoch from one of them only. The winner then raises the
    /// store's epoch, before it reads the claims: from that commit on the store refuses every win of an older gate, so what it holds
    /// is all there is. Where Redis has forgotten the first of two builds, the store accepts the epoch from one of them only.
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
        // A gate of an epoch that the store has left would be closed again at the first win.
        guard try reader.campaign(id)?.epoch == epoch else { throw ServiceError(.paused, "another service builds the gate anew") }
        switch try await CouponGate.open(id, epoch: epoch, claims: claims, through: redis) {
        case .opened:
            logger.info("gate built", metadata: ["coupon": "\(id)", "epoch": "\(epoch)", "claims": "\(claims)"])
            try await align(id, builtWith: terms)
            return epoch
        case .superseded, .notLoaded, .incomplete:
            throw ServiceError(.paused, "the gate changed while it was built")
        }
    }

    /// Removes the gate that a build has paused after its campaign was archived: no other part removes it before the next reconnect.
    ///
    /// - Throws: `ServiceError` with code `archived` where the campaign is.
    private func removeIfArchived(_ id: CouponID, epoch: Int64) async throws {
        guard let campaign = try reader.campaign(id), campaign.isArchived else { return }
        // A gate of a campaign that is brought back from here on is of a later epoch than both.
        _ = try await CouponGate.archive([ArchivedGate(id: id, epoch: max(epoch, campaign.epoch))], through: redis)
        throw ServiceError(.archived, "the campaign is archived")
    }

    /// A change that was made durable during the build found no open gate to tell, so the build passes it on.
    ///
    /// A change waits for a build, so a build cannot wait for its turn among the changes. It looks again instead: a change that
    /// commits after the last look tells the gate after the build did.
    private func align(_ id: CouponID, builtWith terms: CampaignTerms) async throws {
        var told = terms
        while let latest = try reader.campaign(id)?.terms, latest != told {
            _ = try await CouponGate.adjust(id, of: store.identity, to: latest, through: redis)
            told = latest
        }
    }

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
    /// What came of giving a gate the store's terms.
    private enum Alignment: Sendable {
        case aligned
        /// There is no such gate: one has to be built, beyond that epoch.
        case impossible(beyond: Int64?)
        case campaignMissing
    }

    /// Gives an open gate the quantity and window of the store, in turn with the changes: one of them may have agreed with
    /// the gate on fewer coupons that the store does not know of yet, or may have changed the store since the caller read it.
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
        // More granted than there are: claims beyond the store's quantity are void.
        case .belowIssued: .impossible(beyond: campaign.epoch)
        case .notLoaded: .impossible(beyond: nil)
        }
    }
}
