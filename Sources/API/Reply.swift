import HTTPServer

/// How a handler answers: at once from memory, by one callback, or in a task. Only what suspends more than once needs a task.
enum Reply: Sendable {
    case now(HTTPResponse)
    /// The closure is called at once, on the loop; it calls back exactly once, on the loop.
    case callback(@Sendable (@escaping @Sendable (Result<HTTPResponse, any Error>) -> Void) -> Void)
    case task(@Sendable () async throws -> HTTPResponse)

    /// The answer of work that never waits.
    static func atOnce(_ work: () throws -> HTTPResponse) rethrows -> Reply {
        .now(try work())
    }

    /// The answer, awaited whatever form it comes in.
    func response() async throws -> HTTPResponse {
        switch self {
        case .now(let response): response
        case .callback(let begin):
            try await withCheckedThrowingContinuation { continuation in begin { continuation.resume(with: $0) } }
        case .task(let work): try await work()
        }
    }
}
