package import Commerce

extension TransactionalStore {
    /// Creates a campaign. Its epochs start at the store's incarnation, so a gate that an earlier incarnation left under the same id has
    /// an earlier epoch.
    package func createCampaign(
        _ terms: CampaignTerms, in context: WriteContext<Campaign>
    ) async throws(StoreError) -> WriteResult<Campaign> {
        try await write(CreateCampaign(terms: terms, epoch: identity.incarnation, now: context.time), in: context)
    }

    /// Changes quantity or window. An archived campaign becomes live again, so its gate may be built again.
    ///
    /// Refused: `couponNotFound`, `preconditionFailed` where `condition` does not hold for the campaign as it is, `quantityIssued`,
    /// `invalid` for a window that ends before it begins.
    package func updateCampaign(
        _ id: CouponID, _ change: CampaignChange, onlyIf condition: (@Sendable (Campaign) -> Bool)? = nil,
        log: AdminLog<Changed<Campaign>>? = nil, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<Campaign> {
        try await decide(UpdateCampaign(id: id, change: change, condition: condition), log: log, context: context).map(\.new)
    }

    /// Raises a live campaign's epoch to `epoch`: from the commit on, the store refuses every claim that was decided under an older
    /// one and that it does not have yet.
    ///
    /// Nil where the store's epoch is `epoch` or later already, because another service builds the gate, or where the campaign is archived.
    ///
    /// The writer runs it between claims: those recorded before it will be in the rebuilt gate, later ones of the older gate are stale.
    package func bumpEpoch(
        of id: CouponID, to epoch: Int64, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<Campaign?> {
        try await decide(RaiseEpoch(id: id, epoch: epoch), context: context)
    }
}

/// See ``TransactionalStore/createCampaign(_:in:)``.
struct CreateCampaign: UseCase {
    let terms: CampaignTerms
    let epoch: Int64
    let now: Instant

    var needs: Needs { Needs(new: NewRows(campaigns: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Campaign> {
        if let fault = terms.windowFault { return .refused(fault) }
        let id = try books.insertCampaign(terms, epoch: epoch, at: now)
        return .done(Campaign(id: id, terms: terms, issued: 0, createdAt: now, epoch: epoch))
    }
}

/// See ``TransactionalStore/updateCampaign(_:_:onlyIf:log:context:)``.
struct UpdateCampaign: UseCase {
    let id: CouponID
    let change: CampaignChange
    let condition: (@Sendable (Campaign) -> Bool)?

    var needs: Needs { Needs(campaigns: [id]) }

    func decide(_ books: some Books) throws -> Outcome<Changed<Campaign>> {
        guard let old = try books.campaign(id) else { return .refused(.couponNotFound) }
        if let condition, !condition(old) { return .refused(.preconditionFailed) }
        var terms = old.terms
        terms.quantity = change.quantity ?? terms.quantity
        terms.opensAt = change.opensAt ?? terms.opensAt
        terms.closesAt = change.removesEnd ? nil : change.closesAt ?? terms.closesAt
        guard terms.quantity >= old.issued else { return .refused(.quantityIssued(issued: old.issued)) }
        if let fault = terms.windowFault { return .refused(fault) }
        try books.changeTerms(of: id, to: terms)
        let new = Campaign(
            id: id, terms: terms, issued: old.issued, createdAt: old.createdAt, epoch: old.epoch, chain: old.chain)
        return .done(Changed(old: old, new: new))
    }
}

/// See ``TransactionalStore/bumpEpoch(of:to:context:)``.
struct RaiseEpoch: UseCase {
    let id: CouponID
    let epoch: Int64

    var needs: Needs { Needs(campaigns: [id]) }

    func decide(_ books: some Books) throws -> Outcome<Campaign?> {
        guard let old = try books.campaign(id) else { return .refused(.couponNotFound) }
        guard old.epoch < epoch, !old.isArchived else { return .done(nil) }
        try books.setEpoch(of: id, to: epoch)
        return .done(Campaign(id: id, terms: old.terms, issued: old.issued, createdAt: old.createdAt, epoch: epoch, chain: old.chain))
    }
}

// MARK: - Archiving

/// A campaign that is to be archived, as it was when its gate was compared with the store.
package struct ArchivalCandidate: Sendable, Equatable {
    package let id: CouponID
    /// The store's epoch then; if it has risen since, the gate may have changed too.
    package let epoch: Int64
    /// The epoch of the gate then, 0 where there was none.
    package let gateEpoch: Int64

    package init(id: CouponID, epoch: Int64, gateEpoch: Int64) {
        (self.id, self.epoch, self.gateEpoch) = (id, epoch, gateEpoch)
    }
}

/// A campaign whose gate has to be removed from Redis, if its epoch is at most `epoch`.
package struct ArchivedGate: Sendable, Equatable {
    package let id: CouponID
    package let epoch: Int64

    package init(id: CouponID, epoch: Int64) {
        (self.id, self.epoch) = (id, epoch)
    }
}

extension TransactionalStore {
    /// Begins to archive the campaigns that ended before `limit` and whose epoch is still that of the candidate, all in one commit. Their
    /// gates may be removed from then on, because the store refuses the claims that these decide.
    ///
    /// - Returns: the campaigns that are being archived, each with its new epoch, which is also later than the gate's.
    package func beginArchiving(
        _ candidates: [ArchivalCandidate], endedBefore limit: Instant, at now: Instant
    ) async throws(StoreError) -> [ArchivedGate] {
        try await write(BeginArchiving(candidates: candidates, limit: limit, now: now))
    }

    /// Notes that the gates were removed, all in one commit. A campaign that became live again meanwhile stays as it is.
    package func finishArchiving(_ gates: [ArchivedGate]) async throws(StoreError) {
        try await write(FinishArchiving(gates: gates))
    }
}

/// See ``TransactionalStore/beginArchiving(_:endedBefore:at:)``.
struct BeginArchiving: UseCase {
    let candidates: [ArchivalCandidate]
    let limit: Instant
    let now: Instant

    var needs: Needs { Needs(campaigns: candidates.map(\.id)) }

    func decide(_ books: some Books) throws -> Outcome<[ArchivedGate]> {
        var gates: [ArchivedGate] = []
        for candidate in candidates {
            guard let campaign = try books.campaign(candidate.id), campaign.epoch == candidate.epoch,
                let closesAt = campaign.terms.closesAt, closesAt <= limit, try books.archival(of: candidate.id) != .done
            else { continue }
            let epoch = max(candidate.epoch, candidate.gateEpoch) + 1
            try books.beginArchiving(candidate.id, epoch: epoch, at: now)
            gates.append(ArchivedGate(id: candidate.id, epoch: epoch))
        }
        return .done(gates)
    }
}

/// See ``TransactionalStore/finishArchiving(_:)``.
struct FinishArchiving: UseCase {
    let gates: [ArchivedGate]

    var needs: Needs { Needs(campaigns: gates.map(\.id)) }

    func decide(_ books: some Books) throws -> Outcome<Void> {
        for gate in gates where try books.archival(of: gate.id) == .begun && books.campaign(gate.id)?.epoch == gate.epoch {
            try books.finishArchiving(gate.id)
        }
        return .done(())
    }
}

extension CampaignTerms {
    var windowFault: Refusal? {
        guard let closesAt, closesAt <= opensAt else { return nil }
        return .invalid(field: "closesAt", reason: "must be after opensAt")
    }
}
