import Redis
import Services
import Store

/// Why a request ended with an error instead of an outcome of the business rules.
enum Failure: Sendable {
    /// The request itself is at fault.
    case refused(Problem)
    /// A part of the service cannot work now, and trying again may help.
    case unavailable(retryAfterSeconds: Int64)
    /// An internal error: logged, and answered 500.
    case broken

    /// Maps every error to its failure. `unavailable` is for conditions that are expected to pass by themselves.
    init(_ error: any Error) {
        switch error {
        case let error as RequestFault: self = .refused(error.problem)
        case let error as StoreError: self = Failure(error.code)
        case let error as RedisError: self = Failure(error.code)
        case let error as ServiceError: self = Failure(error.code)
        case is CancellationError: self = .unavailable(retryAfterSeconds: 1)
        default: self = .broken
        }
    }

    private init(_ code: StoreError.Code) {
        switch code {
        case .unavailable, .overloaded, .closed, .readOnly, .cancelled, .unknownOutcome: self = .unavailable(retryAfterSeconds: 1)
        case .invalidCursor: self = .refused(.invalid([FieldFault(field: "cursor", reason: "must be the nextCursor of this list")]))
        case .newerVersion, .corrupt, .malformedRow, .internal: self = .broken
        }
    }

    private init(_ code: RedisError.Code) {
        switch code {
        case .overloaded, .timedOut, .unknownOutcome, .notConnected, .notPrimary, .notAdmitted, .closed, .cancelled:
            self = .unavailable(retryAfterSeconds: 1)
        case .server(let kind): self = Failure(kind)
        case .protocolViolation, .misconfigured: self = .broken
        }
    }

    private init(_ kind: RedisServerError.Kind) {
        switch kind {
        case .loading, .readOnly, .primaryDown, .outOfMemory, .busy, .cannotPersist, .noScript, .transactionAborted,
            .moved, .ask, .tryAgain, .clusterDown:
            self = .unavailable(retryAfterSeconds: 1)
        case .authenticationRequired, .wrongPassword, .notPermitted, .wrongType, .other: self = .broken
        }
    }

    private init(_ code: ServiceError.Code) {
        switch code {
        case .paused, .archived, .unsuitableRedis, .foreignRedis, .privateRedis, .deliveryFailed: self = .unavailable(retryAfterSeconds: 1)
        case .internal: self = .broken
        }
    }

    var problem: Problem {
        switch self {
        case .refused(let problem): problem
        case .unavailable(let seconds): .temporarilyUnavailable(retryAfterSeconds: seconds)
        case .broken: .internalError
        }
    }
}

extension Problem {
    static let internalError = Problem(code: .internal, detail: "An internal error occurred.")

    static func temporarilyUnavailable(retryAfterSeconds seconds: Int64) -> Problem {
        Problem(
            code: .temporarilyUnavailable, detail: "A component that this request needs is unavailable. Try again later.",
            headers: [.retryAfter(seconds: seconds)])
    }
}
