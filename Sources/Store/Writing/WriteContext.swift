package import Commerce
package import TraceContext

/// How a write is made for its caller: at what time, how its answer is stored, and where its result is delivered.
package struct WriteContext<Value: Sendable>: Sendable {
    /// The service's time when the request began; what the write inserts carries it.
    package let time: Instant
    /// How long the request had waited since then when the write was asked for.
    package let waited: Duration
    /// How the answer is stored in the same transaction; nil where the request has no `Idempotency-Key`.
    package let idempotency: IdempotentWrite<Value>?
    /// Where the result is delivered once the commit is durable; nil for the caller's own task.
    package let delivery: (any DeliveryContext)?
    /// The trace of the request, which an event of the write carries on; nil without one.
    package let trace: TraceParent?

    package init(
        at time: Instant, waited: Duration = .zero, idempotency: IdempotentWrite<Value>? = nil,
        delivery: (any DeliveryContext)? = nil, trace: TraceParent? = nil
    ) {
        (self.time, self.waited, self.idempotency, self.delivery, self.trace) = (time, waited, idempotency, delivery, trace)
    }

    /// A write whose answer is not stored.
    package static func at(_ time: Instant) -> WriteContext { WriteContext(at: time) }
}
