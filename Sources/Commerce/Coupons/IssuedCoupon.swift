/// A coupon that was issued to a user.
package struct IssuedCoupon: Sendable, Equatable {
    /// A coupon's status at an instant; raw values as in `Sources/API/openapi.json`.
    package enum Status: String, Sendable, CaseIterable {
        case issued = "ISSUED"
        case held = "HELD"
        case used = "USED"
        case expired = "EXPIRED"
    }

    /// The stored state. Expiry is not stored: ``status(at:)`` derives it from `expiresAt`.
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
    /// The claim's place in the order of the campaign's claims, from 1.
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
