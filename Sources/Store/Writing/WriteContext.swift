package import Commerce
package import TraceContext

/// How a write is made for its caller: at what time, how its answer is stored, and where its result is delivered.
package struct WriteContext<Value: Sendable>: Sendable {
    /// The service's time when the request began; what the write inserts carries it.
    package let time: Instant
    /// What that time was read from, which then also says how long the request has waited; nil for how long the write waits.
    package let clock: WallClock?
    /// How the answer is stored in the same transaction; nil where the request has no `Idempotency-Key`.
    package let idempotency: IdempotentWrite<Value>?
    /// How the write is logged in the same transaction; nil for a write that no admin asked for.
    package let adminLog: AdminLog<Value>?
    /// Where the result is delivered once the commit is durable; nil for the caller's own task.
    package let delivery: (any DeliveryContext)?
    /// The trace of the request, which an event of the write carries on; nil without one.
    package let trace: TraceParent?

    package init(
        at time: Instant, clock: WallClock? = nil, idempotency: IdempotentWrite<Value>? = nil,
        adminLog: AdminLog<Value>? = nil, delivery: (any DeliveryContext)? = nil, trace: TraceParent? = nil
    ) {
        (self.time, self.clock, self.idempotency) = (time, clock, idempotency)
        (self.adminLog, self.delivery, self.trace) = (adminLog, delivery, trace)
    }

    /// A write whose answer is not stored.
    package static func at(_ time: Instant) -> WriteContext { WriteContext(at: time) }
}
