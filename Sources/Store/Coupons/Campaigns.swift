package import Commerce
import GRDB

extension TransactionalStore {
    /// Creates a campaign. Its epochs start at the store's incarnation, so a gate that an earlier incarnation left under the same id has
    /// an earlier epoch.
    package func createCampaign(
        _ terms: CampaignTerms, in context: WriteContext<Campaign>
    ) async throws(StoreError) -> WriteResult<Campaign> {
        try await write(in: context) { [epoch = identity.incarnation] db, now in
            if let fault = terms.windowFault { return .refused(fault) }
            let discount = DiscountColumns(terms.discount)
            try db.run(
                """
                INSERT INTO campaigns (name, discount_type, discount_value, discount_max, quantity, opens_at, closes_at, valid_for_s,
                    min_order, restore_on_refund, created_at, epoch)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """, terms.name, discount.type, discount.value, Nullable(discount.maximum), terms.quantity, terms.opensAt,
                Nullable(terms.closesAt), terms.validForSeconds, terms.minOrderAmount, terms.restoreOnRefund, now, epoch)
            return .done(Campaign(id: CouponID(db.lastInsertedRowID), terms: terms, issued: 0, createdAt: now, epoch: epoch))
        }
    }

    /// Changes quantity or window. An archived campaign becomes live again, so its gate may be built again.
    ///
    /// Refused: `couponNotFound`, `preconditionFailed` where `condition` does not hold for the campaign as it is, `quantityIssued`,
    /// `invalid` for a window that ends before it begins.
    package func updateCampaign(
        _ id: CouponID, _ change: CampaignChange, onlyIf condition: (@Sendable (Campaign) -> Bool)? = nil,
        context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<Campaign> {
        try await decide(context: context) { [rowVersions] db in
            guard let old = try db.campaign(id) else { return .refused(.couponNotFound) }
            if let condition, !condition(old) { return .refused(.preconditionFailed) }
            var terms = old.terms
            terms.quantity = change.quantity ?? terms.quantity
            terms.opensAt = change.opensAt ?? terms.opensAt
            terms.closesAt = change.removesEnd ? nil : change.closesAt ?? terms.closesAt
            guard terms.quantity >= old.issued else { return .refused(.quantityIssued(issued: old.issued)) }
            if let fault = terms.windowFault { return .refused(fault) }
            rowVersions.changing(id.rawValue, in: .campaigns)
            try db.run(
                "UPDATE campaigns SET quantity = ?, opens_at = ?, closes_at = ?, archival = 0, archived_at = NULL WHERE id = ?",
                terms.quantity, terms.opensAt, Nullable(terms.closesAt), id)
            return .done(Campaign(id: id, terms: terms, issued: old.issued, createdAt: old.createdAt, epoch: old.epoch))
        }
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
        try await decide(context: context) { [rowVersions] db in
            guard let old = try db.campaign(id) else { return .refused(.couponNotFound) }
            guard old.epoch < epoch, !old.isArchived else { return .done(nil) }
            rowVersions.changing(id.rawValue, in: .campaigns)
            try db.run("UPDATE campaigns SET epoch = ? WHERE id = ?", epoch, id)
            return .done(Campaign(id: id, terms: old.terms, issued: old.issued, createdAt: old.createdAt, epoch: epoch))
        }
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
        try await write(context: nil) { [rowVersions] db in
            var gates: [ArchivedGate] = []
            for candidate in candidates {
                rowVersions.changing(candidate.id.rawValue, in: .campaigns)
                let epoch = max(candidate.epoch, candidate.gateEpoch) + 1
                let changed = try db.changes(
                    """
                    UPDATE campaigns SET archival = 1, archived_at = ?, epoch = ?
                    WHERE id = ? AND epoch = ? AND archival < 2 AND closes_at <= ?
                    """, now, epoch, candidate.id, candidate.epoch, limit)
                if changed > 0 { gates.append(ArchivedGate(id: candidate.id, epoch: epoch)) }
            }
            return gates
        }
    }

    /// Notes that the gates were removed, all in one commit. A campaign that became live again meanwhile stays as it is.
    package func finishArchiving(_ gates: [ArchivedGate]) async throws(StoreError) {
        try await write(context: nil) { db in
            for gate in gates {
                try db.run("UPDATE campaigns SET archival = 2 WHERE id = ? AND epoch = ? AND archival = 1", gate.id, gate.epoch)
            }
        }
    }
}

extension CampaignTerms {
    var windowFault: Refusal? {
        guard let closesAt, closesAt <= opensAt else { return nil }
        return .invalid(field: "closesAt", reason: "must be after opensAt")
    }
}

/// A discount as stored: type 0 is a fixed amount, type 1 a percentage with an optional maximum.
struct DiscountColumns {
    let type: Int64
    let value: Int64
    let maximum: Won?

    init(_ discount: Discount) {
        switch discount {
        case .fixed(let amount): (type, value, maximum) = (0, amount.rawValue, nil)
        case .percent(let percent, let maxAmount): (type, value, maximum) = (1, percent, maxAmount)
        }
    }

    init(type: Int64, value: Int64, maximum: Won?) {
        (self.type, self.value, self.maximum) = (type, value, maximum)
    }

    var discount: Discount {
        type == 0 ? .fixed(amount: Won(value)) : .percent(value, maxAmount: maximum)
    }
}

extension Database {
    static let campaignQuery = """
        SELECT id, name, discount_type, discount_value, discount_max, quantity, opens_at, closes_at, valid_for_s, min_order,
            restore_on_refund, issued, created_at, epoch, archival
        FROM campaigns
        """
    private static let campaignByID = campaignQuery + " WHERE id = ?"

    func campaign(_ id: CouponID) throws -> Campaign? {
        try first(Self.campaignByID, id, read: Self.campaign)
    }

    static func campaign(_ row: Columns) -> Campaign {
        let discount = DiscountColumns(type: row.int(2), value: row.int(3), maximum: row.optionalWon(4)).discount
        let terms = CampaignTerms(
            name: row.text(1), discount: discount, quantity: row.int(5), opensAt: row.instant(6), closesAt: row.optionalInstant(7),
            validForSeconds: row.int(8), minOrderAmount: row.won(9), restoreOnRefund: row.bool(10))
        return Campaign(
            id: row.id(0), terms: terms, issued: row.int(11), createdAt: row.instant(12), epoch: row.int(13),
            isArchived: row.int(14) != 0)
    }
}
