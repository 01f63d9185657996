// What the audit checks otherwise on a server: there are no foreign keys, ids come from sequences and have gaps, and events are numbered
// by their places.

extension AuditRule {
    static let ofServers = shared + [serverReferences, serverPaidUnits, serverEventOfEachPayment, serverEventNumbers]

    private struct Reference {
        let table: String
        let column: String
        let parent: String
        /// How a row of the table is named.
        var row = "id"
    }

    private static let allReferences = [
        Reference(table: "transfers", column: "user_id", parent: "users"),
        Reference(table: "transfers", column: "order_id", parent: "orders"),
        Reference(table: "charges", column: "user_id", parent: "users"),
        Reference(table: "charges", column: "transfer_id", parent: "transfers"),
        Reference(table: "issued_coupons", column: "coupon_id", parent: "campaigns"),
        Reference(table: "issued_coupons", column: "user_id", parent: "users"),
        Reference(table: "issued_coupons", column: "order_id", parent: "orders"),
        Reference(table: "orders", column: "user_id", parent: "users"),
        Reference(table: "orders", column: "issued_coupon_id", parent: "issued_coupons"),
        Reference(table: "order_lines", column: "order_id", parent: "orders", row: "order_id"),
        Reference(table: "order_lines", column: "product_id", parent: "products", row: "order_id"),
        Reference(table: "payments", column: "order_id", parent: "orders"),
        Reference(table: "payments", column: "user_id", parent: "users"),
        Reference(table: "refunds", column: "payment_id", parent: "payments"),
        Reference(table: "refund_lines", column: "refund_id", parent: "refunds", row: "refund_id"),
        Reference(table: "refund_lines", column: "product_id", parent: "products", row: "refund_id"),
        Reference(table: "events", column: "order_id", parent: "orders"),
        Reference(table: "event_units", column: "event_id", parent: "events", row: "event_id"),
        Reference(table: "event_units", column: "product_id", parent: "products", row: "event_id"),
    ]

    private static let serverReferences = AuditRule(
        invariant: 2, claim: referencesClaim, coverage: referencesCoverage,
        violations: allReferences.map { reference in
            """
            SELECT '\(reference.table) ' || t.\(reference.row) || ': its row in \(reference.parent) is missing'
            FROM \(reference.table) t LEFT JOIN \(reference.parent) p ON p.id = t.\(reference.column)
            WHERE t.\(reference.column) IS NOT NULL AND p.id IS NULL
            """
        }.joined(separator: "\nUNION ALL\n") + "\nUNION ALL\n" + userIDsWithoutGap)

    /// Removed events leave payments and refunds without one. Which those are is not stored, so an order's lines are compared with its
    /// events where it has all of them.
    private static let serverPaidUnits = AuditRule(
        invariant: 5, claim: paidUnitsClaim, coverage: "SELECT count(*) FROM order_lines",
        violations: """
            WITH back AS (
                SELECT p.order_id, l.product_id, sum(l.quantity) units
                FROM refund_lines l JOIN refunds r ON r.id = l.refund_id JOIN payments p ON p.id = r.payment_id
                GROUP BY p.order_id, l.product_id
            ), told AS (
                SELECT e.order_id, u.product_id, sum(CASE e.kind WHEN 0 THEN u.units ELSE 0 END) sold,
                    sum(CASE e.kind WHEN 1 THEN -u.units ELSE 0 END) back
                FROM events e JOIN event_units u ON u.event_id = e.id GROUP BY e.order_id, u.product_id
            ), whole AS (
                SELECT p.order_id FROM payments p
                JOIN (SELECT order_id, count(*) n FROM events GROUP BY order_id) e ON e.order_id = p.order_id
                LEFT JOIN (SELECT payment_id, count(*) n FROM refunds GROUP BY payment_id) r ON r.payment_id = p.id
                WHERE e.n = 1 + coalesce(r.n, 0)
            )
            SELECT 'order ' || l.order_id || ', product ' || l.product_id || ': units ' || l.quantity || ' less ' || l.refunded
                || ', refunds ' || coalesce(b.units, 0) || ', events ' || coalesce(t.sold, 0) || ' less ' || coalesce(t.back, 0)
            FROM order_lines l LEFT JOIN whole w ON w.order_id = l.order_id
            LEFT JOIN back b ON b.order_id = l.order_id AND b.product_id = l.product_id
            LEFT JOIN told t ON t.order_id = l.order_id AND t.product_id = l.product_id
            WHERE l.refunded <> coalesce(b.units, 0)
                OR w.order_id IS NOT NULL AND (l.quantity <> coalesce(t.sold, 0) OR l.refunded <> coalesce(t.back, 0))
            UNION ALL
            SELECT 'order ' || other.order_id || ', product ' || other.product_id || ': refunded or told, but not in the order'
            FROM (SELECT order_id, product_id FROM back UNION SELECT order_id, product_id FROM told) other
            WHERE NOT EXISTS (SELECT 1 FROM order_lines l WHERE l.order_id = other.order_id AND l.product_id = other.product_id)
            UNION ALL
            SELECT 'order ' || l.order_id || ', product ' || l.product_id || ': refunded without a payment'
            FROM order_lines l LEFT JOIN payments p ON p.order_id = l.order_id WHERE l.refunded <> 0 AND p.id IS NULL
            """)

