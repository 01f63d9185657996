import Commerce
import GRDB

/// The statements of the most frequent writes. The writer holds them prepared: finding one among GRDB's cached statements takes about 1,200
/// instructions, because its text is hashed and compared.
enum HeldStatement: Int, CaseIterable {
    case readBalance, setBalance, addTransfer, addCharge
    case readOrder, readLines, addOrder, addLine, payOrder
    case addPayment, addEvent, addUnits
    case addIssuedCoupon
    case changeStock

    var sql: String {
        switch self {
        case .readBalance: Database.balanceByID
        case .setBalance: "UPDATE users SET balance = ?, balance_updated_at = ? WHERE id = ?"
        case .addTransfer:
            """
            INSERT INTO transfers (kind, user_id, debit_account, credit_account, amount, balance_after, order_id, at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """
        case .addCharge: "INSERT INTO charges (user_id, amount, transfer_id, at) VALUES (?, ?, ?, ?)"
        case .readOrder: Database.orderByID
        case .readLines: Database.linesOfOrder
        case .addOrder:
            """
            INSERT INTO orders (day, counter, user_id, status, total, discount, issued_coupon_id, created_at, expires_at, paid_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        case .addLine: "INSERT INTO order_lines (order_id, product_id, position, name, unit_price, quantity) VALUES (?, ?, ?, ?, ?, ?)"
        case .payOrder: "UPDATE orders SET status = 1, paid_at = ? WHERE id = ? AND status = 0"
        case .addPayment:
            "INSERT INTO payments (order_id, user_id, amount, balance_after, paid_at, sale_day) VALUES (?, ?, ?, ?, ?, ?)"
        case .addEvent:
            """
            INSERT INTO events (id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at, traceparent)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """
        case .addUnits: "INSERT INTO event_units (event_id, product_id, units) VALUES (?, ?, ?)"
        // A row that would violate a unique key, by user or by sequence, is skipped, so that the other claims of a job get their rows.
        case .addIssuedCoupon:
            """
            INSERT INTO issued_coupons (code, coupon_id, user_id, sequence, issued_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO NOTHING
            """
        case .changeStock: "UPDATE products SET stock = stock + ?, held = held + ? WHERE id = ?"
        }
    }
}

extension SQLiteBooks {
    private func held(_ statement: HeldStatement) throws -> Statement {
        if let known = statements[statement.rawValue] { return known }
        let new = try db.cachedStatement(sql: statement.sql)
        statements[statement.rawValue] = new
        return new
    }

    /// Runs a statement that gives no rows.
    func run<each Argument: StatementBinding>(_ statement: HeldStatement, _ arguments: repeat each Argument) throws {
        try db.run(try held(statement), statement.sql, repeat each arguments)
    }

    /// The first row that a query gives, `nil` when it gives none.
    func first<Value, each Argument: StatementBinding>(
        _ statement: HeldStatement, _ arguments: repeat each Argument, read: (Columns) throws -> Value
    ) throws -> Value? {
        try db.first(try held(statement), statement.sql, repeat each arguments, read: read)
    }

    /// All rows that a query gives.
    func all<Value, each Argument: StatementBinding>(
        _ statement: HeldStatement, _ arguments: repeat each Argument, read: (Columns) throws -> Value
    ) throws -> [Value] {
        try db.all(try held(statement), statement.sql, repeat each arguments, read: read)
    }
}
