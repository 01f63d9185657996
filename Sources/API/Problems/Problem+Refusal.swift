import Commerce
import HTTPServer
import JSON

extension Problem {
    /// Maps every refusal of the business rules to its problem document.
    init(_ refusal: Refusal, at now: Instant) {
        switch refusal {
        case .userNotFound: self = .userNotFound
        case .productNotFound(let id):
            self.init(code: .productNotFound, detail: "No product has the id \(id).", members: [.integer("productId", id.rawValue)])
        case .couponNotFound: self.init(code: .couponNotFound, detail: "No coupon campaign has this id.")
        case .orderNotFound: self.init(code: .orderNotFound, detail: "No order has this id.")
        case .paymentNotFound: self.init(code: .paymentNotFound, detail: "No payment has this id.")
        case .eventNotFound: self.init(code: .eventNotFound, detail: "No event has this id.")
        case .notYours: self = .notYours
        case .amountOutOfRange(let range): self = .amountOutOfRange(range)
        case .balanceLimitExceeded(let limit, let balance):
            self.init(
                code: .balanceLimitExceeded, detail: "The balance is \(balance) won, and charging may raise it to \(limit) won at most.",
                members: [.integer("limit", limit.rawValue), .integer("balance", balance.rawValue)])
        case .quantityIssued(let issued):
            self.init(
                code: .quantityIssued, detail: "\(issued) coupons are issued already; the quantity cannot be lower.",
                members: [.integer("issued", issued)])
        case .couponSoldOut: self = .couponSoldOut
        case .couponNotOpen(let opensAt): self = .couponNotOpen(opensAt, at: now)
        case .couponClosed: self = .couponClosed
        case .outOfStock(let product, let available):
            self.init(
                code: .outOfStock, detail: "Product \(product) has \(available) units available.",
                members: [.integer("productId", product.rawValue), .integer("available", available)])
        case .couponNotUsable(let fault):
            self.init(code: .couponNotUsable, detail: fault.sentence, members: [.text("reason", fault.rawValue)])
        case .orderNotCancellable(let status):
            self.init(
                code: .orderNotCancellable, detail: "Only a pending order can be cancelled.",
                members: [.text("orderStatus", status.rawValue)])
        case .orderNotPayable(let status):
            self.init(code: .orderNotPayable, detail: "Only a pending order can be paid.", members: [.text("orderStatus", status.rawValue)])
        case .insufficientBalance(let balance, let required):
            self.init(
                code: .insufficientBalance, detail: "The order costs \(required) won, the balance is \(balance) won.",
                members: [.integer("balance", balance.rawValue), .integer("required", required.rawValue)])
        case .refundExceedsPayment:
            self.init(code: .refundExceedsPayment, detail: "The refund exceeds what is left of the payment.")
        case .eventNotParked: self.init(code: .eventNotParked, detail: "Only a parked event can be retried.")
        case .preconditionFailed:
            self.init(
                code: .preconditionFailed, detail: "The resource has changed: no entity tag of If-Match is that of its present state.")
        case .idempotencyKeyReused:
            self.init(code: .idempotencyKeyReused, detail: "This Idempotency-Key was used for a request with another route or body.")
        case .idempotencyKeyInUse: self = .idempotencyKeyInUse
        case .invalid(let field, let reason): self = .invalid([FieldFault(field: field, reason: reason)])
        }
    }

    static let userNotFound = Problem(code: .userNotFound, detail: "No user has this id.")
    static let notYours = Problem(code: .forbidden, detail: "The resource belongs to another user.")
    static let couponSoldOut = Problem(code: .couponSoldOut, detail: "Every coupon of this campaign has been claimed.")
    /// - Parameter coupon: the one that the user has.
    static func couponAlreadyClaimed(_ coupon: IssuedCoupon, at now: Instant) -> Problem {
        Problem(
            code: .couponAlreadyClaimed, detail: "The user has already claimed a coupon of this campaign.",
            members: [.json("issuedCoupon", JSONWriter.document { $0.write(coupon, at: now) })])
    }

    static let couponClosed = Problem(code: .couponClosed, detail: "The claim period of this coupon has ended.")
    static let idempotencyKeyInUse = Problem(
        code: .idempotencyKeyInUse, detail: "The first request with this Idempotency-Key is still running.",
        headers: [.retryAfter(seconds: 1)])

    static func amountOutOfRange(_ range: ClosedRange<Won>) -> Problem {
        let bounds = "from \(range.lowerBound) to \(range.upperBound) won"
        return Problem(
            code: .amountOutOfRange, detail: "The amount of one charge must be \(bounds).",
            members: [.integer("minimum", range.lowerBound.rawValue), .integer("maximum", range.upperBound.rawValue)],
            faults: [FieldFault(field: "amount", reason: "must be \(bounds)")])
    }

    private static func couponNotOpen(_ opensAt: Instant, at now: Instant) -> Problem {
        // Rounded up, so that a client that waits this long does not come too early again.
        let seconds = (opensAt.milliseconds - now.milliseconds + 999) / 1000
        return Problem(
            code: .couponNotOpen, detail: "The coupon opens at \(opensAt).", members: [.text("opensAt", opensAt.description)],
            headers: [.retryAfter(seconds: seconds)])
    }
}

extension Refusal.CouponFault {
    fileprivate var sentence: String {
        switch self {
        case .notYours: "The user has no such coupon."
        case .used: "The coupon has been used."
        case .held: "Another pending order holds the coupon."
        case .expired: "The coupon has expired."
        case .belowMinimum: "The order amount is below the coupon's minimum."
        }
    }
}
