package import Commerce
import GRDB

// Pages continue from the last item's key (no OFFSET): items created meanwhile neither repeat nor hide one.

extension TransactionalStore {
    /// All campaigns, newest first.
    package func campaigns(page: PageRequest) async throws(StoreError) -> Page<Campaign> {
        try await read(.browse) { db in
            let list = NewestFirst(list: .campaigns)
            let rows = try db.all(
                Database.campaignQuery + " WHERE id < ? ORDER BY id DESC LIMIT ?", try list.bound(page), page.limit + 1,
                read: Database.campaign)
            return list.page(rows, page) { $0.id.rawValue }
        }
    }

    /// A user's orders, newest first.
    package func orders(of user: UserID, page: PageRequest) async throws(StoreError) -> Page<Order> {
        try await read(.personal) { db in
            let list = NewestFirst(list: .orders)
            let heads = try db.all(
                Database.orderQuery + " WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?", user, try list.bound(page),
                page.limit + 1, read: Database.orderHead)
            let orders = try heads.map { $0.with(lines: try db.lines(of: $0.id)) }
            return list.page(orders, page) { $0.id.rawValue }
        }
    }

    /// The movements of a user's balance, newest first.
    package func balanceHistory(of user: UserID, page: PageRequest) async throws(StoreError) -> Page<BalanceEntry> {
        try await read(.personal) { db in
            let list = NewestFirst(list: .balanceHistory)
            let rows = try db.all(
                """
                SELECT id, kind, amount, balance_after, order_id, at FROM transfers
                WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?
                """, user, try list.bound(page), page.limit + 1, read: Database.balanceEntry)
            return list.page(rows, page) { $0.id.rawValue }
        }
    }

    /// A user's coupons that have the status at `now`, or all of them, with their receipts; newest first.
    package func issuedCoupons(
        of user: UserID, status: IssuedCoupon.Status?, at now: Instant, page: PageRequest
    ) async throws(StoreError) -> Page<CouponWithReceipt> {
        try await read(.personal) { db in
            let list = NewestFirst(list: .issuedCoupons)
            let condition =
                switch status {
                case nil: "?3 IS NOT NULL"
                case .issued: "i.state = 0 AND i.expires_at > ?3"
                case .expired: "i.state = 0 AND i.expires_at <= ?3"
                case .held: "i.state = 1 AND ?3 IS NOT NULL"
                case .used: "i.state = 2 AND ?3 IS NOT NULL"
                }
            let rows = try db.all(
                Database.couponWithReceiptQuery + " WHERE i.user_id = ?1 AND i.id < ?2 AND \(condition) ORDER BY i.id DESC LIMIT ?4",
                user, try list.bound(page), now, page.limit + 1, read: Database.couponWithReceipt)
            return list.page(rows, page) { $0.coupon.id.rawValue }
        }
    }

    /// Events in a delivery state, or all of them; newest first.
    package func events(state: OrderEvent.Delivery?, page: PageRequest) async throws(StoreError) -> Page<EventRecord> {
        try await read(.personal) { db in
            let list = NewestFirst(list: .events)
            // Spelled out and not an argument: otherwise SQLite could not use the partial indexes of the few undelivered events.
            let condition =
                switch state {
                case nil: "WHERE"
                case .waiting: "INDEXED BY events_waiting WHERE delivery = 0 AND"
                case .delivered: "WHERE delivery = 1 AND"
                case .parked: "INDEXED BY events_parked WHERE delivery = 2 AND"
                }
            let rows = try db.events("\(condition) id < ? ORDER BY id DESC LIMIT ?", try list.bound(page), page.limit + 1)
            return list.page(rows, page) { $0.event.id.rawValue }
        }
    }
}

extension Database {
    fileprivate static func balanceEntry(_ row: some RowColumns) throws -> BalanceEntry {
        guard let movement = Movement(rawValue: row.int(1)) else {
            throw StoreError(.malformedRow, "transfer \(row.int(0)) has no valid kind")
        }
        let amount = movement == .payment ? Won(-row.int(2)) : row.won(2)
        return BalanceEntry(
            id: row.id(0), kind: movement.kind, amount: amount, balanceAfter: row.won(3), orderID: row.optionalID(4), at: row.instant(5))
    }
}
