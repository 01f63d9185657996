import GRDB

/// A failure of the store. What the business rules refuse is a `Refusal`.
package struct StoreError: Error, CustomStringConvertible {
    /// The kind of failure, by which callers decide what to answer.
    package enum Code: Sendable, Hashable {
        /// The store cannot write or read at present: the disk is full, an I/O error, another process writes. Nothing was changed.
        case unavailable
        /// A bounded queue is full. Nothing was tried.
        case overloaded
        /// A newer version of the service wrote the file.
        case newerVersion
        /// The file is damaged or is no database.
        case corrupt
        /// A row has values that no version of this program writes. File and other rows are sound: only what needs this row fails.
        case malformedRow
        /// The store was closed before the work was taken.
        case closed
        /// A write on a store that was opened for reading.
        case readOnly
        /// A cursor that no list of this kind gave out.
        case invalidCursor
        /// A read whose caller was cancelled.
        case cancelled
        /// The connection to the store's server broke during a commit, and no server said in time whether it took effect.
        case unknownOutcome
        /// A defect of this program.
        case `internal`
    }

    package let code: Code
    /// Safe to show to an operator; holds no values of rows.
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        (self.code, self.message, self.cause) = (code, message, cause)
    }

    package var description: String { message }
}

extension StoreError: CustomDebugStringConvertible {
    package var debugDescription: String {
        cause.map { "\(message) [\(code)]: \($0)" } ?? "\(message) [\(code)]"
    }
}

extension StoreError {
    /// Classifies any error by SQLite's result code.
    init(classifying error: any Error) {
        switch error {
        case let known as StoreError:
            self = known
        case let database as DatabaseError where database.resultCode == .SQLITE_INTERRUPT:
            self = StoreError(interrupting: database)
        case let database as DatabaseError:
            self = StoreError(Self.code(of: database.resultCode), Self.message(of: database), cause: database)
        default:
            self = StoreError(.internal, "the store failed unexpectedly", cause: error)
        }
    }

    /// The error of a read that was ended because it held its snapshot for too long.
    init(interrupting cause: DatabaseError?) {
        self = StoreError(.unavailable, "a read took so long that it was ended to keep the write-ahead log bounded", cause: cause)
    }

    private static func code(of result: ResultCode) -> Code {
        switch result {
        case .SQLITE_FULL, .SQLITE_IOERR, .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_NOMEM, .SQLITE_CANTOPEN,
            .SQLITE_READONLY, .SQLITE_PROTOCOL,
            .SQLITE_PERM:
            .unavailable
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            .corrupt
        default:
            .internal
        }
    }

    private static func message(of error: DatabaseError) -> String {
        switch error.resultCode {
        case .SQLITE_FULL: "the disk that holds the store is full"
        // The index of the write-ahead log could not grow, for which there is this one reason (unixShmMap in os_unix.c).
        case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_SHMSIZE: "the disk that holds the store is full"
        case .SQLITE_IOERR: "the store met an I/O error"
        case .SQLITE_BUSY, .SQLITE_LOCKED: "another process holds the store's write lock"
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: "the store's file is damaged or is no database"
        case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY: "the store's file cannot be opened for this"
        default: "the store failed with SQLite code \(error.resultCode.rawValue)"
        }
    }
}
