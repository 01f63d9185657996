/// The payment of an order from its user's balance.
package struct Payment: Sendable, Equatable {
    package let id: PaymentID
    package let orderID: OrderID
    package let orderNumber: OrderNumber
    package let userID: UserID
    package let amount: Won
    /// The balance right after the payment.
    package let balance: Won
    package let paidAt: Instant
    /// The sum of all refunds so far.
    package let refundedAmount: Won

    package init(
        id: PaymentID, orderID: OrderID, orderNumber: OrderNumber, userID: UserID, amount: Won, balance: Won, paidAt: Instant,
        refundedAmount: Won
    ) {
        self.id = id
        self.orderID = orderID
        self.orderNumber = orderNumber
        self.userID = userID
        self.amount = amount
        self.balance = balance
        self.paidAt = paidAt
        self.refundedAmount = refundedAmount
    }
}

/// A refund of some or all units of a paid order.
package struct Refund: Sendable, Equatable {
    package let id: RefundID
    package let paymentID: PaymentID
    package let amount: Won
    /// The sum of all refunds of the payment, this one included.
    package let refundedAmount: Won
    /// The user's balance after the refund.
    package let balance: Won
    package let refundedAt: Instant

    package init(id: RefundID, paymentID: PaymentID, amount: Won, refundedAmount: Won, balance: Won, refundedAt: Instant) {
        self.id = id
        self.paymentID = paymentID
        self.amount = amount
        self.refundedAmount = refundedAmount
        self.balance = balance
        self.refundedAt = refundedAt
    }
}

/// Order and payment made in one transaction.
package struct Checkout: Sendable, Equatable {
    package let order: Order
    package let payment: Payment

    package init(order: Order, payment: Payment) {
        (self.order, self.payment) = (order, payment)
    }
}