    private static let serverEventOfEachPayment = AuditRule(
        invariant: 8, claim: eventOfEachPaymentClaim,
        coverage: "SELECT (SELECT count(*) FROM payments) + (SELECT count(*) FROM refunds)",
        violations: """
            WITH told AS (
                SELECT order_id, sum(CASE kind WHEN 0 THEN 1 ELSE 0 END) sales, sum(CASE kind WHEN 1 THEN 1 ELSE 0 END) refunds,
                    sum(sale_day) days, count(*) n
                FROM events GROUP BY order_id
            ), made AS (SELECT payment_id, count(*) n FROM refunds GROUP BY payment_id)
            SELECT 'payment ' || p.id || ' of order ' || p.order_id || ': events of sale ' || e.sales || ', of refund ' || e.refunds
                || ', refunds ' || coalesce(r.n, 0)
            FROM payments p JOIN told e ON e.order_id = p.order_id LEFT JOIN made r ON r.payment_id = p.id
            WHERE e.sales > 1 OR e.refunds > coalesce(r.n, 0) OR e.days <> p.sale_day * e.n
            UNION ALL
            SELECT 'payments without their events: ' || lost.n || ', removed ' || g.payments
            FROM pruned_events g, (SELECT (SELECT count(*) FROM payments) - (SELECT count(*) FROM events WHERE kind = 0) n) lost
            WHERE lost.n <> g.payments
            UNION ALL
            SELECT 'refunds without their events: ' || lost.n || ', removed ' || g.refunds
            FROM pruned_events g, (SELECT (SELECT count(*) FROM refunds) - (SELECT count(*) FROM events WHERE kind = 1) n) lost
            WHERE lost.n <> g.refunds
            UNION ALL
            SELECT 'event ' || e.id || ': order ' || e.order_id || ' has no payment'
            FROM events e LEFT JOIN payments p ON p.order_id = e.order_id WHERE p.id IS NULL
            """)

    private static let serverEventNumbers = AuditRule(
        invariant: 8, claim: "events are numbered without a gap, and each is delivered, waiting or parked",
        coverage: "SELECT count(*) FROM events",
        // Removed events have taken their places with them.
        violations: """
            SELECT 'event ' || id || ': delivery ' || delivery FROM events WHERE delivery NOT IN (0, 1, 2)
            UNION ALL
            SELECT 'the newest event has place ' || c.last || ', and ' || e.n || ' events were counted, ' || g.payments + g.refunds
                || ' of them removed'
            FROM counters c, pruned_events g, (SELECT count(*) n FROM events) e, (SELECT min(event_base) base FROM incarnations) i
            WHERE c.name = 'events' AND c.last - i.base <> e.n + g.payments + g.refunds
            UNION ALL
            SELECT 'event ' || e.id || ': its place is after the newest' FROM events e, counters c
            WHERE c.name = 'events' AND e.place > c.last
            """)
}
