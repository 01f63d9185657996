// The invariants of the guide *Architecture* that the store can check alone, as SQL. Each query joins whole tables once, so its cost
// grows with the number of rows and not with its square.

extension AuditRule {
    /// What the audit of an SQLite store checks.
    static let all =
        coupons + [references] + money + [stock[0], paidUnits, stock[1]] + states + [eventOfEachPayment, eventNumbers, adminLog, names]

    /// What holds in any engine, in words that all of them know.
    static let shared = coupons + money + stock + states + [adminLog]

    private static let coupons = [
        AuditRule(
            invariant: 1, claim: "no campaign has issued more coupons than its quantity, and each counts what it issued",
            coverage: "SELECT count(*) FROM campaigns",
            violations: """
                SELECT 'campaign ' || c.id || ': quantity ' || c.quantity || ', issued ' || c.issued || ', rows ' || coalesce(i.n, 0)
                FROM campaigns c LEFT JOIN (SELECT coupon_id, count(*) n FROM issued_coupons GROUP BY coupon_id) i ON i.coupon_id = c.id
                WHERE c.issued <> coalesce(i.n, 0) OR coalesce(i.n, 0) > c.quantity
                """),
        AuditRule(
            invariant: 1, claim: "nobody has two coupons of a campaign, and no two coupons of it share a sequence",
            coverage: "SELECT count(*) FROM issued_coupons",
            violations: """
                SELECT 'campaign ' || coupon_id || ': user ' || user_id || ' has ' || count(*) FROM issued_coupons NOT INDEXED
                GROUP BY coupon_id, user_id HAVING count(*) > 1
                UNION ALL
                SELECT 'campaign ' || coupon_id || ': sequence ' || sequence || ' given ' || count(*) || ' times'
                FROM issued_coupons NOT INDEXED GROUP BY coupon_id, sequence HAVING count(*) > 1
                """),
    ]

    static let referencesClaim = "every row belongs to rows that exist"
    static let referencesCoverage = """
        SELECT (SELECT count(*) FROM issued_coupons) + (SELECT count(*) FROM orders) + (SELECT count(*) FROM payments)
            + (SELECT count(*) FROM refunds) + (SELECT count(*) FROM transfers) + (SELECT count(*) FROM charges)
        """
    static let userIDsWithoutGap = """
        SELECT 'user ' || id || ': an id before it is missing' FROM users WHERE id > (SELECT count(*) FROM users)
        """

    private static let references = AuditRule(
        invariant: 2, claim: referencesClaim, coverage: referencesCoverage,
        violations: """
            SELECT "table" || ' ' || coalesce(rowid, '?') || ': its row in ' || parent || ' is missing' FROM pragma_foreign_key_check
            UNION ALL
            \(userIDsWithoutGap)
            """)

    /// Ids are given without a gap and entries are only appended, so an entry that is missing before another was removed.
    private static let adminLog = AuditRule(
        invariant: 2, claim: "no entry of the admin log was removed", coverage: "SELECT count(*) FROM admin_log",
        violations: """
            SELECT 'admin log: ' || (log.last - log.n) || ' entries are missing before entry ' || log.last
            FROM (SELECT max(id) last, count(*) n FROM admin_log) log WHERE log.last <> log.n
            """)

    private static let money = [
        AuditRule(
            invariant: 4, claim: "a balance is not negative and is the sum of its user's transfers",
            coverage: "SELECT count(*) FROM users",
            violations: """
                SELECT 'user ' || u.id || ': balance ' || u.balance || ', transfers ' || coalesce(t.total, 0)
                FROM users u LEFT JOIN (
                    SELECT user_id, sum(CASE WHEN credit_account = user_id THEN amount ELSE -amount END) total
                    FROM transfers GROUP BY user_id) t ON t.user_id = u.id
                WHERE u.balance < 0 OR u.balance <> coalesce(t.total, 0)
                """),
        AuditRule(
            invariant: 4, claim: "each transfer runs between its user and the house account of its kind, so all sum up to 0",
            coverage: "SELECT count(*) FROM transfers",
            violations: """
                SELECT 'transfer ' || id || ': ' || debit_account || ' to ' || credit_account || ', amount ' || amount FROM transfers
                WHERE amount <= 0 OR NOT CASE kind
                    WHEN 0 THEN debit_account = \(Schema.fundingAccount) AND credit_account = user_id
                    WHEN 1 THEN debit_account = user_id AND credit_account = \(Schema.salesAccount)
                    ELSE debit_account = \(Schema.salesAccount) AND credit_account = user_id END
                """),
        AuditRule(
            invariant: 4, claim: "each charge has its transfer, and each transfer of a charge its charge",
            coverage: "SELECT count(*) FROM charges",
            violations: """
                SELECT 'charge ' || c.id || ': its transfer differs' FROM charges c LEFT JOIN transfers t ON t.id = c.transfer_id
                WHERE t.id IS NULL OR t.kind <> 0 OR t.amount <> c.amount OR t.user_id <> c.user_id
                UNION ALL
                SELECT 'transfer ' || t.id || ': no charge' FROM transfers t LEFT JOIN charges c ON c.transfer_id = t.id
                WHERE t.kind = 0 AND c.id IS NULL
                """),
        AuditRule(
            invariant: 4, claim: "what was paid and refunded for an order is what its transfers moved",
            coverage: "SELECT count(*) FROM payments",
            violations: """
                SELECT 'payment ' || p.id || ': amount ' || p.amount || ' and refunded ' || p.refunded || ', transfers '
                    || coalesce(t.paid, 0) || ' and ' || coalesce(t.back, 0) || ', refunds ' || coalesce(r.back, 0)
                FROM payments p
                LEFT JOIN (SELECT order_id, sum(CASE kind WHEN 1 THEN amount ELSE 0 END) paid, sum(CASE kind WHEN 2 THEN amount ELSE 0 END) back
                    FROM transfers WHERE kind <> 0 GROUP BY order_id) t ON t.order_id = p.order_id
                LEFT JOIN (SELECT payment_id, sum(amount) back FROM refunds GROUP BY payment_id) r ON r.payment_id = p.id
                WHERE p.amount <> coalesce(t.paid, 0) OR p.refunded <> coalesce(t.back, 0) OR p.refunded <> coalesce(r.back, 0)
                    OR p.refunded > p.amount
                UNION ALL
                SELECT 'transfer ' || t.id || ': no payment' FROM transfers t LEFT JOIN payments p ON p.order_id = t.order_id
                WHERE t.kind <> 0 AND p.id IS NULL
                """),
    ]

