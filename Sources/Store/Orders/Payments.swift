package import Commerce
import GRDB
import TraceContext

extension TransactionalStore {
    /// Pays a pending order from its user's balance: balance, stock, coupon, payment and event change in one transaction.
    ///
    /// Refused: `orderNotFound`, `notYours`, `orderNotPayable`, and `insufficientBalance`, after which the order is still payable.
    package func pay(
        orderID: OrderID, by user: UserID, in context: WriteContext<Payment>
    ) async throws(StoreError) -> WriteResult<Payment> {
        let (options, trace) = (options, context.trace)
        return try await write(in: context) { db, now in
            try db.refusable {
                let order = try db.order(orderID, for: user)
                let status = order.status(at: now)
                guard status == .pending else { throw RefusedDecision(.orderNotPayable(status)) }
                let after = try db.balance(of: user, coveringAmount: order.finalAmount)

                guard
                    try db.changes(
                        "UPDATE orders SET status = 1, paid_at = ? WHERE id = ? AND status = 0", now, order.id) == 1
                else { throw StoreError(.internal, "an order was not in the status just read") }
                for line in order.lines { try db.takeHeld(line.quantity, of: line.productID) }
                return try db.settle(
                    order.with(status: .paid, paidAt: now), balanceAfter: after, options: options, at: now, trace: trace)
            }
        }
    }

    /// Orders and pays in one transaction; a refusal leaves nothing, no order either.
    ///
    /// Refused: as `placeOrder` and `pay`.
    package func checkout(
        userID: UserID, items: [RequestedItem], issuedCouponID: IssuedCouponID?, in context: WriteContext<Checkout>
    ) async throws(StoreError) -> WriteResult<Checkout> {
        let (options, trace) = (options, context.trace)
        return try await write(in: context) { db, now in
            try db.refusable {
                guard try db.balance(of: userID) != nil else { throw RefusedDecision(.userNotFound) }
                let draft = try db.draftOrder(userID: userID, items: items, issuedCouponID: issuedCouponID, at: now)
                let after = try db.balance(of: userID, coveringAmount: draft.finalAmount)

                let order = try db.insert(draft, as: .paid, options: options, at: now)
                for line in order.lines { try db.take(line.quantity, of: line.productID) }
                return Checkout(
                    order: order, payment: try db.settle(order, balanceAfter: after, options: options, at: now, trace: trace))
            }
        }
    }
}

extension Database {
    /// The user's balance after paying the amount.
    ///
    /// Throws `RefusedDecision`: `userNotFound`, `insufficientBalance`.
    fileprivate func balance(of user: UserID, coveringAmount amount: Won) throws -> Won {
        guard let balance = try balance(of: user)?.amount else { throw RefusedDecision(.userNotFound) }
        guard balance >= amount, let after = balance.subtracting(amount) else {
            throw RefusedDecision(.insufficientBalance(balance: balance, required: amount))
        }
        return after
    }

    /// Moves the money, marks the coupon as used, and writes the payment and the event of an order that is paid now.
    fileprivate func settle(
        _ order: Order, balanceAfter: Won, options: StoreOptions, at now: Instant, trace: TraceParent?
    ) throws -> Payment {
        if order.finalAmount > .zero {
            try transfer(
                .payment, user: order.userID, amount: order.finalAmount, balanceAfter: balanceAfter, orderID: order.id, at: now)
        }
        if let coupon = order.issuedCouponID { try use(coupon, on: order.id, at: now) }
        let saleDay = options.calendar.day(of: now)
        try run(
            "INSERT INTO payments (order_id, user_id, amount, balance_after, paid_at, sale_day) VALUES (?, ?, ?, ?, ?, ?)",
            order.id, order.userID, order.finalAmount, balanceAfter, now, saleDay)
        let payment = Payment(
            id: PaymentID(lastInsertedRowID), orderID: order.id, orderNumber: order.number, userID: order.userID,
            amount: order.finalAmount, balance: balanceAfter, paidAt: now, refundedAmount: .zero)
        let units = order.lines.map { ProductUnits(productID: $0.productID, units: $0.quantity) }
        try appendEvent(.paid, order: order, saleDay: saleDay, units: units, options: options, at: now, trace: trace) { id in
            options.eventPayload(
                EventFacts(
                    id: id, kind: .paid, occurredAt: now, order: order, payment: payment, refund: nil, refundedItems: []))
        }
        return payment
    }

    private static let paymentByID = """
        SELECT p.id, p.order_id, o.day, o.counter, p.user_id, p.amount, p.balance_after, p.paid_at, p.refunded
        FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id = ?
        """

    func payment(_ id: PaymentID) throws -> Payment? {
        try first(Self.paymentByID, id) { row in
            Payment(
                id: row.id(0), orderID: row.id(1), orderNumber: OrderNumber(day: row.day(2), counter: row.int(3)), userID: row.id(4),
                amount: row.won(5), balance: row.won(6), paidAt: row.instant(7), refundedAmount: row.won(8))
        }
    }
}
