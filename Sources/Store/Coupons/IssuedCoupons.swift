import Commerce
import GRDB

extension Database {
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

    static func issuedCoupon(_ row: Columns) throws -> IssuedCoupon {
        guard let code = CouponCode(row.text(1)), let state = IssuedCoupon.State(rawValue: row.int(10)) else {
            throw StoreError(.malformedRow, "issued coupon \(row.int(0)) has no valid code or state")
        }
        return IssuedCoupon(
            id: row.id(0), code: code, couponID: row.id(2), userID: row.id(3), name: row.text(4),
            discount: DiscountColumns(type: row.int(5), value: row.int(6), maximum: row.optionalWon(7)).discount,
            minOrderAmount: row.won(8), sequence: row.int(9), state: state, issuedAt: row.instant(11), expiresAt: row.instant(12),
            usedAt: row.optionalInstant(13), orderID: row.optionalID(14))
    }

    /// Holds the coupon for a pending order.
    func hold(_ coupon: IssuedCouponID, for order: OrderID) throws {
        try run("UPDATE issued_coupons SET state = 1, order_id = ? WHERE id = ?", order, coupon)
    }

    /// Marks the coupon as used by a paid order.
    func use(_ coupon: IssuedCouponID, on order: OrderID, at now: Instant) throws {
        try run("UPDATE issued_coupons SET state = 2, order_id = ?, used_at = ? WHERE id = ?", order, now, coupon)
    }

    /// Makes the coupon usable again if the order still holds or used it; otherwise changes nothing.
    func giveBack(_ coupon: IssuedCouponID, from order: OrderID) throws {
        try run(
            "UPDATE issued_coupons SET state = 0, order_id = NULL, used_at = NULL WHERE id = ? AND order_id = ?", coupon, order)
    }
}
