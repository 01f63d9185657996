import Redis

/// What went wrong in a use case, as opposed to what the business rules refuse.
package struct ServiceError: Error, Sendable, CustomStringConvertible {
    /// What a caller can do about it differs by code.
    package enum Code: Sendable, Hashable {
        /// The campaign's gate is being rebuilt: try again in moments.
        case paused
        /// The campaign was archived while the caller asked for its gate: read it from the store again.
        case archived
        /// The Redis server must not be used: it may evict keys, or is too old.
        case unsuitableRedis
        /// The Redis server serves another store, or another incarnation of this one.
        case foreignRedis
        /// The private Redis cannot be started.
        case privateRedis
        /// The data platform did not take an event.
        case deliveryFailed
        /// A promise between our own parts was broken.
        case `internal`
    }

    package let code: Code
    /// One line without secrets and without data of users.
    package let message: String
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        (self.code, self.message, self.cause) = (code, message, cause)
    }

    package var description: String { "\(code): \(message)" }
}

extension Error {
    /// Whether something failed only because Redis is away: the Redis client says that once, for all that need it.
    var isLossOfRedis: Bool {
        switch (self as? RedisError)?.code {
        case .notConnected, .unknownOutcome, .timedOut, .closed: true
        case .overloaded, .cancelled, .server, .protocolViolation, .notPrimary, .notAdmitted, .misconfigured, nil: false
        }
    }
}
