import Postgres
import Store

/// Why a group was not committed, by what the lane does then.
enum GroupFailure: Error {
    /// The connection broke or the server takes no writes now; nothing of the group is committed. It runs again on another connection.
    case reconnect(StoreError)
    /// Another transaction was in the way. The group runs again, and after some times its jobs run apart.
    case collision(StoreError)
    /// A job or a constraint concerns some of the jobs: they run apart.
    case apart(StoreError)
    /// No job can be run at present.
    case all(StoreError)
    /// Nobody said in time whether the group is committed.
    case unknown(StoreError)

    /// The failure of a trip whose outcome is known.
    init(_ error: PostgresError) {
        let failure = StoreError(of: error)
        switch error.code {
        case .server(let kind): self = Self.of(kind, failure)
        case .unreachable, .connectionLost, .timedOut, .wrongRole, .commitInDoubt, .protocolViolation: self = .reconnect(failure)
        case .misconfigured, .insecure: self = .all(failure)
        case .invalidParameter, .unexpectedResult: self = .apart(failure)
        }
    }

    private static func of(_ kind: SQLState.Kind, _ failure: StoreError) -> GroupFailure {
        switch kind {
        case .uniqueViolation, .serializationFailure, .deadlockDetected, .lockNotAvailable, .statementCancelled, .failedTransaction,
            .outdatedStatement:
            .collision(failure)
        case .checkViolation, .foreignKeyViolation, .notNullViolation, .exclusionViolation, .numberOutOfRange, .other: .apart(failure)
        case .readOnlyTransaction, .idleInTransactionTimeout, .adminShutdown, .crashShutdown, .cannotConnectNow, .tooManyConnections,
            .undefinedStatement:
            .reconnect(failure)
        case .diskFull, .outOfMemory, .notAuthorized, .wrongPassword, .unknownDatabase, .insufficientPrivilege, .syntaxError,
            .undefinedTable, .duplicateTable:
            .all(failure)
        }
    }

    var error: StoreError {
        switch self {
        case .reconnect(let error), .collision(let error), .apart(let error), .all(let error), .unknown(let error): error
        }
    }
}
