/// What went wrong between a caller and Redis: a code to act on, a message that is safe to show, and the cause if there is one.
package struct RedisError: Error, Sendable {
    /// The kind of failure, by which callers decide what to do.
    package enum Code: Sendable, Hashable {
        /// The queue of waiting replies is full; nothing was sent.
        case overloaded
        /// No reply within the command's deadline. The server may still run it: the outcome is unknown.
        case timedOut
        /// The connection broke between the command and its reply: the server may have run the command or not.
        case unknownOutcome
        /// There is no connection; nothing was sent.
        case notConnected
        /// The client was closed; nothing was sent.
        case closed
        /// The caller's task was cancelled. If the command was sent before, its outcome is unknown.
        case cancelled
        /// The server answered with an error: the command was refused or failed.
        case server(RedisServerError.Kind)
        /// The server sent bytes that are not RESP 2, or more than the configured limit.
        case protocolViolation
        /// The server is a replica, or does not say whether it is one; nothing was sent.
        case notPrimary
        /// The server's answer to ``RedisAdmission`` excludes this client; nothing was sent.
        case notAdmitted
        /// A URL, a TLS setting, a password or a script that cannot work as configured.
        case misconfigured
    }

    package var code: Code
    /// One line without secrets and without data of users.
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The error that callers of `send` and `evaluate` get for an error reply of the server.
    package init(_ error: RedisServerError) {
        self.init(.server(error.kind), error.message)
    }
}

extension RedisError: CustomStringConvertible {
    package var description: String { "\(code): \(message)" }
}

/// An error reply (`-PREFIX message`), which RESP also allows inside arrays.
package struct RedisServerError: Sendable, Hashable, CustomStringConvertible {
    /// The reply's first word, by which servers tell errors apart (Redis 7 `redis.c`, `createSharedObjects`).
    package enum Kind: Sendable, Hashable {
        /// `LOADING`: the server reads its data set from disk.
        case loading
        /// `READONLY`: a replica was asked to write.
        case readOnly
        /// `MASTERDOWN`: a replica lost its primary and does not serve stale data.
        case primaryDown
        /// `NOAUTH`: no password was given where one is needed.
        case authenticationRequired
        /// `WRONGPASS`: the user or the password is wrong.
        case wrongPassword
        /// `NOPERM`: the user may not run this command or touch this key.
        case notPermitted
        /// `OOM`: the memory limit is reached and the policy forbids evicting.
        case outOfMemory
        /// `BUSY`: a script has been running for too long.
        case busy
        /// `NOSCRIPT`: the server does not have the script of this digest.
        case noScript
        /// `WRONGTYPE`: the key holds another type.
        case wrongType
        /// `MISCONF`: the server cannot persist and therefore refuses writes.
        case cannotPersist
        /// `EXECABORT`: a transaction was refused because a command in it was.
        case transactionAborted
        /// `MOVED`: another node of the cluster serves the key's slot.
        case moved
        /// `ASK`: the key's slot is moving, and another node has the key.
        case ask
        /// `TRYAGAIN`: the key's slot is moving, and only some of the command's keys have arrived.
        case tryAgain
        /// `CLUSTERDOWN`: the cluster serves no keys, or not those of this slot.
        case clusterDown
        /// Any other first word, as sent.
        case other(String)

        init(prefix: some StringProtocol) {
            switch prefix {
            case "LOADING": self = .loading
            case "READONLY": self = .readOnly
            case "MASTERDOWN": self = .primaryDown
            case "NOAUTH": self = .authenticationRequired
            case "WRONGPASS": self = .wrongPassword
            case "NOPERM": self = .notPermitted
            case "OOM": self = .outOfMemory
            case "BUSY": self = .busy
            case "NOSCRIPT": self = .noScript
            case "WRONGTYPE": self = .wrongType
            case "MISCONF": self = .cannotPersist
            case "EXECABORT": self = .transactionAborted
            case "MOVED": self = .moved
            case "ASK": self = .ask
            case "TRYAGAIN": self = .tryAgain
            case "CLUSTERDOWN": self = .clusterDown
            default: self = .other(String(prefix))
            }
        }
    }

    /// The whole line as the server sent it, without the leading `-`.
    package var message: String

    package init(message: String) { self.message = message }

    /// The kind of the error. Redis 6.2 wraps the error of a command inside a script; then the inner error decides:
    /// `ERR Error running script (call to f_...): @user_script:1: -READONLY You can't write against a read only replica.`
    package var kind: Kind {
        if message.hasPrefix("ERR Error running script"), let inner = message.firstRange(of: ": -") {
            return Kind(prefix: message[inner.upperBound...].prefix { $0 != " " })
        }
        return Kind(prefix: message.prefix { $0 != " " })
    }

    /// Whether the server refused to write because it is a replica.
    var isFromReplica: Bool { kind == .readOnly }

    package var description: String { message }
}
