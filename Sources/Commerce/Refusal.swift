/// Why the business rules refuse a request. A refusal is a value, not an error: nothing failed and nothing changed.
package enum Refusal: Sendable, Equatable {
    case userNotFound
    case productNotFound(ProductID)
    case couponNotFound
    case orderNotFound
    case paymentNotFound
    case eventNotFound

    /// The entity exists and belongs to another user.
    case notYours

    case amountOutOfRange(ClosedRange<Won>)
    case balanceLimitExceeded(limit: Won, balance: Won)
    /// The new quantity is below the number of coupons already issued.
    case quantityIssued(issued: Int64)

    case couponSoldOut
    case couponNotOpen(opensAt: Instant)
    case couponClosed

    case outOfStock(ProductID, available: Int64)
    case couponNotUsable(CouponFault)
    case orderNotCancellable(Order.Status)
    case orderNotPayable(Order.Status)
    case insufficientBalance(balance: Won, required: Won)
    case refundExceedsPayment
    /// An event that is not parked cannot be retried.
    case eventNotParked

    /// The condition of the request (`If-Match`) does not hold for the entity's present state.
    case preconditionFailed
    case idempotencyKeyReused
    case idempotencyKeyInUse

    /// Each part of the request is well-formed, but not their combination, such as a total beyond `Int64`.
    case invalid(field: String, reason: String)

    /// Why an order cannot use a coupon; raw values as in `Sources/API/openapi.json`.
    package enum CouponFault: String, Sendable {
        case notYours = "NOT_YOURS"
        case used = "USED"
        case held = "HELD"
        case expired = "EXPIRED"
        case belowMinimum = "BELOW_MINIMUM"
    }
}

/// The outcome of a use case: its value, or why it was refused.
package enum Outcome<Value: Sendable>: Sendable {
    case done(Value)
    case refused(Refusal)
}

extension Outcome {
    /// The same outcome with a success made of this one's.
    package func map<Other: Sendable>(_ other: (Value) -> Other) -> Outcome<Other> {
        switch self {
        case .done(let value): .done(other(value))
        case .refused(let refusal): .refused(refusal)
        }
    }
}

extension Outcome: Equatable where Value: Equatable {}
