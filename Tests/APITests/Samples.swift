import Commerce
import Services
import Store

/// One of each thing the service answers, for tests of how they look.
enum Samples {
    static let now = Instant(milliseconds: 1_795_000_000_123)
    static let later = Instant(milliseconds: 1_795_000_900_123)

    static let user = User(id: UserID(1), name: "김하늘", createdAt: now)
    static let product = Product(id: ProductID(3), name: "제주 \"감귤\" 3kg", price: Won(14_500), stock: 200, held: 80, createdAt: now)

    static let terms = CampaignTerms(
        name: "겨울맞이 쿠폰", discount: .percent(10, maxAmount: Won(5000)), quantity: 100, opensAt: now, closesAt: later,
        validForSeconds: 3600, minOrderAmount: Won(10_000), restoreOnRefund: true)
    static let campaign = Campaign(
        id: CouponID(4), terms: terms, issued: 42, createdAt: now, epoch: 1,
        chain: ChainHead(sequence: 42, count: 42, hash: WinChain.start(of: CouponID(4))))

    static func coupon(_ discount: Discount = .fixed(amount: Won(3000)), state: IssuedCoupon.State = .issued) throws -> IssuedCoupon {
        IssuedCoupon(
            id: IssuedCouponID(5), code: CouponCode.random(at: now), couponID: CouponID(4), userID: UserID(1), name: "쿠폰",
            discount: discount,
            minOrderAmount: .zero, sequence: 42, state: state, issuedAt: now, expiresAt: later,
            usedAt: state == .used ? later : nil, orderID: state == .issued ? nil : OrderID(6))
    }

    static func receipt() throws -> WinReceipt {
        let start = WinChain.start(of: CouponID(4))
        let chain = WinChain(salt: Array(0..<32))
        let hash = chain.hash(after: start, sequence: 42, user: UserID(1), issuedAt: now)
        return WinReceipt(nonce: chain.nonce(of: UserID(1)), userHash: chain.userHash(of: UserID(1)), previousHash: start, hash: hash)
    }

    static let line = OrderLine(productID: ProductID(3), name: "감귤", unitPrice: Won(14_500), quantity: 2, amount: Won(29_000))

    static func order(_ status: Order.Status) -> Order {
        Order(
            id: OrderID(6), number: OrderNumber(day: BusinessDay(number: 20_775), counter: 17), userID: UserID(1), storedStatus: status,
            lines: [line], totalAmount: Won(29_000), discountAmount: Won(3000),
            issuedCouponID: status == .pending ? nil : IssuedCouponID(5), createdAt: now, expiresAt: later,
            paidAt: status == .paid ? later : nil)
    }

    static let payment = Payment(
        id: PaymentID(7), orderID: OrderID(6), orderNumber: OrderNumber(day: BusinessDay(number: 20_775), counter: 17), userID: UserID(1),
        amount: Won(26_000), balance: .zero, paidAt: now, refundedAmount: .zero)
    static let refund = Refund(
        id: RefundID(8), paymentID: PaymentID(7), amount: Won(13_000), refundedAmount: Won(13_000), balance: Won(13_000), refundedAt: later)
    static let charge = Charge(id: ChargeID(9), userID: UserID(1), amount: Won(1000), balance: Won(1000), chargedAt: now)

    /// Every refusal there is, each with the most it can carry.
    static func refusals() throws -> [(Refusal, String)] {
        var all: [(Refusal, String)] = [
            (.userNotFound, "USER_NOT_FOUND"), (.productNotFound(ProductID(3)), "PRODUCT_NOT_FOUND"), (.couponNotFound, "COUPON_NOT_FOUND"),
            (.orderNotFound, "ORDER_NOT_FOUND"), (.paymentNotFound, "PAYMENT_NOT_FOUND"), (.eventNotFound, "EVENT_NOT_FOUND"),
            (.notYours, "FORBIDDEN"), (.amountOutOfRange(Won(1000)...Won(1_000_000)), "AMOUNT_OUT_OF_RANGE"),
            (.balanceLimitExceeded(limit: Won(10_000_000), balance: Won(9_999_999)), "BALANCE_LIMIT_EXCEEDED"),
            (.preconditionFailed, "PRECONDITION_FAILED"), (.quantityIssued(issued: 42), "QUANTITY_ISSUED"),
            (.couponSoldOut, "COUPON_SOLD_OUT"),
            (.couponNotOpen(opensAt: later), "COUPON_NOT_OPEN"), (.couponClosed, "COUPON_CLOSED"),
            (.outOfStock(ProductID(3), available: 120), "OUT_OF_STOCK"),
            (.insufficientBalance(balance: Won(1000), required: Won(26_000)), "INSUFFICIENT_BALANCE"),
            (.refundExceedsPayment, "REFUND_EXCEEDS_PAYMENT"), (.eventNotParked, "EVENT_NOT_PARKED"),
            (.idempotencyKeyReused, "IDEMPOTENCY_KEY_REUSED"), (.idempotencyKeyInUse, "IDEMPOTENCY_KEY_IN_USE"),
            (.invalid(field: "items", reason: "are too much"), "INVALID_REQUEST"),
        ]
        let faults: [Refusal.CouponFault] = [.notYours, .used, .held, .expired, .belowMinimum]
        all += faults.map { (.couponNotUsable($0), "COUPON_NOT_USABLE") }
        for status in Order.Status.allCases {
            all += [(.orderNotCancellable(status), "ORDER_NOT_CANCELLABLE"), (.orderNotPayable(status), "ORDER_NOT_PAYABLE")]
        }
        return all
    }
}
