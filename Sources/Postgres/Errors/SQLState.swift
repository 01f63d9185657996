/// The five characters by which a server names an error (PostgreSQL's manual, appendix A, "PostgreSQL Error Codes").
package struct SQLState: Sendable, Hashable {
    package let code: String

    package init(_ code: String) { self.code = code }

    /// What a caller decides by. The client treats every other state alike.
    package enum Kind: Sendable, Hashable, CaseIterable {
        /// 23505. The error names the constraint.
        case uniqueViolation
        /// 23514. The error names the constraint.
        case checkViolation
        /// 23503. The error names the constraint.
        case foreignKeyViolation
        /// 23502
        case notNullViolation
        /// 23P01. The error names the constraint.
        case exclusionViolation
        /// 40001: the transaction may succeed when it is run again.
        case serializationFailure
        /// 40P01: the transaction may succeed when it is run again.
        case deadlockDetected
        /// 55P03: `lock_timeout` has passed, or `NOWAIT` met a lock.
        case lockNotAvailable
        /// 57014: `statement_timeout` has passed, or somebody called `pg_cancel_backend`. This client never cancels.
        case statementCancelled
        /// 25006: a write in a read-only transaction, such as any on a standby.
        case readOnlyTransaction
        /// 25P02: the transaction has failed before and takes only a rollback.
        case failedTransaction
        /// 25P03: `idle_in_transaction_session_timeout` has passed; the server ends the session.
        case idleInTransactionTimeout
        /// 57P01: the server shuts down, or somebody called `pg_terminate_backend`; the server ends the session.
        case adminShutdown
        /// 57P02: another session has crashed; the server ends this one.
        case crashShutdown
        /// 57P03: the server starts up, shuts down or recovers.
        case cannotConnectNow
        /// 53300
        case tooManyConnections
        /// 53100
        case diskFull
        /// 53200
        case outOfMemory
        /// 28000: `pg_hba.conf` or a missing role refuses the connection.
        case notAuthorized
        /// 28P01
        case wrongPassword
        /// 3D000
        case unknownDatabase
        /// 42501
        case insufficientPrivilege
        /// 42601
        case syntaxError
        /// 42P01
        case undefinedTable
        /// 42P07: the table, index or sequence exists already.
        case duplicateTable
        /// 26000: the server has lost a prepared statement, as behind a pooler that shares sessions among transactions.
        case undefinedStatement
        /// 0A000 for a prepared statement whose result has changed with its table. The next trip prepares it anew.
        case outdatedStatement
        /// 22003
        case numberOutOfRange
        /// Every other state.
        case other
    }

    package var kind: Kind {
        switch code {
        case "23505": .uniqueViolation
        case "23514": .checkViolation
        case "23503": .foreignKeyViolation
        case "23502": .notNullViolation
        case "23P01": .exclusionViolation
        case "40001": .serializationFailure
        case "40P01": .deadlockDetected
        case "55P03": .lockNotAvailable
        case "57014": .statementCancelled
        case "25006": .readOnlyTransaction
        case "25P02": .failedTransaction
        case "25P03": .idleInTransactionTimeout
        case "57P01": .adminShutdown
        case "57P02": .crashShutdown
        case "57P03": .cannotConnectNow
        case "53300": .tooManyConnections
        case "53100": .diskFull
        case "53200": .outOfMemory
        case "28000": .notAuthorized
        case "28P01": .wrongPassword
        case "3D000": .unknownDatabase
        case "42501": .insufficientPrivilege
        case "42601": .syntaxError
        case "42P01": .undefinedTable
        case "42P07": .duplicateTable
        case "26000": .undefinedStatement
        case "22003": .numberOutOfRange
        default: .other
        }
    }
}

extension SQLState: CustomStringConvertible {
    package var description: String { code }
}