    private static let stock = [
        AuditRule(
            invariant: 5, claim: "stock is at least what is held, and held is what pending orders hold",
            coverage: "SELECT count(*) FROM products",
            violations: """
                SELECT 'product ' || p.id || ': stock ' || p.stock || ', held ' || p.held || ', in pending orders ' || coalesce(h.units, 0)
                FROM products p LEFT JOIN (
                    SELECT l.product_id, sum(l.quantity) units FROM orders o JOIN order_lines l ON l.order_id = o.id
                    WHERE o.status = 0 GROUP BY l.product_id) h ON h.product_id = p.id
                WHERE p.held < 0 OR p.stock < p.held OR p.held <> coalesce(h.units, 0)
                """),
        AuditRule(
            invariant: 5, claim: "an order costs what its lines cost",
            coverage: "SELECT count(*) FROM orders",
            violations: """
                SELECT 'order ' || o.id || ': total ' || o.total || ', lines ' || coalesce(l.total, 0) FROM orders o
                LEFT JOIN (SELECT order_id, sum(unit_price * quantity) total FROM order_lines GROUP BY order_id) l ON l.order_id = o.id
                WHERE o.total <> coalesce(l.total, 0)
                """),
    ]

    static let paidUnitsClaim = "units sold are units paid less units refunded, in orders, refunds and events alike"

    private static let paidUnits = AuditRule(
        invariant: 5, claim: paidUnitsClaim,
        coverage: "SELECT count(*) FROM order_lines",
        violations: """
            WITH lines AS (
                SELECT l.order_id, l.product_id, l.quantity, l.refunded, iif(p.id > g.payments, l.quantity, 0) kept
                FROM order_lines l JOIN payments p ON p.order_id = l.order_id, pruned_events g
            ), back AS (
                SELECT p.order_id, l.product_id, sum(l.quantity) units, sum(iif(r.id > g.refunds, l.quantity, 0)) kept
                FROM refund_lines l JOIN refunds r ON r.id = l.refund_id JOIN payments p ON p.id = r.payment_id, pruned_events g
                GROUP BY p.order_id, l.product_id
            ), told AS (
                SELECT e.order_id, u.product_id, sum(iif(e.kind = 0, u.units, 0)) sold, sum(iif(e.kind = 1, -u.units, 0)) back
                FROM events e JOIN event_units u ON u.event_id = e.id GROUP BY e.order_id, u.product_id
            )
            SELECT 'order ' || l.order_id || ', product ' || l.product_id || ': units ' || l.quantity || ' less ' || l.refunded
                || ', refunds ' || coalesce(b.units, 0) || ', events ' || coalesce(t.sold, 0) || ' less ' || coalesce(t.back, 0)
            FROM lines l LEFT JOIN back b USING (order_id, product_id) LEFT JOIN told t USING (order_id, product_id)
            WHERE l.refunded <> coalesce(b.units, 0) OR l.kept <> coalesce(t.sold, 0) OR coalesce(b.kept, 0) <> coalesce(t.back, 0)
            UNION ALL
            SELECT 'order ' || order_id || ', product ' || product_id || ': refunded or told, but not in the order'
            FROM (SELECT order_id, product_id FROM back UNION SELECT order_id, product_id FROM told) other
            WHERE NOT EXISTS (
                SELECT 1 FROM order_lines l WHERE l.order_id = other.order_id AND l.product_id = other.product_id)
            UNION ALL
            SELECT 'order ' || l.order_id || ', product ' || l.product_id || ': refunded without a payment'
            FROM order_lines l LEFT JOIN payments p ON p.order_id = l.order_id WHERE l.refunded <> 0 AND p.id IS NULL
            """)

