package import Commerce
import GRDB

extension TransactionalStore {
    /// Places an order that holds stock and coupon until it is paid, cancelled or expires. Lines of one product are added up.
    ///
    /// Refused: `userNotFound`, `productNotFound`, `outOfStock`, `couponNotUsable`, `invalid` for a total that is too large.
    package func placeOrder(
        userID: UserID, items: [RequestedItem], issuedCouponID: IssuedCouponID?, in context: WriteContext<Order>
    ) async throws(StoreError) -> WriteResult<Order> {
        let options = options
        return try await write(in: context) { db, now in
            try db.refusable {
                guard try db.balance(of: userID) != nil else { throw RefusedDecision(.userNotFound) }
                let draft = try db.draftOrder(userID: userID, items: items, issuedCouponID: issuedCouponID, at: now)
                let order = try db.insert(draft, as: .pending, options: options, at: now)
                for line in order.lines { try db.hold(line.quantity, of: line.productID) }
                if let coupon = issuedCouponID { try db.hold(coupon, for: order.id) }
                return order
            }
        }
    }

    /// Cancels a pending order and frees what it held; `user` is `nil` for an admin.
    ///
    /// Refused: `orderNotFound`, `notYours`, `orderNotCancellable`, also for an order that has expired but is still pending in the store.
    package func cancelOrder(
        _ id: OrderID, by user: UserID?, in context: WriteContext<Order>
    ) async throws(StoreError) -> WriteResult<Order> {
        try await write(in: context) { db, now in
            try db.refusable {
                let order = try db.order(id, for: user)
                let status = order.status(at: now)
                guard status == .pending else { throw RefusedDecision(.orderNotCancellable(status)) }
                return try db.end(order, as: .cancelled)
            }
        }
    }

    /// Expires pending orders whose `expiresAt` has passed, at most `limit`, frees what they held, and returns their number.
    package func expireOrders(at now: Instant, limit: Int = 500) async throws(StoreError) -> Int {
        try await write(context: nil) { db in
            let due: [OrderID] = try db.all(
                "SELECT id FROM orders WHERE status = 0 AND expires_at <= ? ORDER BY expires_at LIMIT ?", now, limit
            ) { $0.id(0) }
            var count = 0
            for id in due {
                guard let order = try db.readable({ try db.order(id) }) else { continue }
                _ = try db.end(order, as: .expired)
                count += 1
            }
            return count
        }
    }

    /// When the next pending order expires; `nil` while none is pending.
    package func nextExpiry() async throws(StoreError) -> Instant? {
        try await read(.service) { db in
            try db.first("SELECT min(expires_at) FROM orders WHERE status = 0") { $0.optionalInstant(0) } ?? nil
        }
    }
}

