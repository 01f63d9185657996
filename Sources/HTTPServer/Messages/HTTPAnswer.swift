/// How a handler answers a request: at once, by callback, in a task or as a stream.
///
/// Most requests are answered from memory or after one reply of another server. Neither needs a task: making one and switching
/// to it costs about as much as the rest of such a request. A failure is answered as ``HTTPRefusal/handlerFailed``.
package enum HTTPAnswer: Sendable {
    /// The answer is ready.
    case now(HTTPResponse)
    /// The closure is called at once, on the connection's loop, and must see that the completion is called exactly once; until then
    /// the server counts the request as running.
    case callback(@Sendable (@escaping Completion) -> Void)
    /// The closure runs in a task that prefers the loop's executor. The task is never cancelled, even if the client hangs up.
    case task(@Sendable () async throws -> HTTPResponse)
    /// As ``task(_:)``, for requests that change nothing: the task is cancelled when the client hangs up.
    ///
    /// A client that only shuts down its sending side looks the same, so such a request may stay unanswered or be refused.
    case cancellableTask(@Sendable () async throws -> HTTPResponse)

    /// The closure is called at once, on the connection's loop, and must see that its argument is called exactly once, on the same loop,
    /// with the form of the answer. Until then the server counts the request as running. It is for a decision that
    /// another server makes before the request may begin.
    case deferred(@Sendable (@escaping @Sendable (HTTPAnswer) -> Void) -> Void)
    /// As ``task(_:)``, for work that decides the form of the answer.
    case deferredTask(@Sendable () async throws -> HTTPAnswer)
    /// The answer's body is sent while it is made. Indirect, so that other answers are passed on in two words.
    indirect case stream(HTTPStream)

    /// Takes the answer to one request. Call it once, on any thread; called on the connection's loop, it does not switch threads.
    package typealias Completion = @Sendable (Result<HTTPResponse, any Error>) -> Void

    /// Awaits the answer, in each of its forms. Call it on the request's loop.
    ///
    /// A stream is collected, and fails where it has more than ``HTTPStream/largestCollected`` bytes; one without an end is never answered.
    package func response() async throws -> HTTPResponse {
        switch self {
        case .now(let response): response
        case .callback(let begin):
            try await withCheckedThrowingContinuation { continuation in begin { continuation.resume(with: $0) } }
        case .task(let work), .cancellableTask(let work): try await work()
        case .deferred(let begin):
            try await withCheckedContinuation { continuation in begin { continuation.resume(returning: $0) } }.response()
        case .deferredTask(let work): try await work().response()
        case .stream(let stream): try await stream.collected()
        }
    }
}
