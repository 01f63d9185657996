package import Commerce
import TraceContext

extension TransactionalStore {
    /// Pays a pending order from its user's balance: balance, stock, coupon, payment and event change in one transaction.
    ///
    /// Refused: `orderNotFound`, `notYours`, `orderNotPayable`, and `insufficientBalance`, after which the order is still payable.
    package func pay(
        orderID: OrderID, by user: UserID, in context: WriteContext<Payment>
    ) async throws(StoreError) -> WriteResult<Payment> {
        try await write(PayOrder(order: orderID, user: user, now: context.time, trace: context.trace), in: context)
    }

    /// Orders and pays in one transaction; a refusal leaves nothing, no order either.
    ///
    /// Refused: as `placeOrder` and `pay`.
    package func checkout(
        userID: UserID, items: [RequestedItem], issuedCouponID: IssuedCouponID?, in context: WriteContext<Checkout>
    ) async throws(StoreError) -> WriteResult<Checkout> {
        let request = OrderRequest(userID: userID, items: items, issuedCouponID: issuedCouponID)
        return try await write(CheckOut(request: request, now: context.time, trace: context.trace), in: context)
    }
}

/// See ``TransactionalStore/pay(orderID:by:in:)``.
struct PayOrder: UseCase {
    let order: OrderID
    let user: UserID
    let now: Instant
    let trace: TraceParent?

    var needs: Needs { Needs(users: [user], orders: [order], new: NewRows(transfers: 1, payments: 1, events: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Payment> {
        try refusable {
            let order = try books.order(order, for: user)
            let status = order.status(at: books.decisionTime(now))
            guard status == .pending else { throw RefusedDecision(.orderNotPayable(status)) }
            guard let balance = try books.balance(of: user)?.amount else { throw RefusedDecision(.userNotFound) }
            let after = try balance.covering(order.finalAmount)

            try books.markPaid(order.id, at: now)
            for line in order.lines { try books.takeHeld(line.quantity, of: line.productID) }
            return try books.settle(order.with(status: .paid, paidAt: now), balanceAfter: after, at: now, trace: trace)
        }
    }
}

/// See ``TransactionalStore/checkout(userID:items:issuedCouponID:in:)``.
struct CheckOut: UseCase {
    let request: OrderRequest
    let now: Instant
    let trace: TraceParent?

    var needs: Needs {
        var needs = request.needs(at: now)
        (needs.new.transfers, needs.new.payments, needs.new.events) = (1, 1, 1)
        return needs
    }

    func decide(_ books: some Books) throws -> Outcome<Checkout> {
        try refusable {
            guard let balance = try books.balance(of: request.userID)?.amount else { throw RefusedDecision(.userNotFound) }
            let draft = try books.draft(request, at: now)
            let after = try balance.covering(draft.finalAmount)

            let order = try books.insert(draft, as: .paid, at: now)
            for line in order.lines { try books.take(line.quantity, of: line.productID) }
            return Checkout(order: order, payment: try books.settle(order, balanceAfter: after, at: now, trace: trace))
        }
    }
}

extension Won {
    /// What is left of this balance after paying the amount.
    ///
    /// Throws `RefusedDecision`: `insufficientBalance`.
    fileprivate func covering(_ amount: Won) throws -> Won {
        guard self >= amount, let after = subtracting(amount) else {
            throw RefusedDecision(.insufficientBalance(balance: self, required: amount))
        }
        return after
    }
}

extension Books {
    /// Moves the money, marks the coupon as used, and writes the payment and the event of an order that is paid now.
    fileprivate func settle(_ order: Order, balanceAfter: Won, at now: Instant, trace: TraceParent?) throws -> Payment {
        if order.finalAmount > .zero {
            try transfer(
                .payment, user: order.userID, amount: order.finalAmount, balanceAfter: balanceAfter, orderID: order.id, at: now)
        }
        if let coupon = order.issuedCouponID { try use(coupon, on: order.id, at: now) }
        let saleDay = rules.calendar.day(of: now)
        let payment = Payment(
            id: try insertPayment(of: order, balanceAfter: balanceAfter, saleDay: saleDay, at: now), orderID: order.id,
            orderNumber: order.number, userID: order.userID, amount: order.finalAmount, balance: balanceAfter, paidAt: now,
            refundedAmount: .zero)
        let event = NewEvent(
            kind: .paid, order: order.id, saleDay: saleDay,
            units: order.lines.map { ProductUnits(productID: $0.productID, units: $0.quantity) }, occurredAt: now, trace: trace)
        try appendEvent(event) { id in
            rules.eventPayload(
                EventFacts(id: id, kind: .paid, occurredAt: now, order: order, payment: payment, refund: nil, refundedItems: []))
        }
        return payment
    }
}
