package import Commerce

/// The key of a request that must not take effect twice.
package struct IdempotencyKey: Sendable, Hashable {
    /// Whose key it is: the same key in two scopes is two keys.
    package let scope: String
    package let key: String
    /// A digest of route and body. The same key with another fingerprint is refused.
    package let fingerprint: [UInt8]

    package init(scope: String, key: String, fingerprint: [UInt8]) {
        (self.scope, self.key, self.fingerprint) = (scope, key, fingerprint)
    }
}

/// A response as it was sent, to be sent again byte for byte.
package struct StoredResponse: Sendable, Equatable {
    package let status: Int
    package let body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        (self.status, self.body) = (status, body)
    }
}

/// How a write stores its response in its own transaction. A class, because it is passed on through several asynchronous calls, and few
/// requests have one.
package final class IdempotentWrite<Value: Sendable>: Sendable {
    package let key: IdempotencyKey
    /// Renders the response; called inside the transaction, and once more when its group has to be repeated.
    package let render: @Sendable (Value) -> StoredResponse

    package init(key: IdempotencyKey, render: @escaping @Sendable (Value) -> StoredResponse) {
        (self.key, self.render) = (key, render)
    }
}

/// The outcome of a write.
package enum WriteResult<Value: Sendable>: Sendable {
    /// Committed, and durable.
    case done(Value)
    /// Refused by a rule; nothing changed and no response is stored.
    case refused(Refusal)
    /// The same request took effect before; this was its response.
    case replayed(StoredResponse)
}

extension WriteResult: Equatable where Value: Equatable {}

/// What is stored under an idempotency key.
package enum StoredResponseLookup: Sendable, Equatable {
    case absent
    case stored(StoredResponse)
    /// The key was used for a request with another fingerprint.
    case reused
}

extension StoredResponse {
    /// How long a response is sent again under its key: 24 hours, as `Sources/API/openapi.json` says.
    package static let lifetimeMilliseconds: Int64 = 24 * 3600 * 1000
}
