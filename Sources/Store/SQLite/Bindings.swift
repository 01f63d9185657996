import Commerce
import GRDB
import GRDBSQLite

// The domain's values as arguments of statements: amounts, ids, days and instants are INTEGER.

extension Won: StatementBinding {
    func bind(to sqliteStatement: SQLiteStatement, at index: CInt) -> CInt {
        sqlite3_bind_int64(sqliteStatement, index, rawValue)
    }
}

extension Instant: StatementBinding {
    func bind(to sqliteStatement: SQLiteStatement, at index: CInt) -> CInt {
        sqlite3_bind_int64(sqliteStatement, index, milliseconds)
    }
}

extension BusinessDay: StatementBinding {
    func bind(to sqliteStatement: SQLiteStatement, at index: CInt) -> CInt {
        sqlite3_bind_int64(sqliteStatement, index, number)
    }
}

extension Identifier: StatementBinding {
    func bind(to sqliteStatement: SQLiteStatement, at index: CInt) -> CInt {
        sqlite3_bind_int64(sqliteStatement, index, rawValue)
    }
}

/// Bytes that are bound as a BLOB; no bytes are an empty BLOB and not NULL.
struct Blob: StatementBinding {
    let bytes: [UInt8]

    func bind(to sqliteStatement: SQLiteStatement, at index: CInt) -> CInt {
        guard !bytes.isEmpty else { return sqlite3_bind_zeroblob(sqliteStatement, index, 0) }
        // SQLITE_TRANSIENT makes SQLite copy the bytes before this call returns.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        return bytes.withUnsafeBytes { sqlite3_bind_blob(sqliteStatement, index, $0.baseAddress, CInt($0.count), transient) }
    }
}

/// An argument that may be NULL.
struct Nullable<Wrapped: StatementBinding>: StatementBinding {
    let wrapped: Wrapped?

    init(_ wrapped: Wrapped?) {
        self.wrapped = wrapped
    }

    func bind(to sqliteStatement: SQLiteStatement, at index: CInt) -> CInt {
        guard let wrapped else { return sqlite3_bind_null(sqliteStatement, index) }
        return wrapped.bind(to: sqliteStatement, at: index)
    }
}
