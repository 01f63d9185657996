/// What a handler has for the server when it is asked.
///
/// Most requests are answered from memory or wait for one reply: neither needs a task, whose making and switching costs about
/// as much as the rest of such a request. A failure is answered as ``HTTPRefusal/handlerFailed``.
package enum HTTPAnswer: Sendable {
    /// The answer is there.
    case now(HTTPResponse)
    /// The closure is called at once, on the connection's loop, and has the completion called exactly once: the server counts the
    /// request as running until then.
    case callback(@Sendable (@escaping Completion) -> Void)
    /// The closure runs in a task that prefers the loop's executor. It is never cancelled: what it has begun it brings to an end.
    case task(@Sendable () async throws -> HTTPResponse)
    /// As ``task(_:)``, for what changes nothing: the task is cancelled where the client hangs up, or has.
    ///
    /// A client that ends its own side alone looks the same, so it may find such a request unanswered or refused.
    case cancellableTask(@Sendable () async throws -> HTTPResponse)

    /// Takes the answer to one request, once, from anywhere; on the connection's own loop that changes no thread.
    package typealias Completion = @Sendable (Result<HTTPResponse, any Error>) -> Void

    /// Awaits the answer, in each of its forms. Call it on the request's loop.
    package func response() async throws -> HTTPResponse {
        switch self {
        case .now(let response): response
        case .callback(let begin):
            try await withCheckedThrowingContinuation { continuation in begin { continuation.resume(with: $0) } }
        case .task(let work), .cancellableTask(let work): try await work()
        }
    }
}