extension Database {
    /// Writes a draft as an order with the next number of its day.
    func insert(_ draft: OrderDraft, as status: Order.Status, options: StoreOptions, at now: Instant) throws -> Order {
        let day = options.calendar.day(of: now)
        let counter = try nextOrderNumber(of: day)
        let latest = Instant(milliseconds: Instant.representable.upperBound)
        let expiresAt = now.advanced(byMilliseconds: options.policy.orderHoldMilliseconds) ?? latest
        let paidAt = status == .paid ? now : nil
        try run(
            """
            INSERT INTO orders (day, counter, user_id, status, total, discount, issued_coupon_id, created_at, expires_at, paid_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, day, counter, draft.userID, status.stored, draft.total, draft.discount, Nullable(draft.issuedCouponID), now, expiresAt,
            Nullable(paidAt))
        let id = OrderID(lastInsertedRowID)
        if status == .pending { options.dueWork.noteOrder(expiringAt: expiresAt) }
        for (position, line) in draft.lines.enumerated() {
            try run(
                "INSERT INTO order_lines (order_id, product_id, position, name, unit_price, quantity) VALUES (?, ?, ?, ?, ?, ?)",
                id, line.productID, position, line.name, line.unitPrice, line.quantity)
        }
        return Order(
            id: id, number: OrderNumber(day: day, counter: counter), userID: draft.userID, storedStatus: status, lines: draft.lines,
            totalAmount: draft.total, discountAmount: draft.discount, issuedCouponID: draft.issuedCouponID, createdAt: now,
            expiresAt: expiresAt, paidAt: paidAt)
    }

    /// Two plain statements: for RETURNING, SQLite would create a table in memory.
    private func nextOrderNumber(of day: BusinessDay) throws -> Int64 {
        if let last = try first("SELECT last FROM order_counters WHERE day = ?", day, read: { $0.int(0) }) {
            try run("UPDATE order_counters SET last = ? WHERE day = ?", last + 1, day)
            return last + 1
        }
        try run("INSERT INTO order_counters (day, last) VALUES (?, 1)", day)
        return 1
    }

    /// Ends a pending order without payment: the only place that frees held stock and coupon, so each is freed once.
    func end(_ order: Order, as status: Order.Status) throws -> Order {
        try move(order.id, from: .pending, to: status)
        for line in order.lines { try release(line.quantity, of: line.productID) }
        if let coupon = order.issuedCouponID { try giveBack(coupon, from: order.id) }
        return order.with(status: status, paidAt: order.paidAt)
    }

    /// Changes an order's status, which the caller has just read inside this transaction.
    func move(_ id: OrderID, from old: Order.Status, to new: Order.Status) throws {
        guard try changes("UPDATE orders SET status = ? WHERE id = ? AND status = ?", new.stored, id, old.stored) == 1 else {
            throw StoreError(.internal, "an order was not in the status just read")
        }
    }

    static let orderQuery = """
        SELECT id, day, counter, user_id, status, total, discount, issued_coupon_id, created_at, expires_at, paid_at FROM orders
        """
    private static let orderByID = orderQuery + " WHERE id = ?"

    func order(_ id: OrderID) throws -> Order? {
        guard let head = try first(Self.orderByID, id, read: Self.orderHead) else { return nil }
        return head.with(lines: try lines(of: id))
    }

    func lines(of id: OrderID) throws -> [OrderLine] {
        try all("SELECT product_id, name, unit_price, quantity FROM order_lines WHERE order_id = ? ORDER BY position", id) { row in
            let (price, quantity) = (row.won(2), row.int(3))
            guard let amount = price.multiplied(by: quantity) else {
                throw StoreError(.malformedRow, "a line of order \(id) costs more than any amount")
            }
            return OrderLine(productID: row.id(0), name: row.text(1), unitPrice: price, quantity: quantity, amount: amount)
        }
    }

    /// An order without its lines.
    static func orderHead(_ row: Columns) throws -> Order {
        guard let status = Order.Status(stored: row.int(4)) else {
            throw StoreError(.malformedRow, "order \(row.int(0)) has no valid status")
        }
        return Order(
            id: row.id(0), number: OrderNumber(day: row.day(1), counter: row.int(2)), userID: row.id(3), storedStatus: status, lines: [],
            totalAmount: row.won(5), discountAmount: row.won(6), issuedCouponID: row.optionalID(7), createdAt: row.instant(8),
            expiresAt: row.instant(9), paidAt: row.optionalInstant(10))
    }
}

extension Order.Status {
    /// What the column `orders.status` holds.
    var stored: Int64 {
        switch self {
        case .pending: 0
        case .paid: 1
        case .cancelled: 2
        case .expired: 3
        case .refunded: 4
        }
    }

    init?(stored: Int64) {
        guard let status = Self.allCases.first(where: { $0.stored == stored }) else { return nil }
        self = status
    }
}

extension Order {
    func with(lines: [OrderLine]) -> Order {
        Order(
            id: id, number: number, userID: userID, storedStatus: storedStatus, lines: lines, totalAmount: totalAmount,
            discountAmount: discountAmount, issuedCouponID: issuedCouponID, createdAt: createdAt, expiresAt: expiresAt, paidAt: paidAt)
    }

    func with(status: Status, paidAt: Instant?) -> Order {
        Order(
            id: id, number: number, userID: userID, storedStatus: status, lines: lines, totalAmount: totalAmount,
            discountAmount: discountAmount, issuedCouponID: issuedCouponID, createdAt: createdAt, expiresAt: expiresAt, paidAt: paidAt)
    }
}
