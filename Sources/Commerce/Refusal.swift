/// An answer of the business rules that is not a success. Refusals are values: nothing went wrong, and nothing changed.
package enum Refusal: Sendable, Equatable {
    case userNotFound
    case productNotFound(ProductID)
    case couponNotFound
    case orderNotFound
    case paymentNotFound
    case eventNotFound

    /// The thing exists and belongs to somebody else.
    case notYours

    case amountOutOfRange(ClosedRange<Won>)
    case balanceLimitExceeded(limit: Won, balance: Won)
    /// A quantity below the coupons already issued.
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

    /// What the request's condition names is not the state of the thing any more.
    case preconditionFailed
    case idempotencyKeyReused
    case idempotencyKeyInUse

    /// A request whose parts are each well-formed but impossible together, such as a total beyond `Int64`.
    case invalid(field: String, reason: String)

    /// Why an order cannot use a coupon; raw values as in the HTTP contract.
    package enum CouponFault: String, Sendable {
        case notYours = "NOT_YOURS"
        case used = "USED"
        case held = "HELD"
        case expired = "EXPIRED"
        case belowMinimum = "BELOW_MINIMUM"
    }
}

/// What a use case answers: its value, or why it was refused.
package enum Outcome<Value: Sendable>: Sendable {
    case done(Value)
    case refused(Refusal)
}

extension Outcome: Equatable where Value: Equatable {}
