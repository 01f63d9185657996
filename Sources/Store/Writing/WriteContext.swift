package import Commerce
package import TraceContext

/// How a write is made for its caller: at what time, how its answer is stored, and where its result is delivered.
package struct WriteContext<Value: Sendable>: Sendable {
    /// The service's time when the request began; what the write inserts carries it.
    package let time: Instant
    /// How long the request has waited since then, by the service's clock; nil for the time that the write waits, by the machine's.
    package let waited: (@Sendable () -> Duration)?
    /// How the answer is stored in the same transaction; nil where the request has no `Idempotency-Key`.
    package let idempotency: IdempotentWrite<Value>?
    /// Where the result is delivered once the commit is durable; nil for the caller's own task.
    package let delivery: (any DeliveryContext)?
    /// The trace of the request, which an event of the write carries on; nil without one.
    package let trace: TraceParent?

    package init(
        at time: Instant, waited: (@Sendable () -> Duration)? = nil, idempotency: IdempotentWrite<Value>? = nil,
        delivery: (any DeliveryContext)? = nil, trace: TraceParent? = nil
    ) {
        (self.time, self.waited, self.idempotency, self.delivery, self.trace) = (time, waited, idempotency, delivery, trace)
    }

    /// A write whose answer is not stored.
    package static func at(_ time: Instant) -> WriteContext { WriteContext(at: time) }
}
