package import Commerce
import GRDB

/// What identifies a request that must not take effect twice.
package struct IdempotencyKey: Sendable, Hashable {
    /// Whose key it is: keys of two users never meet.
    package let scope: String
    package let key: String
    /// A digest of route and body; another one under the same key is another request.
    package let fingerprint: [UInt8]

    package init(scope: String, key: String, fingerprint: [UInt8]) {
        (self.scope, self.key, self.fingerprint) = (scope, key, fingerprint)
    }
}

/// An answer as it was sent, to be sent again byte for byte.
package struct StoredResponse: Sendable, Equatable {
    package let status: Int
    package let body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        (self.status, self.body) = (status, body)
    }
}

/// Asks a write to keep its answer in its own transaction.
package struct IdempotentWrite<Value: Sendable>: Sendable {
    package let key: IdempotencyKey
    /// Renders the answer; called inside the transaction, and once more when its group has to be repeated.
    package let render: @Sendable (Value) -> StoredResponse

    package init(key: IdempotencyKey, render: @escaping @Sendable (Value) -> StoredResponse) {
        (self.key, self.render) = (key, render)
    }
}

/// What a write came to.
package enum WriteResult<Value: Sendable>: Sendable {
    /// Committed, and durable.
    case done(Value)
    /// Refused by a rule; nothing changed and nothing is remembered.
    case refused(Refusal)
    /// The same request took effect before; this was its answer.
    case replayed(StoredResponse)
}

extension WriteResult: Equatable where Value: Equatable {}

/// What the store remembers about a key.
package enum StoredResponseLookup: Sendable, Equatable {
    case absent
    case stored(StoredResponse)
    /// The key belongs to another request.
    case reused
}

extension StoredResponse {
    /// How long it is sent again under its key: 24 hours, from the HTTP contract.
    package static let lifetimeMilliseconds: Int64 = 24 * 3600 * 1000
}

extension Database {
    /// What is remembered under the key; an answer past its lifetime is absent, whether purged or not.
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

    /// Runs a job unless its answer is known already, and remembers the answer of a success in the same transaction.
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

    /// Runs a job that must refuse before it writes: a group has no savepoint that could take a write back.
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
