import Commerce
import GRDB
import GRDBSQLite

// GRDB opens, migrates and serializes connections and caches prepared statements. Running a statement goes straight to
// SQLite: no array of arguments and no row object is allocated on the hot paths.

extension Database {
    /// Runs a statement that gives no rows.
    func run<each Argument: StatementBinding>(_ sql: String, _ arguments: repeat each Argument) throws {
        try withBoundStatement(sql, repeat each arguments) { statement in
            let code = sqlite3_step(statement.sqliteStatement)
            guard code == SQLITE_DONE || code == SQLITE_ROW else { throw failure(code, sql) }
        }
    }

    /// Runs a statement that was prepared from `sql` and gives no rows; for callers that run it many times.
    func run<each Argument: StatementBinding>(_ statement: Statement, _ sql: String, _ arguments: repeat each Argument) throws {
        try withBound(statement, sql, repeat each arguments) { statement in
            let code = sqlite3_step(statement.sqliteStatement)
            guard code == SQLITE_DONE || code == SQLITE_ROW else { throw failure(code, sql) }
        }
    }

    /// Runs a statement that was prepared from `sql`, with arguments whose number is known only at run time.
    func run(_ statement: Statement, _ sql: String, _ arguments: ArraySlice<GatheredValue>) throws {
        defer { sqlite3_reset(statement.sqliteStatement) }
        var index: CInt = 0
        for argument in arguments {
            index += 1
            try check(argument.bind(to: statement.sqliteStatement, at: index), sql)
        }
        let code = sqlite3_step(statement.sqliteStatement)
        guard code == SQLITE_DONE else { throw failure(code, sql) }
    }

    /// Runs a statement and says how many rows it changed.
    func changes<each Argument: StatementBinding>(_ sql: String, _ arguments: repeat each Argument) throws -> Int {
        try run(sql, repeat each arguments)
        return changesCount
    }

    /// The first row that a query gives, `nil` when it gives none.
    func first<Value, each Argument: StatementBinding>(
        _ sql: String, _ arguments: repeat each Argument, read: (Columns) throws -> Value
    ) throws -> Value? {
        try withBoundStatement(sql, repeat each arguments) { try firstRow(of: $0, sql, read: read) }
    }

    /// The first row of a query that was prepared from `sql`.
    func first<Value, each Argument: StatementBinding>(
        _ statement: Statement, _ sql: String, _ arguments: repeat each Argument, read: (Columns) throws -> Value
    ) throws -> Value? {
        try withBound(statement, sql, repeat each arguments) { try firstRow(of: $0, sql, read: read) }
    }

    /// All rows of a query that was prepared from `sql`.
    func all<Value, each Argument: StatementBinding>(
        _ statement: Statement, _ sql: String, _ arguments: repeat each Argument, read: (Columns) throws -> Value
    ) throws -> [Value] {
        try withBound(statement, sql, repeat each arguments) { try rows(of: $0, sql, read: read) }
    }

    /// All rows that a query gives.
    func all<Value, each Argument: StatementBinding>(
        _ sql: String, _ arguments: repeat each Argument, read: (Columns) throws -> Value
    ) throws -> [Value] {
        try withBoundStatement(sql, repeat each arguments) { try rows(of: $0, sql, read: read) }
    }

    /// All rows of a query whose arguments are known only at run time.
    func all<Value>(_ sql: String, list arguments: [any StatementBinding], read: (Columns) throws -> Value) throws -> [Value] {
        let statement = try cachedStatement(sql: sql)
        defer { sqlite3_reset(statement.sqliteStatement) }
        for (index, argument) in arguments.enumerated() {
            try check(argument.bind(to: statement.sqliteStatement, at: CInt(index + 1)), sql)
        }
        return try rows(of: statement, sql, read: read)
    }

    /// Calls the body with each row that a query gives, without collecting them.
    func forEach<each Argument: StatementBinding>(
        _ sql: String, _ arguments: repeat each Argument, body: (Columns) throws -> Void
    ) throws {
        try withBoundStatement(sql, repeat each arguments) { statement in
            while true {
                let code = sqlite3_step(statement.sqliteStatement)
                switch code {
                case SQLITE_ROW: try body(Columns(statement: statement.sqliteStatement))
                case SQLITE_DONE: return
                default: throw failure(code, sql)
                }
            }
        }
    }

    /// Calls the body with the rows that a query gives until it returns false.
    func walk<each Argument: StatementBinding>(
        _ sql: String, _ arguments: repeat each Argument, while body: (Columns) throws -> Bool
    ) throws {
        try withBoundStatement(sql, repeat each arguments) { statement in
            while true {
                let code = sqlite3_step(statement.sqliteStatement)
                switch code {
                case SQLITE_ROW: guard try body(Columns(statement: statement.sqliteStatement)) else { return }
                case SQLITE_DONE: return
                default: throw failure(code, sql)
                }
            }
        }
    }

