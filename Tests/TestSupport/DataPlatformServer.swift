import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// A data platform on loopback that takes every POST down and answers as the test says.
package final class DataPlatformServer: Sendable {
    /// What came in, in order.
    package struct Post: Sendable, Hashable {
        package let method: String
        package let path: String
        package let idempotencyKey: String
        package let signature: String
        package let contentType: String
        package let body: String
    }

    package enum Reaction: Sendable {
        case status(Int)
        case redirect(to: String)
        /// Answers after that long.
        case hang(Duration)
        /// Answers 500 once the condition holds.
        case fail(after: @Sendable () -> Bool)
    }

    private let holder: Holder
    private let server: HTTPServer

    package init(react: @escaping @Sendable (Post) -> Reaction) async throws {
        let holder = Holder(react)
        self.holder = holder
        server = HTTPServer(
            configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            handler: { request in await holder.answer(request) }, refusalResponse: { .text(status: $0.status, "") },
            logger: Logger(label: "data platform", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await server.start()
    }

    package var url: String { "http://127.0.0.1:\(server.port ?? 0)/events" }
    package var posts: [Post] { holder.posts }
    /// Posts that were answered, also where nobody waited for the answer any more.
    package var answered: Int { holder.answered }

    package func react(_ react: @escaping @Sendable (Post) -> Reaction) { holder.react(react) }
    package func close() async { await server.drain(deadline: .zero) }

    private final class Holder: Sendable {
        /// A struct: a closure in a tuple gets another thunk around it at each pass through `withLock`, and after some ten thousand
        /// of them a call overflows the stack.
        private struct State {
            var posts: [Post] = []
            var answered = 0
            var react: @Sendable (Post) -> Reaction
        }

        private let state: Mutex<State>

        init(_ react: @escaping @Sendable (Post) -> Reaction) { state = Mutex(State(react: react)) }

        var posts: [Post] { state.withLock { $0.posts } }
        var answered: Int { state.withLock { $0.answered } }

        func react(_ react: @escaping @Sendable (Post) -> Reaction) { state.withLock { $0.react = react } }

        func answer(_ request: HTTPRequest) async -> HTTPResponse {
            let post = Post(
                method: request.method.rawValue, path: request.path, idempotencyKey: request.value(of: .idempotencyKey) ?? "",
                signature: request.values(of: "x-firstcome-signature").joined(), contentType: request.value(of: .contentType) ?? "",
                body: String(buffer: request.body))
            let reaction = state.withLock { state in
                state.posts.append(post)
                return state.react(post)
            }
            defer { state.withLock { $0.answered += 1 } }
            switch reaction {
            case .status(let status): return .text(status: status, "")
            case .redirect(let target): return HTTPResponse(status: 302, headers: [("Location", target)])
            case .hang(let duration):
                try? await Task.sleep(for: duration)
                return .text(status: 200, "late")
            case .fail(let condition):
                while !Task.isCancelled, !condition() { try? await Task.sleep(for: .milliseconds(5)) }
                return .text(status: 500, "")
            }
        }
    }
}
