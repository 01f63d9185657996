package import Commerce
import TraceContext

extension TransactionalStore {
    /// Refunds units and their share of the amount paid; `items` is `nil` for all units that are left.
    ///
    /// The share is rounded down; the refund that returns the last unit pays the exact rest.
    /// Refused: `paymentNotFound`, `refundExceedsPayment`, `invalid`.
    package func refund(
        paymentID: PaymentID, items: [RequestedItem]?, in context: WriteContext<Refund>
    ) async throws(StoreError) -> WriteResult<Refund> {
        try await write(RefundPayment(payment: paymentID, items: items, now: context.time, trace: context.trace), in: context)
    }
}

/// See ``TransactionalStore/refund(paymentID:items:in:)``.
struct RefundPayment: UseCase {
    let payment: PaymentID
    let items: [RequestedItem]?
    let now: Instant
    let trace: TraceParent?

    var needs: Needs { Needs(payments: [payment], new: NewRows(transfers: 1, refunds: 1, events: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Refund> {
        try refusable {
            let draft = try books.draftRefund(of: payment, items: items)
            return try books.write(draft, at: now, trace: trace)
        }
    }
}

/// A refund that may be made: all checks are done and nothing is written yet.
private struct RefundDraft {
    let payment: Payment
    let order: Order
    let items: [RequestedItem]
    let amount: Won
    /// Whether no unit of the order is left afterwards.
    let emptiesPayment: Bool
    let balanceAfter: Won
    /// The business day of the sale, from which the ranking subtracts the units.
    let saleDay: BusinessDay
    let restoresCoupon: Bool
}

extension Books {
    fileprivate func draftRefund(of id: PaymentID, items wanted: [RequestedItem]?) throws -> RefundDraft {
        guard let payment = try payment(id) else { throw RefusedDecision(.paymentNotFound) }
        guard let order = try order(payment.orderID), let balance = try balance(of: payment.userID)?.amount else {
            throw StoreError(.malformedRow, "a payment has no order or no user")
        }
        let left = try unitsLeft(of: order.id)
        let items = try refundable(wanted, outOf: left)
        let emptiesPayment = items.reduce(0) { $0 + $1.quantity } == left.values.reduce(0, +)
        let amount =
            emptiesPayment
            ? Won(payment.amount.rawValue - payment.refundedAmount.rawValue)
            : order.finalAmount.share(order.price(of: items), of: order.totalAmount.rawValue)
        guard let balanceAfter = balance.adding(amount) else { throw StoreError(.internal, "a balance is too large") }
        return RefundDraft(
            payment: payment, order: order, items: items, amount: amount, emptiesPayment: emptiesPayment, balanceAfter: balanceAfter,
            saleDay: try saleDay(of: id), restoresCoupon: try emptiesPayment && restoresCoupon(order))
    }

    private func refundable(_ wanted: [RequestedItem]?, outOf left: [ProductID: Int64]) throws -> [RequestedItem] {
        guard !left.isEmpty else { throw RefusedDecision(.refundExceedsPayment) }
        guard let wanted else {
            return left.map { RequestedItem(productID: $0.key, quantity: $0.value) }.sorted { $0.productID < $1.productID }
        }
        guard !wanted.isEmpty, wanted.allSatisfy({ $0.quantity > 0 }) else {
            throw RefusedDecision(.invalid(field: "items", reason: "must hold positive quantities"))
        }
        guard let items = RequestedItem.summed(wanted), items.allSatisfy({ $0.quantity <= left[$0.productID] ?? 0 }) else {
            throw RefusedDecision(.refundExceedsPayment)
        }
        return items
    }

    private func restoresCoupon(_ order: Order) throws -> Bool {
        guard let coupon = order.issuedCouponID else { return false }
        return try comesBackOnRefund(coupon)
    }

    fileprivate func write(_ draft: RefundDraft, at now: Instant, trace: TraceParent?) throws -> Refund {
        let payment = draft.payment
        let refunded = Won(payment.refundedAmount.rawValue + draft.amount.rawValue)
        let id = try insertRefund(of: payment, items: draft.items, amount: draft.amount, refunded: refunded, at: now)
        for item in draft.items { try putBack(item.quantity, of: item.productID) }
        if draft.amount > .zero {
            try transfer(
                .refund, user: payment.userID, amount: draft.amount, balanceAfter: draft.balanceAfter, orderID: payment.orderID, at: now)
        }
        if draft.emptiesPayment { try move(payment.orderID, from: .paid, to: .refunded) }
        if draft.restoresCoupon, let coupon = draft.order.issuedCouponID { try giveBack(coupon, from: payment.orderID) }
        let refund = Refund(
            id: id, paymentID: payment.id, amount: draft.amount, refundedAmount: refunded, balance: draft.balanceAfter, refundedAt: now)
        try appendEvent(of: refund, draft, at: now, trace: trace)
        return refund
    }

    private func appendEvent(of refund: Refund, _ draft: RefundDraft, at now: Instant, trace: TraceParent?) throws {
        let order = draft.order.with(status: draft.emptiesPayment ? .refunded : .paid, paidAt: draft.order.paidAt)
        let payment = Payment(
            id: draft.payment.id, orderID: order.id, orderNumber: order.number, userID: order.userID, amount: draft.payment.amount,
            balance: draft.payment.balance, paidAt: draft.payment.paidAt, refundedAmount: refund.refundedAmount)
        let event = NewEvent(
            kind: .refunded, order: order.id, saleDay: draft.saleDay,
            units: draft.items.map { ProductUnits(productID: $0.productID, units: -$0.quantity) }, occurredAt: now, trace: trace)
        try appendEvent(event) { id in
            rules.eventPayload(
                EventFacts(
                    id: id, kind: .refunded, occurredAt: now, order: order, payment: payment, refund: refund,
                    refundedItems: draft.items))
        }
    }
}

extension Order {
    /// What the items cost before the discount; the items are among the order's lines.
    fileprivate func price(of items: [RequestedItem]) -> Int64 {
        items.reduce(0) { sum, item in
            sum + (lines.first { $0.productID == item.productID }?.unitPrice.rawValue ?? 0) * item.quantity
        }
    }
}
