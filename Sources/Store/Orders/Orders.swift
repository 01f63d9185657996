package import Commerce

extension TransactionalStore {
    /// Places an order that holds stock and coupon until it is paid, cancelled or expires. Lines of one product are added up.
    ///
    /// Refused: `userNotFound`, `productNotFound`, `outOfStock`, `couponNotUsable`, `invalid` for a total that is too large.
    package func placeOrder(
        userID: UserID, items: [RequestedItem], issuedCouponID: IssuedCouponID?, in context: WriteContext<Order>
    ) async throws(StoreError) -> WriteResult<Order> {
        let request = OrderRequest(userID: userID, items: items, issuedCouponID: issuedCouponID)
        return try await write(PlaceOrder(request: request, now: context.time), in: context)
    }

    /// Cancels a pending order and frees what it held; `user` is `nil` for an admin.
    ///
    /// Refused: `orderNotFound`, `notYours`, `orderNotCancellable`, also for an order that has expired but is still pending in the store.
    package func cancelOrder(
        _ id: OrderID, by user: UserID?, in context: WriteContext<Order>
    ) async throws(StoreError) -> WriteResult<Order> {
        try await write(CancelOrder(order: id, user: user, now: context.time), in: context)
    }

    /// Expires pending orders whose `expiresAt` has passed, at most `limit`, frees what they held, and returns their number.
    package func expireOrders(at now: Instant, limit: Int = 500) async throws(StoreError) -> Int {
        let due: [OrderID] = try await read(.service) { db in
            try db.all("SELECT id FROM orders WHERE status = 0 AND expires_at <= ? ORDER BY expires_at LIMIT ?", now, limit) { $0.id(0) }
        }
        return due.isEmpty ? 0 : try await write(ExpireOrders(orders: due, now: now))
    }

    /// When the next pending order expires; `nil` while none is pending.
    package func nextExpiry() async throws(StoreError) -> Instant? {
        try await read(.service) { db in
            try db.first("SELECT min(expires_at) FROM orders WHERE status = 0") { $0.optionalInstant(0) } ?? nil
        }
    }

    /// When the next pending order expires of those that expire after `start`.
    package func nextExpiry(after start: Instant) async throws(StoreError) -> Instant? {
        try await read(.service) { db in
            try db.first("SELECT min(expires_at) FROM orders WHERE status = 0 AND expires_at > ?", start) { $0.optionalInstant(0) } ?? nil
        }
    }
}

/// See ``TransactionalStore/placeOrder(userID:items:issuedCouponID:in:)``.
struct PlaceOrder: UseCase {
    let request: OrderRequest
    let now: Instant

    var needs: Needs { request.needs(at: now) }

    func decide(_ books: some Books) throws -> Outcome<Order> {
        try refusable {
            guard try books.balance(of: request.userID) != nil else { throw RefusedDecision(.userNotFound) }
            let draft = try books.draft(request, at: now)
            let order = try books.insert(draft, as: .pending, at: now)
            for line in order.lines { try books.hold(line.quantity, of: line.productID) }
            if let coupon = draft.issuedCouponID { try books.hold(coupon, for: order.id) }
            return order
        }
    }
}

/// See ``TransactionalStore/cancelOrder(_:by:in:)``.
struct CancelOrder: UseCase {
    let order: OrderID
    let user: UserID?
    let now: Instant

    var needs: Needs { Needs(orders: [order]) }

    func decide(_ books: some Books) throws -> Outcome<Order> {
        try refusable {
            let order = try books.order(order, for: user)
            let status = order.status(at: books.decisionTime(now))
            guard status == .pending else { throw RefusedDecision(.orderNotCancellable(status)) }
            return try books.end(order, as: .cancelled)
        }
    }
}

/// Expires those of the orders that are still pending. One whose row is malformed is left out.
struct ExpireOrders: UseCase {
    let orders: [OrderID]
    let now: Instant

    var needs: Needs { Needs(orders: orders) }

    func decide(_ books: some Books) throws -> Outcome<Int> {
        var count = 0
        for id in orders {
            guard let order = try readable({ try books.order(id) }), order.storedStatus == .pending, order.expiresAt <= now else {
                continue
            }
            _ = try books.end(order, as: .expired)
            count += 1
        }
        return .done(count)
    }
}

extension Books {
    /// Writes a draft as an order with the next number of its day.
    func insert(_ draft: OrderDraft, as status: Order.Status, at now: Instant) throws -> Order {
        let latest = Instant(milliseconds: Instant.representable.upperBound)
        let new = NewOrder(
            draft: draft, number: try nextOrderNumber(of: rules.calendar.day(of: now)), status: status, createdAt: now,
            expiresAt: now.advanced(byMilliseconds: rules.policy.orderHoldMilliseconds) ?? latest, paidAt: status == .paid ? now : nil)
        return Order(
            id: try insertOrder(new), number: new.number, userID: draft.userID, storedStatus: status, lines: draft.lines,
            totalAmount: draft.total, discountAmount: draft.discount, issuedCouponID: draft.issuedCouponID, createdAt: now,
            expiresAt: new.expiresAt, paidAt: new.paidAt)
    }

    /// Ends a pending order without payment: the only place that frees held stock and coupon, so each is freed once.
    func end(_ order: Order, as status: Order.Status) throws -> Order {
        try move(order.id, from: .pending, to: status)
        for line in order.lines { try release(line.quantity, of: line.productID) }
        if let coupon = order.issuedCouponID { try giveBack(coupon, from: order.id) }
        return order.with(status: status, paidAt: order.paidAt)
    }
}

extension Order.Status {
    /// What the column `orders.status` holds.
    package var stored: Int64 {
        switch self {
        case .pending: 0
        case .paid: 1
        case .cancelled: 2
        case .expired: 3
        case .refunded: 4
        }
    }

    /// Nil for a number that no status has.
    package init?(stored: Int64) {
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
