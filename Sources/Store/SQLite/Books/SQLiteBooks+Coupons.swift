package import Commerce
import GRDB

extension SQLiteBooks {
    func insertCampaign(_ terms: CampaignTerms, epoch: Int64, at now: Instant) throws -> CouponID {
        let discount = DiscountColumns(terms.discount)
        try db.run(
            """
            INSERT INTO campaigns (name, discount_type, discount_value, discount_max, quantity, opens_at, closes_at, valid_for_s,
                min_order, restore_on_refund, created_at, epoch, salt)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, terms.name, discount.type, discount.value, Nullable(discount.maximum), terms.quantity, terms.opensAt,
            Nullable(terms.closesAt), terms.validForSeconds, terms.minOrderAmount, terms.restoreOnRefund, now, epoch,
            Blob(bytes: WinChain.newSalt()))
        return CouponID(db.lastInsertedRowID)
    }

    func changeTerms(of campaign: CouponID, to terms: CampaignTerms) throws {
        try flush()
        rowVersions.changing(campaign.rawValue, in: .campaigns)
        try db.run(
            "UPDATE campaigns SET quantity = ?, opens_at = ?, closes_at = ?, archival = 0, archived_at = NULL WHERE id = ?",
            terms.quantity, terms.opensAt, Nullable(terms.closesAt), campaign)
    }

    func setEpoch(of campaign: CouponID, to epoch: Int64) throws {
        try flush()
        rowVersions.changing(campaign.rawValue, in: .campaigns)
        try db.run("UPDATE campaigns SET epoch = ? WHERE id = ?", epoch, campaign)
    }

    func archival(of campaign: CouponID) throws -> Archival? {
        try db.first("SELECT archival FROM campaigns WHERE id = ?", campaign) { row in
            guard let archival = Archival(rawValue: row.int(0)) else {
                throw StoreError(.malformedRow, "campaign \(campaign) has no valid archival")
            }
            return archival
        }
    }

    func beginArchiving(_ campaign: CouponID, epoch: Int64, at now: Instant) throws {
        try flush()
        rowVersions.changing(campaign.rawValue, in: .campaigns)
        try db.run("UPDATE campaigns SET archival = 1, archived_at = ?, epoch = ? WHERE id = ?", now, epoch, campaign)
    }

    func finishArchiving(_ campaign: CouponID) throws {
        try flush()
        try db.run("UPDATE campaigns SET archival = 2 WHERE id = ?", campaign)
    }

    func seal(_ growth: ChainGrowth, of campaign: CouponID) throws {
        try flush()
        try db.run(
            "UPDATE campaigns SET sealed = ?, sealed_count = ?, chain_head = ? WHERE id = ?", growth.head.sequence, growth.head.count,
            Blob(bytes: growth.head.hash?.bytes ?? []), campaign)
        for piece in growth.pieces {
            try db.run(
                """
                INSERT INTO chain_blocks (coupon_id, block, before, hashes) VALUES (?, ?, ?, ?)
                ON CONFLICT (coupon_id, block) DO UPDATE SET hashes = CAST(hashes || excluded.hashes AS BLOB)
                """, campaign, piece.number, Blob(bytes: piece.before.bytes), Blob(bytes: piece.hashes))
        }
    }

    func insertIssuedCoupon(_ claim: Claim, code: CouponCode, expiresAt: Instant) throws -> IssuedCouponID? {
        try run(.addIssuedCoupon, code.description, claim.couponID, claim.userID, claim.sequence, claim.issuedAt, expiresAt)
        return db.changesCount == 1 ? IssuedCouponID(db.lastInsertedRowID) : nil
    }

    func hold(_ coupon: IssuedCouponID, for order: OrderID) throws {
        try db.run("UPDATE issued_coupons SET state = 1, order_id = ? WHERE id = ?", order, coupon)
    }

    func use(_ coupon: IssuedCouponID, on order: OrderID, at now: Instant) throws {
        try db.run("UPDATE issued_coupons SET state = 2, order_id = ?, used_at = ? WHERE id = ?", order, now, coupon)
    }

    func giveBack(_ coupon: IssuedCouponID, from order: OrderID) throws {
        try db.run(
            "UPDATE issued_coupons SET state = 0, order_id = NULL, used_at = NULL WHERE id = ? AND order_id = ?", coupon, order)
    }

    func comesBackOnRefund(_ coupon: IssuedCouponID) throws -> Bool {
        try db.first(
            """
            SELECT c.restore_on_refund FROM issued_coupons i JOIN campaigns c ON c.id = i.coupon_id WHERE i.id = ?
            """, coupon
        ) { $0.bool(0) } ?? false
    }
}

/// A discount as stored: type 0 is a fixed amount, type 1 a percentage with an optional maximum.
package struct DiscountColumns {
    package let type: Int64
    package let value: Int64
    package let maximum: Won?

    package init(_ discount: Discount) {
        switch discount {
        case .fixed(let amount): (type, value, maximum) = (0, amount.rawValue, nil)
        case .percent(let percent, let maxAmount): (type, value, maximum) = (1, percent, maxAmount)
        }
    }

    package init(type: Int64, value: Int64, maximum: Won?) {
        (self.type, self.value, self.maximum) = (type, value, maximum)
    }

    package var discount: Discount {
        type == 0 ? .fixed(amount: Won(value)) : .percent(value, maxAmount: maximum)
    }
}

extension Database {
    static let campaignQuery = """
        SELECT id, name, discount_type, discount_value, discount_max, quantity, opens_at, closes_at, valid_for_s, min_order,
            restore_on_refund, issued, created_at, epoch, archival, sealed, sealed_count, chain_head
        FROM campaigns
        """
    private static let campaignByID = campaignQuery + " WHERE id = ?"

    func campaign(_ id: CouponID) throws -> Campaign? {
        try first(Self.campaignByID, id, read: Self.campaign)
    }

    static func campaign(_ row: some RowColumns) -> Campaign {
        let discount = DiscountColumns(type: row.int(2), value: row.int(3), maximum: row.optionalWon(4)).discount
        let terms = CampaignTerms(
            name: row.text(1), discount: discount, quantity: row.int(5), opensAt: row.instant(6), closesAt: row.optionalInstant(7),
            validForSeconds: row.int(8), minOrderAmount: row.won(9), restoreOnRefund: row.bool(10))
        return Campaign(
            id: row.id(0), terms: terms, issued: row.int(11), createdAt: row.instant(12), epoch: row.int(13),
            isArchived: row.int(14) != 0,
            chain: ChainHead(sequence: row.int(15), count: row.int(16), hash: row.withBytes(17) { ChainHash($0) }))
    }

    static let issuedCouponQuery = """
        SELECT i.id, i.code, i.coupon_id, i.user_id, c.name, c.discount_type, c.discount_value, c.discount_max, c.min_order,
            i.sequence, i.state, i.issued_at, i.expires_at, i.used_at, i.order_id
        FROM issued_coupons i JOIN campaigns c ON c.id = i.coupon_id
        """
    private static let byID = issuedCouponQuery + " WHERE i.id = ?"
    private static let byOwner = issuedCouponQuery + " WHERE i.coupon_id = ? AND i.user_id = ?"

    func issuedCoupon(_ id: IssuedCouponID) throws -> IssuedCoupon? {
        try first(Self.byID, id, read: Self.issuedCoupon)
    }

    func issuedCoupon(of couponID: CouponID, userID: UserID) throws -> IssuedCoupon? {
        try first(Self.byOwner, couponID, userID, read: Self.issuedCoupon)
    }

    static func issuedCoupon(_ row: some RowColumns) throws -> IssuedCoupon {
        guard let code = CouponCode(row.text(1)), let state = IssuedCoupon.State(rawValue: row.int(10)) else {
            throw StoreError(.malformedRow, "issued coupon \(row.int(0)) has no valid code or state")
        }
        return IssuedCoupon(
            id: row.id(0), code: code, couponID: row.id(2), userID: row.id(3), name: row.text(4),
            discount: DiscountColumns(type: row.int(5), value: row.int(6), maximum: row.optionalWon(7)).discount,
            minOrderAmount: row.won(8), sequence: row.int(9), state: state, issuedAt: row.instant(11), expiresAt: row.instant(12),
            usedAt: row.optionalInstant(13), orderID: row.optionalID(14))
    }
}
