package import Commerce
import FaultPoints
import Logging
import Redis
import Store
import Synchronization

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
        guard var campaign = try await reader.find(campaign: id).row else { return nil }
        let gate = try await CouponGate.settledState(of: id, through: redis)
        if let gate, gate.loadedEpoch(of: store.identity) > campaign.epoch, let again = try await reader.find(campaign: id).row {
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
        guard try await reader.find(campaign: id).row?.epoch == epoch else {
            throw ServiceError(.paused, "another service is rebuilding the gate")
        }
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
        guard let campaign = try await reader.find(campaign: id).row, campaign.isArchived else { return }
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
        while let latest = try await reader.find(campaign: id).row?.terms, latest != given {
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
