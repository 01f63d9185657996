/// One coupon in one user's hands.
package struct IssuedCoupon: Sendable, Equatable {
    /// Where the coupon stands now; raw values as in the HTTP contract.
    package enum Status: String, Sendable, CaseIterable {
        case issued = "ISSUED"
        case held = "HELD"
        case used = "USED"
        case expired = "EXPIRED"
    }

    /// What the store keeps: expiry is a matter of the clock, not of a row.
    package enum State: Int64, Sendable {
        case issued = 0
        case held = 1
        case used = 2
    }

    package let id: IssuedCouponID
    package let code: CouponCode
    package let couponID: CouponID
    package let userID: UserID
    package let name: String
    package let discount: Discount
    package let minOrderAmount: Won
    /// The place in the queue of claims: 1 for the first who came.
    package let sequence: Int64
    package let state: State
    package let issuedAt: Instant
    package let expiresAt: Instant
    package let usedAt: Instant?
    /// The order that holds or used the coupon.
    package let orderID: OrderID?

    /// An unused coupon expires; one that an order holds stays valid for that order.
    package func status(at now: Instant) -> Status {
        switch state {
        case .issued: now < expiresAt ? .issued : .expired
        case .held: .held
        case .used: .used
        }
    }

    package init(
        id: IssuedCouponID, code: CouponCode, couponID: CouponID, userID: UserID, name: String, discount: Discount, minOrderAmount: Won,
        sequence: Int64, state: State, issuedAt: Instant, expiresAt: Instant, usedAt: Instant?, orderID: OrderID?
    ) {
        self.id = id
        self.code = code
        self.couponID = couponID
        self.userID = userID
        self.name = name
        self.discount = discount
        self.minOrderAmount = minOrderAmount
        self.sequence = sequence
        self.state = state
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.usedAt = usedAt
        self.orderID = orderID
    }
}
