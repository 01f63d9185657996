import Postgres
import Synchronization

/// The statements that read the rows of a group, one for each table. Those of a group that writes also lock the rows.
///
/// Each locks in the order of the ids, and a group sends them in the order payments, orders, users, issued coupons, campaigns, products,
/// events, counters. Every group locks in this one order, so no two can wait for each other. A statement that has waited for a lock returns
/// the row as it is then.
struct ReadStatements {
    let payments, orders, lines, users, issuedCoupons, campaigns, products, events, units: PostgresStatement
    let owned, sequences, answers, userCount, outbox: PostgresStatement

    static let locking = ReadStatements(locks: true)
    static let plain = ReadStatements(locks: false)

    /// The orders of $1 and those that the payments of $2 paid.
    private static let orderIDs = "$1 || ARRAY(SELECT order_id FROM payments WHERE id = ANY($2))"

    static let couponColumns = """
        i.id, i.code, i.coupon_id, i.user_id, i.sequence, i.state, i.issued_at, i.expires_at, i.used_at, i.order_id,
        c.name, c.discount_type, c.discount_value, c.discount_max, c.min_order, c.restore_on_refund
        """

    /// Joins the row that another one refers to. `OFFSET 0` has it read after the other one: planned as a join, all coupons of a campaign
    /// would be read where the server does not know how many there are.
    private static func joined(_ table: String, _ id: String, as name: String) -> String {
        "CROSS JOIN LATERAL (SELECT * FROM \(table) WHERE id = \(id) OFFSET 0) \(name)"
    }

    private init(locks: Bool) {
        let prefix = locks ? "lock" : "read"
        func lock(_ table: String = "") -> String { locks ? " FOR NO KEY UPDATE" + (table.isEmpty ? "" : " OF \(table)") : "" }
        payments = PostgresStatement(
            "\(prefix)_payments",
            """
            SELECT p.id, p.order_id, o.day, o.counter, p.user_id, p.amount, p.balance_after, p.paid_at, p.sale_day, p.refunded
            FROM payments p \(Self.joined("orders", "p.order_id", as: "o")) WHERE p.id = ANY($1) ORDER BY p.id\(lock("p"))
            """, .int8Array)
        orders = PostgresStatement(
            "\(prefix)_orders",
            """
            SELECT id, day, counter, user_id, status, total, discount, issued_coupon_id, created_at, expires_at, paid_at
            FROM orders WHERE id = ANY(\(Self.orderIDs)) ORDER BY id\(lock())
            """, .int8Array, .int8Array)
        // Only whoever has locked an order changes its lines.
        lines = PostgresStatement(
            "\(prefix)_lines",
            """
            SELECT order_id, product_id, name, unit_price, quantity, refunded
            FROM order_lines WHERE order_id = ANY(\(Self.orderIDs)) ORDER BY order_id, position
            """, .int8Array, .int8Array)
        users = PostgresStatement(
            "\(prefix)_users",
            """
            SELECT id, name, balance, balance_updated_at, created_at FROM users
            WHERE id = ANY($1 || ARRAY(SELECT user_id FROM payments WHERE id = ANY($2))) ORDER BY id\(lock())
            """, .int8Array, .int8Array)
        issuedCoupons = PostgresStatement(
            "\(prefix)_coupons",
            """
            SELECT \(Self.couponColumns) FROM issued_coupons i \(Self.joined("campaigns", "i.coupon_id", as: "c"))
            WHERE i.id = ANY($3 || ARRAY(
                SELECT issued_coupon_id FROM orders WHERE id = ANY(\(Self.orderIDs)) AND issued_coupon_id IS NOT NULL))
            ORDER BY i.id\(lock("i"))
            """, .int8Array, .int8Array, .int8Array)
        campaigns = PostgresStatement(
            "\(prefix)_campaigns",
            """
            SELECT id, name, discount_type, discount_value, discount_max, quantity, opens_at, closes_at, valid_for_s, min_order,
                restore_on_refund, issued, created_at, epoch, archival, archived_at, sealed, sealed_count, chain_head
            FROM campaigns WHERE id = ANY($1) ORDER BY id\(lock())
            """, .int8Array)
        products = PostgresStatement(
            "\(prefix)_products",
            """
            SELECT id, name, price, stock, held, created_at FROM products
            WHERE id = ANY($3 || ARRAY(SELECT product_id FROM order_lines WHERE order_id = ANY(\(Self.orderIDs)))) ORDER BY id\(lock())
            """, .int8Array, .int8Array, .int8Array)
        events = PostgresStatement(
            "\(prefix)_events",
            """
            SELECT id, kind, order_id, occurred_at, sale_day, payload, delivery, attempts, next_attempt_at, last_error, traceparent
            FROM events WHERE id = ANY($1) ORDER BY id\(lock())
            """, .int8Array)
        units = PostgresStatement(
            "\(prefix)_units", "SELECT event_id, product_id, units FROM event_units WHERE event_id = ANY($1) ORDER BY event_id, product_id",
            .int8Array)
        // Whoever adds a coupon of a campaign has locked the campaign, so these need no lock: they come after that of the campaigns.
        owned = PostgresStatement(
            "\(prefix)_owned",
            """
            SELECT \(Self.couponColumns) FROM unnest($1, $2) AS o (coupon_id, user_id)
            JOIN issued_coupons i ON i.coupon_id = o.coupon_id AND i.user_id = o.user_id
            \(Self.joined("campaigns", "i.coupon_id", as: "c"))
            """, .int8Array, .int8Array)
        sequences = PostgresStatement(
            "\(prefix)_sequences",
            """
            SELECT i.coupon_id, i.sequence FROM unnest($1, $2) AS s (coupon_id, sequence)
            JOIN issued_coupons i ON i.coupon_id = s.coupon_id AND i.sequence = s.sequence
            """, .int8Array, .int8Array)
        answers = PostgresStatement(
            "\(prefix)_answers",
            """
            SELECT i.scope, i.key, i.fingerprint, i.status, i.body, i.created_at
            FROM unnest($1, $2) AS k (scope, key) JOIN idempotency i ON i.scope = k.scope AND i.key = k.key
            """, .textArray, .textArray)
        userCount = PostgresStatement("\(prefix)_user_count", "SELECT last FROM counters WHERE name = 'users'\(lock())")
        outbox = PostgresStatement(
            "\(prefix)_outbox",
            """
            SELECT (SELECT last FROM counters WHERE name = 'events'), p.through, p.payments, p.refunds
            FROM pruned_events p\(lock())
            """)
    }

