import Redis

/// A failure of a use case. A refusal by a business rule is no error but an outcome.
package struct ServiceError: Error, Sendable, CustomStringConvertible {
    /// The kinds of failure that callers treat differently.
    package enum Code: Sendable, Hashable {
        /// The campaign's gate is being rebuilt; a retry after a second usually succeeds.
        case paused
        /// The campaign was archived while the caller asked for its gate; the caller must read it from the store again.
        case archived
        /// The Redis server must not be used: it may evict keys, is too old, or is a replica.
        case unsuitableRedis
        /// The Redis server serves another store, or another incarnation of this one.
        case foreignRedis
        /// The private Redis cannot be started.
        case privateRedis
        /// The data platform did not take an event.
        case deliveryFailed
        /// A reply that the caller does not understand: a defect of this service or of a script.
        case `internal`
    }

    package let code: Code
    /// One line for logs and command output, without secrets and without personal data.
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        (self.code, self.message, self.cause) = (code, message, cause)
    }

    package var description: String { "\(code): \(message)" }
}

extension Error {
    /// Whether the only cause is that Redis is away. The Redis client logs that once, so callers do not log it again.
    var isLossOfRedis: Bool {
        switch (self as? RedisError)?.code {
        case .notConnected, .unknownOutcome, .timedOut, .closed: true
        case .overloaded, .cancelled, .server, .protocolViolation, .notPrimary, .notAdmitted, .misconfigured, nil: false
        }
    }
}
