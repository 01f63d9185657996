/// What a handler has for the server when it is asked.
///
/// Most requests are answered from memory or wait for one reply: neither needs a task, whose making and switching costs about
/// as much as the rest of such a request.
package enum HTTPAnswer: Sendable {
    /// Takes the answer to one request, once, from anywhere; on the connection's own loop that changes no thread.
    package typealias Responder = @Sendable (HTTPResponse) -> Void

    /// The answer is there.
    case now(HTTPResponse)
    /// The closure is called at once, on the connection's loop, and sees to it that the responder is called exactly once: the
    /// server counts the request as running until then.
    case later(@Sendable (@escaping Responder) -> Void)
    /// The closure runs in a task that prefers the loop's executor.
    case task(@Sendable () async -> HTTPResponse)
}
