import GRDB
import GRDBSQLite

// Rows that the jobs of a group add to one table and that no job reads in the same group: all but the first are written at its end, several
// by one statement. The first is written at once, because the others count on from its id, and so that a job alone has nothing to gather.

/// The tables whose new rows are gathered, in the order in which they are written: a row comes after those that it refers to.
enum GatheredTable: Int, CaseIterable {
    case orderLines, transfers, charges, payments, events, eventUnits

    var insertion: String {
        switch self {
        case .orderLines: "INSERT INTO order_lines (order_id, product_id, position, name, unit_price, quantity) VALUES "
        case .transfers:
            "INSERT INTO transfers (id, kind, user_id, debit_account, credit_account, amount, balance_after, order_id, at) VALUES "
        case .charges: "INSERT INTO charges (id, user_id, amount, transfer_id, at) VALUES "
        case .payments: "INSERT INTO payments (id, order_id, user_id, amount, balance_after, paid_at, sale_day) VALUES "
        case .events:
            "INSERT INTO events (id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at, traceparent) VALUES "
        case .eventUnits: "INSERT INTO event_units (event_id, product_id, units) VALUES "
        }
    }

    var columns: Int {
        switch self {
        case .orderLines: 6
        case .transfers: 9
        case .charges: 5
        case .payments: 7
        case .events: 8
        case .eventUnits: 3
        }
    }

    /// How many rows one statement writes at most; fewer are written by smaller steps.
    static let steps = [16, 4, 1]
}

/// A column's value of a gathered row.
enum GatheredValue {
    case integer(Int64)
    case text(String)
    case null

    func bind(to statement: SQLiteStatement, at index: CInt) -> CInt {
        switch self {
        case .integer(let value): value.bind(to: statement, at: index)
        case .text(let value): value.bind(to: statement, at: index)
        case .null: sqlite3_bind_null(statement, index)
        }
    }

    static func optional(_ value: Int64?) -> GatheredValue { value.map { .integer($0) } ?? .null }
    static func optional(_ value: String?) -> GatheredValue { value.map { .text($0) } ?? .null }
}

/// The new rows of one table.
struct GatheredInserts {
    /// The id of the newest row that the group has added; nil while it has added none, and so does not know it.
    var lastID: Int64?
    /// The values of the rows that are not written yet, one row after the other.
    var values: [GatheredValue] = []

    mutating func removeAll() {
        lastID = nil
        if !values.isEmpty { values.removeAll(keepingCapacity: true) }
    }
}

extension SQLiteBooks {
    /// Whether the row may be gathered; otherwise it is the first of its table, and is written at once.
    func gathers(_ table: GatheredTable) -> Bool { gathered.inserts[table.rawValue].lastID != nil }

    func noteFirst(_ table: GatheredTable, _ id: Int64) { gathered.inserts[table.rawValue].lastID = id }

    /// The next id of a table whose rows are gathered.
    func nextID(_ table: GatheredTable) -> Int64 {
        let id = (gathered.inserts[table.rawValue].lastID ?? 0) + 1
        gathered.inserts[table.rawValue].lastID = id
        return id
    }

    /// Gathers a row; the values are those of the table's columns, in the order of its insertion.
    func gather(_ table: GatheredTable, _ values: GatheredValue...) {
        assert(values.count == table.columns, "a row of \(table) has \(table.columns) columns")
        gathered.count += 1
        gathered.inserts[table.rawValue].values.append(contentsOf: values)
    }

    /// Writes the new rows that are gathered. Called before any statement that may read or refer to one.
    func flushInserts() throws {
        for table in GatheredTable.allCases where !gathered.inserts[table.rawValue].values.isEmpty { try write(table) }
    }

    private func write(_ table: GatheredTable) throws {
        // Taken out, so that binding the values copies none of them.
        var values: [GatheredValue] = []
        swap(&values, &gathered.inserts[table.rawValue].values)
        defer {
            values.removeAll(keepingCapacity: true)
            swap(&values, &gathered.inserts[table.rawValue].values)
        }
        var start = 0
        try writeGathered {
            for (place, rows) in GatheredTable.steps.enumerated() {
                let count = rows * table.columns
                while values.count - start >= count {
                    try db.run(try insertion(of: rows, into: table, place), table.insertion, values[start..<start + count])
                    start += count
                }
            }
        }
    }

    /// The statement that writes so many rows.
    private func insertion(of rows: Int, into table: GatheredTable, _ step: Int) throws -> Statement {
        let place = table.rawValue * GatheredTable.steps.count + step
        if let known = insertions[place] { return known }
        let row = "(" + Array(repeating: "?", count: table.columns).joined(separator: ", ") + ")"
        let new = try db.cachedStatement(sql: table.insertion + Array(repeating: row, count: rows).joined(separator: ", "))
        insertions[place] = new
        return new
    }
}
