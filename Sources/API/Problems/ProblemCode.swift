/// Every `code` a refusal of this service can carry: the stable names clients decide by.
package enum ProblemCode: String, CaseIterable, Sendable {
    case invalidRequest = "INVALID_REQUEST"
    case amountOutOfRange = "AMOUNT_OUT_OF_RANGE"
    case balanceLimitExceeded = "BALANCE_LIMIT_EXCEEDED"
    case unauthenticated = "UNAUTHENTICATED"
    case forbidden = "FORBIDDEN"
    case notFound = "NOT_FOUND"
    case userNotFound = "USER_NOT_FOUND"
    case productNotFound = "PRODUCT_NOT_FOUND"
    case couponNotFound = "COUPON_NOT_FOUND"
    case orderNotFound = "ORDER_NOT_FOUND"
    case paymentNotFound = "PAYMENT_NOT_FOUND"
    case eventNotFound = "EVENT_NOT_FOUND"
    case grantNotFound = "GRANT_NOT_FOUND"
    case methodNotAllowed = "METHOD_NOT_ALLOWED"
    case requestTimeout = "REQUEST_TIMEOUT"
    case quantityIssued = "QUANTITY_ISSUED"
    case couponSoldOut = "COUPON_SOLD_OUT"
    case couponAlreadyClaimed = "COUPON_ALREADY_CLAIMED"
    case couponNotOpen = "COUPON_NOT_OPEN"
    case couponClosed = "COUPON_CLOSED"
    case outOfStock = "OUT_OF_STOCK"
    case couponNotUsable = "COUPON_NOT_USABLE"
    case orderNotCancellable = "ORDER_NOT_CANCELLABLE"
    case orderNotPayable = "ORDER_NOT_PAYABLE"
    case insufficientBalance = "INSUFFICIENT_BALANCE"
    case refundExceedsPayment = "REFUND_EXCEEDS_PAYMENT"
    case eventNotParked = "EVENT_NOT_PARKED"
    case idempotencyKeyInUse = "IDEMPOTENCY_KEY_IN_USE"
    case idempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED"
    case preconditionFailed = "PRECONDITION_FAILED"
    case payloadTooLarge = "PAYLOAD_TOO_LARGE"
    case unsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE"
    case expectationFailed = "EXPECTATION_FAILED"
    case tooManyRequests = "TOO_MANY_REQUESTS"
    case headersTooLarge = "HEADERS_TOO_LARGE"
    case `internal` = "INTERNAL"
    case notImplemented = "NOT_IMPLEMENTED"
    case temporarilyUnavailable = "TEMPORARILY_UNAVAILABLE"

    /// The status code of every problem with this code.
    package var status: Int {
        switch self {
        case .invalidRequest, .amountOutOfRange, .balanceLimitExceeded: 400
        case .unauthenticated: 401
        case .forbidden: 403
        case .notFound, .userNotFound, .productNotFound, .couponNotFound, .orderNotFound, .paymentNotFound, .eventNotFound,
            .grantNotFound:
            404
        case .methodNotAllowed: 405
        case .requestTimeout: 408
        case .quantityIssued, .couponSoldOut, .couponAlreadyClaimed, .couponNotOpen, .couponClosed, .outOfStock,
            .couponNotUsable, .orderNotCancellable, .orderNotPayable, .insufficientBalance, .refundExceedsPayment, .eventNotParked,
            .idempotencyKeyInUse:
            409
        case .preconditionFailed: 412
        case .payloadTooLarge: 413
        case .unsupportedMediaType: 415
        case .expectationFailed: 417
        case .idempotencyKeyReused: 422
        case .tooManyRequests: 429
        case .headersTooLarge: 431
        case .internal: 500
        case .notImplemented: 501
        case .temporarilyUnavailable: 503
        }
    }

    /// The short summary that never changes from one occurrence to the next (RFC 9457 section 3.1.3).
    var title: String {
        switch self {
        case .invalidRequest: "The request is not valid"
        case .amountOutOfRange: "The amount is out of range"
        case .balanceLimitExceeded: "The balance would exceed its limit"
        case .unauthenticated: "Authentication is required"
        case .forbidden: "Not allowed"
        case .notFound: "Not found"
        case .userNotFound: "There is no such user"
        case .productNotFound: "There is no such product"
        case .couponNotFound: "There is no such coupon"
        case .orderNotFound: "There is no such order"
        case .paymentNotFound: "There is no such payment"
        case .eventNotFound: "There is no such event"
        case .grantNotFound: "There is no such grant"
        case .methodNotAllowed: "The method is not allowed"
        case .requestTimeout: "The request timed out"
        case .quantityIssued: "More coupons than this quantity are issued"
        case .couponSoldOut: "The coupon is sold out"
        case .couponAlreadyClaimed: "The coupon is already claimed"
        case .couponNotOpen: "The coupon is not open yet"
        case .couponClosed: "The coupon is closed"
        case .outOfStock: "Out of stock"
        case .couponNotUsable: "The coupon cannot be used"
        case .orderNotCancellable: "The order cannot be cancelled"
        case .orderNotPayable: "The order cannot be paid"
        case .insufficientBalance: "The balance is too small"
        case .refundExceedsPayment: "The refund exceeds the payment"
        case .eventNotParked: "The event is not parked"
        case .idempotencyKeyInUse: "The first request with this key is still running"
        case .idempotencyKeyReused: "The key was used for another request"
        case .preconditionFailed: "The precondition failed"
        case .payloadTooLarge: "The body is too large"
        case .unsupportedMediaType: "The body must be JSON"
        case .expectationFailed: "The expectation cannot be met"
        case .tooManyRequests: "Too many requests"
        case .headersTooLarge: "The header fields are too large"
        case .internal: "Internal error"
        case .notImplemented: "Not implemented"
        case .temporarilyUnavailable: "Temporarily unavailable"
        }
    }

    /// The problem type as a stable relative URI, such as `/problems/coupon-sold-out`.
    package var type: String { Self.types[self] ?? "about:blank" }

    private static let types = Dictionary(
        uniqueKeysWithValues: allCases.map { ($0, "/problems/" + $0.rawValue.lowercased().replacing("_", with: "-")) })
}
