import Postgres
import Store

extension StoreError {
    /// The store's error for one of the server or of the connection to it.
    init(of error: any Error) {
        switch error {
        case let known as StoreError: self = known
        case let error as PostgresError: self = StoreError(Self.code(of: error), Self.message(of: error), cause: error)
        default: self = StoreError(.internal, "the store failed unexpectedly", cause: error)
        }
    }

    private static func code(of error: PostgresError) -> Code {
        switch error.code {
        case .unreachable, .connectionLost, .timedOut, .wrongRole, .insecure, .misconfigured, .commitInDoubt: .unavailable
        case .invalidParameter, .protocolViolation, .unexpectedResult: .internal
        case .server(let kind): code(of: kind)
        }
    }

    private static func code(of kind: SQLState.Kind) -> Code {
        switch kind {
        case .serializationFailure, .deadlockDetected, .lockNotAvailable, .statementCancelled, .readOnlyTransaction, .failedTransaction,
            .idleInTransactionTimeout, .adminShutdown, .crashShutdown, .cannotConnectNow, .tooManyConnections, .diskFull, .outOfMemory,
            .notAuthorized, .wrongPassword, .unknownDatabase, .insufficientPrivilege:
            .unavailable
        case .uniqueViolation, .checkViolation, .foreignKeyViolation, .notNullViolation, .exclusionViolation, .syntaxError,
            .undefinedTable, .duplicateTable, .undefinedStatement, .outdatedStatement, .numberOutOfRange, .other:
            .internal
        }
    }

    private static func message(of error: PostgresError) -> String {
        switch error.code {
        case .server(.diskFull): "the disk of the store's server is full"
        case .server(.readOnlyTransaction), .wrongRole: "the store's server takes no writes"
        case .server: "the store's server refused a statement: \(error.message)"
        case .unreachable: "the store's server cannot be reached: \(error.message)"
        case .connectionLost, .timedOut: "the connection to the store's server broke: \(error.message)"
        default: "the store's server failed: \(error.message)"
        }
    }
}