    /// The number of users where none is added: it needs no lock.
    static let userCountNow = PostgresStatement("read_user_count_now", "SELECT last FROM counters WHERE name = 'users'")

    /// Grants, locked after the events: only use cases read them by their keys.
    static let grants = PostgresStatement(
        "lock_grants",
        """
        SELECT id, coupon_id, actor, state, total, granted, already_held, sold_out, closed, unknown_user, next_chunk, last_coupon_before,
            created_at, updated_at, finished_at
        FROM grants WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
        """, .int8Array)

    /// The present term of the duties' lease, which nobody ends before the transaction does.
    static let duty = PostgresStatement("lock_duty", "SELECT holder, term FROM duties WHERE name = 'background' FOR KEY SHARE")

    /// New ids, drawn after the rows are locked, so that those of one user or order rise in the order of the commits.
    ///
    /// - Parameter sequences: of which of ``PostgresTables/sequences`` ids are drawn; each has a parameter, which says how many.
    /// - Returns: a statement with one array for each of all sequences. To begin one that draws nothing would cost as much as some ids.
    static func newIDs(of sequences: [Int]) -> PostgresStatement {
        madeForNewIDs.withLock { made in
            if let statement = made[sequences] { return statement }
            var columns = PostgresTables.sequences.map { _ in "'{}'::bigint[]" }
            for (index, sequence) in sequences.enumerated() {
                columns[sequence] =
                    "ARRAY(SELECT nextval('\(PostgresTables.sequences[sequence])') FROM generate_series(1, $\(index + 1)))"
            }
            let name = "new_ids_" + sequences.map(String.init).joined(separator: "_")
            let statement = PostgresStatement(
                name, "SELECT \(columns.joined(separator: ", "))", types: sequences.map { _ in .int8 })
            made[sequences] = statement
            return statement
        }
    }

    private static let madeForNewIDs = Mutex<[[Int]: PostgresStatement]>([:])
}
