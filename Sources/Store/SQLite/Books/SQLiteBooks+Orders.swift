import Commerce
import GRDB

extension SQLiteBooks {
    func order(_ id: OrderID) throws -> Order? {
        // The order may be one of the same group.
        if !gathered.inserts[GatheredTable.orderLines.rawValue].values.isEmpty { try flushInserts() }
        guard let head = try first(.readOrder, id, read: Database.orderHead) else { return nil }
        return head.with(lines: Database.inOrder(try all(.readLines, id, read: Database.line)))
    }

    func insertOrder(_ order: NewOrder) throws -> OrderID {
        let draft = order.draft
        try run(
            .addOrder, order.number.day, order.number.counter, draft.userID, order.status.stored, draft.total, draft.discount,
            Nullable(draft.issuedCouponID), order.createdAt, order.expiresAt, Nullable(order.paidAt))
        let id = OrderID(db.lastInsertedRowID)
        if order.status == .pending { dueWork.noteOrder(expiringAt: order.expiresAt) }
        guard gathers(.orderLines) else {
            for (position, line) in draft.lines.enumerated() {
                try run(.addLine, id, line.productID, position, line.name, line.unitPrice, line.quantity)
            }
            noteFirst(.orderLines, 0)
            return id
        }
        for (position, line) in draft.lines.enumerated() {
            gather(
                .orderLines, .integer(id.rawValue), .integer(line.productID.rawValue), .integer(Int64(position)), .text(line.name),
                .integer(line.unitPrice.rawValue), .integer(line.quantity))
        }
        return id
    }

    func move(_ order: OrderID, from old: Order.Status, to new: Order.Status) throws {
        try checkMoved(try db.changes("UPDATE orders SET status = ? WHERE id = ? AND status = ?", new.stored, order, old.stored))
    }

    func markPaid(_ order: OrderID, at now: Instant) throws {
        try run(.payOrder, now, order)
        try checkMoved(db.changesCount)
    }

    private func checkMoved(_ orders: Int) throws {
        guard orders == 1 else { throw StoreError(.internal, "an order was not in the status just read") }
    }

    func unitsLeft(of order: OrderID) throws -> [ProductID: Int64] {
        try flushInserts()
        let rows: [(ProductID, Int64)] = try db.all(
            "SELECT product_id, quantity - refunded FROM order_lines WHERE order_id = ? AND quantity > refunded", order
        ) { ($0.id(0), $0.int(1)) }
        return Dictionary(uniqueKeysWithValues: rows)
    }

    func insertPayment(of order: Order, balanceAfter: Won, saleDay: BusinessDay, at now: Instant) throws -> PaymentID {
        guard gathers(.payments) else {
            try run(.addPayment, order.id, order.userID, order.finalAmount, balanceAfter, now, saleDay)
            noteFirst(.payments, db.lastInsertedRowID)
            return PaymentID(db.lastInsertedRowID)
        }
        let id = nextID(.payments)
        gather(
            .payments, .integer(id), .integer(order.id.rawValue), .integer(order.userID.rawValue), .integer(order.finalAmount.rawValue),
            .integer(balanceAfter.rawValue), .integer(now.milliseconds), .integer(saleDay.number))
        return PaymentID(id)
    }

    func payment(_ id: PaymentID) throws -> Payment? {
        try flushInserts()
        return try db.payment(id)
    }

    func saleDay(of payment: PaymentID) throws -> BusinessDay {
        try flushInserts()
        return try BusinessDay(number: db.integer("SELECT sale_day FROM payments WHERE id = ?", payment))
    }

    func insertRefund(of payment: Payment, items: [RequestedItem], amount: Won, refunded: Won, at now: Instant) throws -> RefundID {
        try flushInserts()
        try db.run("INSERT INTO refunds (payment_id, amount, at) VALUES (?, ?, ?)", payment.id, amount, now)
        let id = RefundID(db.lastInsertedRowID)
        for item in items {
            try db.run(
                "INSERT INTO refund_lines (refund_id, product_id, quantity) VALUES (?, ?, ?)", id, item.productID, item.quantity)
            try db.run(
                "UPDATE order_lines SET refunded = refunded + ? WHERE order_id = ? AND product_id = ?",
                item.quantity, payment.orderID, item.productID)
        }
        try db.run("UPDATE payments SET refunded = ? WHERE id = ?", refunded, payment.id)
        return id
    }
}

extension Database {
    static let orderQuery = """
        SELECT id, day, counter, user_id, status, total, discount, issued_coupon_id, created_at, expires_at, paid_at FROM orders
        """
    static let orderByID = orderQuery + " WHERE id = ?"

    func order(_ id: OrderID) throws -> Order? {
        guard let head = try first(Self.orderByID, id, read: Self.orderHead) else { return nil }
        return head.with(lines: try lines(of: id))
    }

    static let linesOfOrder = "SELECT product_id, name, unit_price, quantity, position FROM order_lines WHERE order_id = ?"

    func lines(of id: OrderID) throws -> [OrderLine] { Self.inOrder(try all(Self.linesOfOrder, id, read: Self.line)) }

    /// A line, and its place in the order.
    static func line(_ row: some RowColumns) throws -> (line: OrderLine, position: Int64) {
        let (price, quantity) = (row.won(2), row.int(3))
        guard let amount = price.multiplied(by: quantity) else {
            throw StoreError(.malformedRow, "a line of an order costs more than any amount")
        }
        return (OrderLine(productID: row.id(0), name: row.text(1), unitPrice: price, quantity: quantity, amount: amount), row.int(4))
    }

    /// The lines in their order. Sorted here, because SQLite would make a table in memory for it, even for one line.
    static func inOrder(_ lines: [(line: OrderLine, position: Int64)]) -> [OrderLine] {
        guard lines.count > 1 else { return lines.map(\.line) }
        return lines.sorted { $0.position < $1.position }.map(\.line)
    }

    /// An order without its lines.
    static func orderHead(_ row: some RowColumns) throws -> Order {
        guard let status = Order.Status(stored: row.int(4)) else {
            throw StoreError(.malformedRow, "order \(row.int(0)) has no valid status")
        }
        return Order(
            id: row.id(0), number: OrderNumber(day: row.day(1), counter: row.int(2)), userID: row.id(3), storedStatus: status, lines: [],
            totalAmount: row.won(5), discountAmount: row.won(6), issuedCouponID: row.optionalID(7), createdAt: row.instant(8),
            expiresAt: row.instant(9), paidAt: row.optionalInstant(10))
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
