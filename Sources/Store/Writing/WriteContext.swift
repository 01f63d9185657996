package import Commerce

/// How a write is made for its caller: at what time, how its answer is stored, and where its result is delivered.
package struct WriteContext<Value: Sendable>: Sendable {
    /// The service's time when the request began; what the write inserts carries it.
    package let time: Instant
    /// How the answer is stored in the same transaction; nil where the request has no `Idempotency-Key`.
    package let idempotency: IdempotentWrite<Value>?
    /// Where the result is delivered once the commit is durable; nil for the caller's own task.
    package let delivery: (any DeliveryContext)?

    package init(at time: Instant, idempotency: IdempotentWrite<Value>? = nil, delivery: (any DeliveryContext)? = nil) {
        (self.time, self.idempotency, self.delivery) = (time, idempotency, delivery)
    }

    /// A write whose answer is not stored.
    package static func at(_ time: Instant) -> WriteContext { WriteContext(at: time) }
}
