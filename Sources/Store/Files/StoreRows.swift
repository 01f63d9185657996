import GRDB

/// A table of a store, as it is copied to another engine: its rows in the order of its key.
package struct StoreTable: Sendable {
    package enum ColumnKind: Sendable {
        case integer
        /// 0 and 1, which an engine may keep as a truth value.
        case flag
        case text
        case bytes
    }

    package let name: String
    package let columns: [(name: String, kind: ColumnKind)]
    /// The columns by which its rows are ordered and found.
    package let key: [String]

    private init(_ name: String, key: [String] = ["id"], _ columns: String) {
        self.name = name
        self.key = key
        self.columns = columns.split(separator: " ").map { column in
            let parts = column.split(separator: ":")
            let kind: ColumnKind =
                switch parts.last {
                case "text": .text
                case "bytes": .bytes
                case "flag": .flag
                default: .integer
                }
            return (String(parts[0]), kind)
        }
    }

    /// Every table of a store with all its columns, parents before their children. What an engine makes of them, such as an index of names,
    /// is left out.
    package static let all = [
        StoreTable("identity", "id store:text is_backup"),
        StoreTable("incarnations", key: ["number"], "number event_base"),
        StoreTable("users", "id name:text balance balance_updated_at created_at"),
        StoreTable("transfers", "id kind user_id debit_account credit_account amount balance_after order_id at"),
        StoreTable("charges", "id user_id amount transfer_id at"),
        StoreTable(
            "idempotency", key: ["scope", "key"], "scope:text key:text fingerprint:bytes status body:bytes created_at"),
        StoreTable("products", "id name:text name_folded:text price stock held created_at"),
        StoreTable(
            "campaigns",
            """
            id name:text discount_type discount_value discount_max quantity issued opens_at closes_at valid_for_s min_order \
            restore_on_refund:flag epoch created_at archival archived_at salt:bytes sealed sealed_count chain_head:bytes
            """),
        StoreTable(
            "issued_coupons", "id code:text coupon_id user_id sequence state issued_at expires_at used_at order_id"),
        StoreTable("chain_blocks", key: ["coupon_id", "block"], "coupon_id block before:bytes hashes:bytes"),
        StoreTable("order_counters", key: ["day"], "day last"),
        StoreTable(
            "orders", "id day counter user_id status total discount issued_coupon_id created_at expires_at paid_at"),
        StoreTable(
            "order_lines", key: ["order_id", "product_id"], "order_id product_id position name:text unit_price quantity refunded"),
        StoreTable("payments", "id order_id user_id amount balance_after paid_at sale_day refunded"),
        StoreTable("refunds", "id payment_id amount at"),
        StoreTable("refund_lines", key: ["refund_id", "product_id"], "refund_id product_id quantity"),
        StoreTable(
            "events",
            "id kind order_id occurred_at sale_day payload:text delivery attempts next_attempt_at last_error:text traceparent:text"),
        StoreTable("event_units", key: ["event_id", "product_id"], "event_id product_id units"),
        StoreTable("pruned_events", "id through payments refunds"),
        StoreTable("admin_log", "id at actor:text action:text object:text request_id:text details:text"),
        StoreTable(
            "grants",
            """
            id coupon_id actor:text state total granted already_held sold_out closed unknown_user next_chunk last_coupon_before created_at \
            updated_at finished_at
            """),
        StoreTable("grant_chunks", key: ["grant_id", "position"], "grant_id position users:bytes outcomes:bytes"),
    ]
}

/// A value of a row, as every engine keeps it.
package enum StoreValue: Sendable, Hashable {
    case null
    case integer(Int64)
    case text(String)
    case bytes([UInt8])
}

/// The rows of a store in a file, at one moment.
package struct StoreRows {
    private let db: Database

    /// Runs `body` with the rows of the file at `path`.
    package static func read<Value>(path: String, _ body: (StoreRows) throws -> Value) throws -> Value {
        do {
            return try DatabaseQueue(path: path, configuration: .reader()).read { try body(StoreRows(db: $0)) }
        } catch let error as DatabaseError {
            throw StoreError(classifying: error)
        }
    }

    /// How many rows a table has.
    package func count(of table: StoreTable) throws -> Int64 { try db.integer("SELECT count(*) FROM \(table.name)") }

    /// Calls the body with the rows of a table by key, as many at a time as it takes.
    package func forEach(of table: StoreTable, atATime limit: Int, _ body: ([[StoreValue]]) throws -> Void) throws {
        let columns = table.columns.map { "\"\($0.name)\"" }.joined(separator: ", ")
        let key = table.key.map { "\"\($0)\"" }.joined(separator: ", ")
        var rows: [[StoreValue]] = []
        try db.forEach("SELECT \(columns) FROM \(table.name) ORDER BY \(key)") { row in
            rows.append(
                table.columns.indices.map { index in
                    let place = CInt(index)
                    if row.isNull(place) { return .null }
                    switch table.columns[index].kind {
                    case .integer, .flag: return .integer(row.int(place))
                    case .text: return .text(row.text(place))
                    case .bytes: return .bytes(row.blob(place))
                    }
                })
            guard rows.count == limit else { return }
            try body(rows)
            rows.removeAll(keepingCapacity: true)
        }
        if !rows.isEmpty { try body(rows) }
    }
}
