import CLibPQ

/// What one statement came to: its rows, in the memory in which libpq received them.
///
/// Safety of `@unchecked Sendable`: libpq never changes a result after it was received (libpq's manual, "Behavior in Threaded Programs").
package final class PostgresResult: @unchecked Sendable {
    let handle: OpaquePointer
    package let rowCount: Int
    package let columnCount: Int

    init(_ handle: OpaquePointer) {
        self.handle = handle
        (rowCount, columnCount) = (Int(PQntuples(handle)), Int(PQnfields(handle)))
    }

    deinit { PQclear(handle) }

    /// What the server did, such as `INSERT 0 3`.
    package var commandTag: String { PQcmdStatus(handle).map { String(cString: $0) } ?? "" }

    /// The number of rows that the statement wrote or returned; 0 for a statement that counts none.
    package var affectedRows: Int { PQcmdTuples(handle).flatMap { Int(String(cString: $0)) } ?? 0 }

    /// Nil for a column that is not there.
    package func columnName(_ column: Int) -> String? { PQfname(handle, Int32(column)).map { String(cString: $0) } }

    /// The bytes of one value, valid as long as the result.
    ///
    /// - Throws: `.unexpectedResult` for a row or a column that is not there.
    package func field(_ row: Int, _ column: Int) throws(PostgresError) -> PostgresField {
        guard row >= 0, row < rowCount, column >= 0, column < columnCount else {
            throw PostgresError(
                .unexpectedResult, .completed, "there is no column \(column) in row \(row): the result has \(rowCount) x \(columnCount)")
        }
        let (row, column) = (Int32(row), Int32(column))
        let isNull = PQgetisnull(handle, row, column) == 1
        return PostgresField(
            type: PQftype(handle, column),
            bytes: isNull
                ? nil : UnsafeRawBufferPointer(start: PQgetvalue(handle, row, column), count: Int(PQgetlength(handle, row, column))))
    }

    /// Reads one value. NULL is read as nil of an optional type alone.
    ///
    /// - Throws: `.unexpectedResult` where the value is not of that type.
    @inlinable package func value<Value: PostgresReadable>(
        _ row: Int, _ column: Int, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        let field = try field(row, column)
        guard let value = Value(field) else { throw mismatch(field, column, "\(type)") }
        return value
    }

    // These have a type each: the compiler does not specialize the generic function above for callers in other modules.

    /// Reads one `bigint`, like ``value(_:_:as:)``.
    package func int8(_ row: Int, _ column: Int) throws(PostgresError) -> Int64 { try value(row, column) }
    package func optionalInt8(_ row: Int, _ column: Int) throws(PostgresError) -> Int64? { try value(row, column) }
    /// Reads one `text`, like ``value(_:_:as:)``.
    package func text(_ row: Int, _ column: Int) throws(PostgresError) -> String { try value(row, column) }
    package func optionalText(_ row: Int, _ column: Int) throws(PostgresError) -> String? { try value(row, column) }

    @usableFromInline func mismatch(_ field: PostgresField, _ column: Int, _ wanted: String) -> PostgresError {
        let name = columnName(column) ?? ""
        let value = field.bytes == nil ? "NULL" : "a value of type \(field.type)"
        return PostgresError(.unexpectedResult, .completed, "column \(column) \(name) has \(value), which is read as \(wanted)")
    }

    /// Each row as a value of its own, for code that is not run for thousands of rows.
    package var rows: PostgresRows { PostgresRows(result: self) }
}

/// The rows of a result in their order.
package struct PostgresRows: RandomAccessCollection, Sendable {
    let result: PostgresResult
    package var startIndex: Int { 0 }
    package var endIndex: Int { result.rowCount }
    package subscript(index: Int) -> PostgresRow { PostgresRow(result: result, index: index) }
}

/// One row of a result.
package struct PostgresRow: Sendable {
    @usableFromInline let result: PostgresResult
    package let index: Int

    @inlinable package func value<Value: PostgresReadable>(_ column: Int, as type: Value.Type = Value.self) throws(PostgresError) -> Value {
        try result.value(index, column, as: type)
    }

    package func field(_ column: Int) throws(PostgresError) -> PostgresField { try result.field(index, column) }
}

/// The results of a trip, one for each statement in their order.
package struct PostgresResults: Sendable {
    private let results: [PostgresResult]
    /// What the server said meanwhile that is no error.
    package let notices: [PostgresNotice]

    init(results: [PostgresResult], notices: [PostgresNotice]) { (self.results, self.notices) = (results, notices) }

    package var count: Int { results.count }
    package subscript(statement: Int) -> PostgresResult { results[statement] }
}
