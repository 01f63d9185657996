import Commerce
import HTTPServer
import JSON
import NIOCore
import Services
import Store

/// The answer to a write that succeeds, and to the same request when it comes again with the same key.
struct Success<Value: Sendable>: Sendable {
    let status: Int
    /// Writes the members of the answer as of an instant. It must depend on its arguments alone, so that a repeated rendering gives
    /// the same bytes. It should capture nothing: then requests that are refused do not pay for a closure.
    let write: @Sendable (inout JSONWriter, Value, Instant) -> Void

    static func created(_ write: @escaping @Sendable (inout JSONWriter, Value, Instant) -> Void) -> Success {
        Success(status: 201, write: write)
    }

    static func ok(_ write: @escaping @Sendable (inout JSONWriter, Value, Instant) -> Void) -> Success {
        Success(status: 200, write: write)
    }

    func body(_ value: Value, at now: Instant) -> ByteBuffer {
        JSONWriter.document { write(&$0, value, now) }
    }
}

extension Call {
    /// How the answer to a write is stored under the request's `Idempotency-Key`; nil without one.
    func idempotentWrite<Value>(of success: Success<Value>) -> IdempotentWrite<Value>? {
        guard let idempotencyKey else { return nil }
        let now = now
        return IdempotentWrite(key: idempotencyKey) { value in
            StoredResponse(status: success.status, body: Array(success.body(value, at: now).readableBytesView))
        }
    }

    /// Runs a write whose success is stored under the request's `Idempotency-Key`, if it has one, and answers its outcome.
    ///
    /// - Parameter log: how the write is logged; nil where a user acts for themselves.
    func answer<Value>(
        _ success: Success<Value>, log: AdminLog<Value>? = nil, _ write: (WriteContext<Value>) async throws -> WriteResult<Value>
    ) async throws -> HTTPResponse {
        switch try await write(context(of: success, log)) {
        case .done(let value): response(success, value)
        case .refused(let refusal): self.refusal(refusal)
        case .replayed(let stored): replay(stored)
        }
    }

    private func context<Value>(of success: Success<Value>, _ log: AdminLog<Value>?) -> WriteContext<Value> {
        WriteContext(
            at: now, clock: services.configuration.clock, idempotency: idempotentWrite(of: success), adminLog: log, delivery: loop.context,
            trace: request.traceParent)
    }

    /// The answer to a write that succeeded.
    func response<Value>(_ success: Success<Value>, _ value: Value) -> HTTPResponse {
        response(status: success.status, success.body(value, at: now))
    }

    /// The stored answer of this route's first success.
    func replay(_ stored: StoredResponse) -> HTTPResponse {
        response(status: stored.status, ByteBuffer(bytes: stored.body), isReplay: true)
    }

    /// `Location` is read from the body's bytes, so a replay has the same one although it is not stored.
    private func response(status: Int, _ body: ByteBuffer, isReplay: Bool = false) -> HTTPResponse {
        var headers = [(name: "cache-control", value: "no-store")]
        if let location = endpoint.location?.path(in: body) { headers.append(("location", location)) }
        if isReplay { headers.append(("idempotent-replayed", "true")) }
        return .json(status: status, body, headers: headers)
    }
}
