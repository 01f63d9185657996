package import Commerce
import GRDB

extension Store {
    /// Makes a campaign of which nothing is issued yet.
    package func createCampaign(
        _ terms: CampaignTerms, at now: Instant, idempotency: IdempotentWrite<Campaign>? = nil, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> WriteResult<Campaign> {
        try await write(at: now, idempotency: idempotency, context: context) { db in
            if let fault = terms.windowFault { return .refused(fault) }
            let discount = DiscountColumns(terms.discount)
            try db.run(
                """
                INSERT INTO campaigns (name, discount_type, discount_value, discount_max, quantity, opens_at, closes_at, valid_for_s,
                    min_order, restore_on_refund, created_at)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """, terms.name, discount.type, discount.value, Nullable(discount.maximum), terms.quantity, terms.opensAt,
                Nullable(terms.closesAt), terms.validForSeconds, terms.minOrderAmount, terms.restoreOnRefund, now)
            return .done(Campaign(id: CouponID(db.lastInsertedRowID), terms: terms, issued: 0, createdAt: now, epoch: 0))
        }
    }

    /// Changes quantity or window.
    ///
    /// Refused: `couponNotFound`, `quantityIssued`, `invalid` for a window that ends before it begins.
    package func updateCampaign(
        _ id: CouponID, _ change: CampaignChange, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<Campaign> {
        try await decide(context: context) { [rowVersions] db in
            guard let old = try db.campaign(id) else { return .refused(.couponNotFound) }
            var terms = old.terms
            terms.quantity = change.quantity ?? terms.quantity
            terms.opensAt = change.opensAt ?? terms.opensAt
            terms.closesAt = change.closesAt ?? terms.closesAt
            guard terms.quantity >= old.issued else { return .refused(.quantityIssued(issued: old.issued)) }
            if let fault = terms.windowFault { return .refused(fault) }
            rowVersions.changing(id.rawValue, in: .campaigns)
            try db.run(
                "UPDATE campaigns SET quantity = ?, opens_at = ?, closes_at = ? WHERE id = ?",
                terms.quantity, terms.opensAt, Nullable(terms.closesAt), id)
            return .done(Campaign(id: id, terms: terms, issued: old.issued, createdAt: old.createdAt, epoch: old.epoch))
        }
    }

    /// Ends the force of every claim that Redis decided so far and the store does not know yet, and gives the campaign with its
    /// new epoch.
    ///
    /// The new epoch is later than `standing` too: a store restored from a backup may be behind the gate that stands in Redis.
    ///
    /// The writer runs it between claims: what was recorded before it belongs to the rebuilt gate, what comes after it is stale.
    package func bumpEpoch(
        of id: CouponID, beyond standing: Int64 = 0, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<Campaign> {
        try await decide(context: context) { [rowVersions] db in
            guard try db.campaign(id) != nil else { return .refused(.couponNotFound) }
            rowVersions.changing(id.rawValue, in: .campaigns)
            try db.run("UPDATE campaigns SET epoch = max(epoch, ?) + 1 WHERE id = ?", standing, id)
            guard let campaign = try db.campaign(id) else { throw StoreError(.internal, "a campaign vanished") }
            return .done(campaign)
        }
    }
}

extension CampaignTerms {
    var windowFault: Refusal? {
        guard let closesAt, closesAt <= opensAt else { return nil }
        return .invalid(field: "closesAt", reason: "must be after opensAt")
    }
}

/// A discount as the store keeps it: type 0 is a fixed amount, type 1 a percentage with an optional maximum.
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
            restore_on_refund, issued, created_at, epoch
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
        return Campaign(id: row.id(0), terms: terms, issued: row.int(11), createdAt: row.instant(12), epoch: row.int(13))
    }
}