    /// The one integer of a query that always gives one row.
    func integer<each Argument: StatementBinding>(_ sql: String, _ arguments: repeat each Argument) throws -> Int64 {
        try first(sql, repeat each arguments) { $0.int(0) } ?? 0
    }

    private func withBoundStatement<Value, each Argument: StatementBinding>(
        _ sql: String, _ arguments: repeat each Argument, body: (Statement) throws -> Value
    ) throws -> Value {
        try withBound(try cachedStatement(sql: sql), sql, repeat each arguments, body: body)
    }

    private func withBound<Value, each Argument: StatementBinding>(
        _ statement: Statement, _ sql: String, _ arguments: repeat each Argument, body: (Statement) throws -> Value
    ) throws -> Value {
        assert(sqlite3_stmt_busy(statement.sqliteStatement) == 0, "a cached statement is not reentrant: \(sql)")
        // Reset also after a failure: a statement left half-way would keep its read transaction open.
        defer { sqlite3_reset(statement.sqliteStatement) }
        var index: CInt = 0
        for argument in repeat each arguments {
            index += 1
            try check(argument.bind(to: statement.sqliteStatement, at: index), sql)
        }
        assert(index == sqlite3_bind_parameter_count(statement.sqliteStatement), "arguments and parameters differ: \(sql)")
        return try body(statement)
    }

    private func firstRow<Value>(of statement: Statement, _ sql: String, read: (Columns) throws -> Value) throws -> Value? {
        let code = sqlite3_step(statement.sqliteStatement)
        switch code {
        case SQLITE_ROW: return try read(Columns(statement: statement.sqliteStatement))
        case SQLITE_DONE: return nil
        default: throw failure(code, sql)
        }
    }

    private func rows<Value>(of statement: Statement, _ sql: String, read: (Columns) throws -> Value) throws -> [Value] {
        var values: [Value] = []
        while true {
            let code = sqlite3_step(statement.sqliteStatement)
            switch code {
            case SQLITE_ROW: values.append(try read(Columns(statement: statement.sqliteStatement)))
            case SQLITE_DONE: return values
            default: throw failure(code, sql)
            }
        }
    }

    private func check(_ code: CInt, _ sql: String) throws {
        guard code == SQLITE_OK else { throw failure(code, sql) }
    }

    private func failure(_ code: CInt, _ sql: String) -> DatabaseError {
        DatabaseError(resultCode: ResultCode(rawValue: code), message: lastErrorMessage, sql: sql)
    }
}

/// The current row of a running statement; valid only inside the closure that receives it.
struct Columns: RowColumns {
    let statement: OpaquePointer

    func int(_ index: CInt) -> Int64 { sqlite3_column_int64(statement, index) }

    func isNull(_ index: CInt) -> Bool { sqlite3_column_type(statement, index) == SQLITE_NULL }

    func text(_ index: CInt) -> String {
        guard let bytes = sqlite3_column_text(statement, index) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, index))
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    func blob(_ index: CInt) -> [UInt8] {
        guard let bytes = sqlite3_column_blob(statement, index) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(statement, index))))
    }

    /// The bytes of a blob as SQLite has them; valid inside the closure.
    func withBlob<Value>(_ index: CInt, _ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        // SQLite wants to be asked for the bytes first and for their length after them.
        let bytes = sqlite3_column_blob(statement, index)
        return try body(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : Int(sqlite3_column_bytes(statement, index))))
    }

    func withBytes<Value>(_ index: CInt, _ body: (UnsafeRawBufferPointer) -> Value) -> Value { withBlob(index, body) }

    func bool(_ index: CInt) -> Bool { int(index) != 0 }
    func won(_ index: CInt) -> Won { Won(int(index)) }
    /// An instant. One outside the representable range, which no version writes, is clamped to it: it must not end the process.
    func instant(_ index: CInt) -> Instant {
        let range = Instant.representable
        return Instant(milliseconds: min(max(int(index), range.lowerBound), range.upperBound))
    }

    /// A day, clamped like ``instant(_:)``.
    func day(_ index: CInt) -> BusinessDay { BusinessDay(number: min(max(int(index), 0), Self.lastDay)) }

    private static let lastDay = Instant.representable.upperBound / 86_400_000
    func id<Entity>(_ index: CInt) -> Identifier<Entity> { Identifier(int(index)) }

    func optionalText(_ index: CInt) -> String? { isNull(index) ? nil : text(index) }
    func optionalWon(_ index: CInt) -> Won? { isNull(index) ? nil : won(index) }
    func optionalInstant(_ index: CInt) -> Instant? { isNull(index) ? nil : instant(index) }
    func optionalID<Entity>(_ index: CInt) -> Identifier<Entity>? { isNull(index) ? nil : id(index) }
}
