import Foundation
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// A data platform on loopback that records every POST and answers as the test says.
package final class DataPlatformServer: Sendable {
    /// One request, as it was received.
    package struct Post: Sendable, Hashable {
        package let method: String
        package let path: String
        package let idempotencyKey: String
        package let signature: String
        package let contentType: String
        package let body: String
        /// Empty where the post has none.
        package let traceParent: String
    }

    package enum Reaction: Sendable {
        case status(Int, retryAfter: String? = nil)
        case redirect(to: String)
        /// Answers after this time.
        case hang(Duration)
        /// Answers 500 once the condition holds.
        case fail(after: @Sendable () -> Bool)
        /// Answers 200 once the condition holds.
        case succeed(after: @Sendable () -> Bool)
    }

    private let holder: Holder
    private let server: HTTPListener

    package init(react: @escaping @Sendable (Post) -> Reaction) async throws {
        let holder = Holder(react)
        self.holder = holder
        server = HTTPListener(
            configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            handler: { request in await holder.answer(request) }, refusalResponse: { .text(status: $0.status, "") },
            logger: Logger(label: "data platform", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await server.start()
    }

    package var url: String { "http://127.0.0.1:\(server.port ?? 0)/events" }
    package var posts: [Post] { holder.posts }
    /// How many posts were answered, including those whose sender no longer waited.
    package var answered: Int { holder.answered }

    /// The events that were answered 200 or 204, in order.
    package var taken: [String] { holder.taken }
    /// How many posts wait for their answer now.
    package var underWay: Int { holder.underWay.now }
    /// The most posts that ever waited at once.
    package var mostAtOnce: Int { holder.underWay.most }

    /// How many connections the senders hold and have not closed. The server itself goes on with a post whose sender has closed.
    package var connections: Int {
        get throws {
            // Each line begins "sl local_address rem_address st", in hexadecimal; 01 is an established connection (proc(5)).
            let here = "0100007F:" + String(format: "%04X", server.port ?? 0)
            // Read to its end: a `String` of the file's contents has no more than its first 4 KB.
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/net/tcp"))
            return String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self).split(separator: "\n").count { line in
                let fields = line.split(separator: " ", maxSplits: 4)
                return fields.count > 3 && fields[2] == here && fields[3] == "01"
            }
        }
    }

    package func react(_ react: @escaping @Sendable (Post) -> Reaction) { holder.react(react) }
    package func close() async { await server.drain(deadline: .zero) }

    private final class Holder: Sendable {
        /// A struct, because a closure in a tuple gets one more thunk at each pass through `withLock`, and after some ten thousand passes a
        /// call of it overflows the stack.
        private struct State {
            var posts: [Post] = []
            var answered = 0
            var taken: [String] = []
            var underWay = (now: 0, most: 0)
            var react: @Sendable (Post) -> Reaction
        }

        private let state: Mutex<State>

        init(_ react: @escaping @Sendable (Post) -> Reaction) { state = Mutex(State(react: react)) }

        var posts: [Post] { state.withLock { $0.posts } }
        var answered: Int { state.withLock { $0.answered } }
        var taken: [String] { state.withLock { $0.taken } }
        var underWay: (now: Int, most: Int) { state.withLock { $0.underWay } }

        func react(_ react: @escaping @Sendable (Post) -> Reaction) { state.withLock { $0.react = react } }

        func answer(_ request: HTTPRequest) async -> HTTPResponse {
            let post = Post(
                method: request.method.rawValue, path: request.path, idempotencyKey: request.value(of: .idempotencyKey) ?? "",
                signature: request.values(of: "x-firstcome-signature").joined(), contentType: request.value(of: .contentType) ?? "",
                body: String(buffer: request.body), traceParent: request.values(of: "traceparent").joined(separator: ", "))
            let reaction = state.withLock { state in
                state.posts.append(post)
                state.underWay.now += 1
                state.underWay.most = max(state.underWay.most, state.underWay.now)
                return state.react(post)
            }
            let response = await response(reaction)
            state.withLock { state in
                state.answered += 1
                state.underWay.now -= 1
                if [200, 204].contains(response.status) { state.taken.append(post.idempotencyKey) }
            }
            return response
        }

        private func response(_ reaction: Reaction) async -> HTTPResponse {
            switch reaction {
            case .status(let status, let retryAfter):
                return HTTPResponse(status: status, headers: retryAfter.map { [("Retry-After", $0)] } ?? [])
            case .redirect(let target): return HTTPResponse(status: 302, headers: [("Location", target)])
            case .hang(let duration):
                try? await Task.sleep(for: duration)
                return .text(status: 200, "late")
            case .fail(let condition):
                await Self.wait(for: condition)
                return .text(status: 500, "")
            case .succeed(let condition):
                await Self.wait(for: condition)
                return .text(status: 200, "")
            }
        }

        private static func wait(for condition: @Sendable () -> Bool) async {
            while !Task.isCancelled, !condition() { try? await Task.sleep(for: .milliseconds(5)) }
        }
    }
}