    private static let states = [
        AuditRule(
            invariant: 6, claim: "an order is paid or refunded exactly when it has a payment, and refunded when nothing of it is left",
            coverage: "SELECT count(*) FROM orders",
            violations: """
                SELECT 'order ' || o.id || ': status ' || o.status || ', payment ' || coalesce(CAST(p.id AS text), 'none') || ', units left '
                    || coalesce(l.remaining, 0)
                FROM orders o LEFT JOIN payments p ON p.order_id = o.id
                LEFT JOIN (SELECT order_id, sum(quantity - refunded) remaining FROM order_lines GROUP BY order_id) l ON l.order_id = o.id
                WHERE (o.status IN (1, 4)) <> (p.id IS NOT NULL) OR (o.status = 4) <> (coalesce(l.remaining, 0) = 0)
                    OR (p.id IS NOT NULL AND (p.amount <> o.total - o.discount OR p.user_id <> o.user_id OR p.paid_at IS DISTINCT FROM o.paid_at))
                """),
        AuditRule(
            invariant: 6, claim: "a coupon is used by exactly one paid order, held by one pending order, or free",
            coverage: "SELECT count(*) FROM issued_coupons",
            violations: """
                SELECT 'issued coupon ' || i.id || ': state ' || i.state || ', order ' || coalesce(CAST(i.order_id AS text), 'none') || ' with status '
                    || coalesce(CAST(o.status AS text), 'none')
                FROM issued_coupons i LEFT JOIN orders o ON o.id = i.order_id AND o.issued_coupon_id = i.id AND o.user_id = i.user_id
                WHERE NOT CASE i.state
                    WHEN 0 THEN i.order_id IS NULL AND i.used_at IS NULL
                    WHEN 1 THEN coalesce(o.status = 0, 1 = 0)
                    ELSE coalesce(o.status IN (1, 4), 1 = 0) END
                UNION ALL
                SELECT 'order ' || o.id || ': status ' || o.status || ', its coupon ' || o.issued_coupon_id || ' is not with it'
                FROM orders o LEFT JOIN issued_coupons i ON i.id = o.issued_coupon_id
                WHERE o.issued_coupon_id IS NOT NULL AND o.status IN (0, 1) AND i.order_id IS DISTINCT FROM o.id
                """),
    ]

    static let eventOfEachPaymentClaim = "every payment and every refund has its event, unless old events were removed"

    private static let eventOfEachPayment =
        AuditRule(
            // The events of the first payments and refunds may have been removed (`pruned_events`); none of those may be left.
            invariant: 8, claim: eventOfEachPaymentClaim,
            coverage: "SELECT (SELECT count(*) FROM payments) + (SELECT count(*) FROM refunds)",
            violations: """
                SELECT 'payment ' || p.id || ' of order ' || p.order_id || ': events of sale ' || coalesce(e.sales, 0) || ', of refund '
                    || coalesce(e.refunds, 0) || ', refunds ' || coalesce(r.n, 0)
                FROM payments p
                LEFT JOIN (SELECT order_id, sum(kind = 0) sales, sum(kind = 1) refunds, sum(sale_day) days, count(*) n
                    FROM events GROUP BY order_id) e ON e.order_id = p.order_id
                LEFT JOIN (
                    SELECT r.payment_id, sum(r.id > g.refunds) n FROM refunds r, pruned_events g GROUP BY r.payment_id
                ) r ON r.payment_id = p.id
                WHERE coalesce(e.sales, 0) <> (p.id > (SELECT payments FROM pruned_events))
                    OR coalesce(e.refunds, 0) <> coalesce(r.n, 0) OR e.days <> p.sale_day * e.n
                UNION ALL
                SELECT 'event ' || e.id || ': order ' || e.order_id || ' has no payment'
                FROM events e LEFT JOIN payments p ON p.order_id = e.order_id WHERE p.id IS NULL
                """)

    private static let eventNumbers =
        AuditRule(
            invariant: 8, claim: "events are numbered without a gap, and each is delivered, waiting or parked",
            coverage: "SELECT count(*) FROM events",
            // The id before an event's is that of another event, the base of an incarnation, or the id of the last event that was
            // removed.
            violations: """
                SELECT 'event ' || id || ': delivery ' || delivery FROM events WHERE delivery NOT IN (0, 1, 2)
                UNION ALL
                SELECT 'event ' || e.id || ': the event before it is missing' FROM events e LEFT JOIN events p ON p.id = e.id - 1
                WHERE p.id IS NULL AND e.id - 1 NOT IN (SELECT event_base FROM incarnations UNION SELECT through FROM pruned_events)
                """)
}
