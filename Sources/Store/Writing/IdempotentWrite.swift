package import Commerce
import GRDB

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

extension Database {
    /// What is stored under the key; a response past its lifetime counts as absent, whether purged or not.
    func answer(for key: IdempotencyKey, at now: Instant) throws -> StoredResponseLookup {
        let found = try first(
            "SELECT fingerprint, status, body FROM idempotency WHERE scope = ? AND key = ? AND created_at > ?",
            key.scope, key.key, now.milliseconds - StoredResponse.lifetimeMilliseconds
        ) { row -> StoredResponseLookup in
            guard row.blob(0) == key.fingerprint else { return .reused }
            return .stored(StoredResponse(status: Int(row.int(1)), body: row.blob(2)))
        }
        return found ?? .absent
    }

    /// Runs a job unless a response is stored under its key, and stores the response of a success in the same transaction.
    func once<Value>(
        _ idempotency: IdempotentWrite<Value>?, at now: Instant, job: (Database) throws -> Outcome<Value>
    ) throws -> WriteResult<Value> {
        if let idempotency {
            switch try answer(for: idempotency.key, at: now) {
            case .absent: break
            case .stored(let answer): return .replayed(answer)
            case .reused: return .refused(.idempotencyKeyReused)
            }
        }
        switch try deciding(job) {
        case .refused(let refusal):
            return .refused(refusal)
        case .done(let value):
            if let idempotency { try keep(idempotency.render(value), under: idempotency.key, at: now) }
            return .done(value)
        }
    }

    /// Runs a job and checks that it did not write before it refused: a group has no savepoint that could undo the write.
    func deciding<Value>(_ job: (Database) throws -> Outcome<Value>) throws -> Outcome<Value> {
        let changesBefore = totalChangesCount
        let outcome = try job(self)
        if case .refused(let refusal) = outcome, totalChangesCount != changesBefore {
            throw StoreError(.internal, "a job wrote before it refused", cause: RefusedAfterWriting(refusal: refusal))
        }
        return outcome
    }

    func keep(_ answer: StoredResponse, under key: IdempotencyKey, at now: Instant) throws {
        try run(
            """
            INSERT OR REPLACE INTO idempotency (scope, key, fingerprint, status, body, created_at) VALUES (?, ?, ?, ?, ?, ?)
            """, key.scope, key.key, Blob(bytes: key.fingerprint), answer.status, Blob(bytes: answer.body), now)
    }
}

/// A defect of a job, see ``Database/deciding(_:)``.
struct RefusedAfterWriting: Error {
    let refusal: Refusal
}
