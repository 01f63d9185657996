import Commerce
import HTTPServer
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TestSupport

@testable import Services

/// A data platform on loopback that takes every POST down and answers as the test says.
final class DataPlatformServer: Sendable {
    /// What came in, in order.
    struct Post: Sendable, Hashable {
        let method: String
        let path: String
        let idempotencyKey: String
        let signature: String
        let contentType: String
        let body: String
    }

    enum Reaction: Sendable {
        case status(Int)
        case redirect(to: String)
        /// Answers after that long.
        case hang(Duration)
    }

    private let holder: Holder
    private let server: HTTPServer

    init(react: @escaping @Sendable (Post) -> Reaction) async throws {
        let holder = Holder(react)
        self.holder = holder
        server = HTTPServer(
            configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            handler: { request in await holder.answer(request) }, refusalResponse: { .text(status: $0.status, "") }, logger: Shop.logger)
        try await server.start()
    }

    var url: String { "http://127.0.0.1:\(server.port ?? 0)/events" }
    var posts: [Post] { holder.posts }
    var platform: DataPlatform { DataPlatform(url: url, secret: Array("secret".utf8)) }

    func react(_ react: @escaping @Sendable (Post) -> Reaction) { holder.react(react) }
    func close() async { await server.drain(deadline: .zero) }

    private final class Holder: Sendable {
        private let state: Mutex<(posts: [Post], react: @Sendable (Post) -> Reaction)>

        init(_ react: @escaping @Sendable (Post) -> Reaction) { state = Mutex(([], react)) }

        var posts: [Post] { state.withLock { $0.posts } }

        func react(_ react: @escaping @Sendable (Post) -> Reaction) { state.withLock { $0.react = react } }

        func answer(_ request: HTTPRequest) async -> HTTPResponse {
            let post = Post(
                method: request.method.rawValue, path: request.path, idempotencyKey: request.idempotencyKey ?? "",
                signature: request.headers[DataPlatform.signatureHeader].joined(), contentType: request.contentType ?? "",
                body: String(buffer: request.body))
            let reaction = state.withLock { state in
                state.posts.append(post)
                return state.react(post)
            }
            switch reaction {
            case .status(let status): return .text(status: status, "")
            case .redirect(let target): return HTTPResponse(status: 302, headers: [("Location", target)])
            case .hang(let duration):
                try? await Task.sleep(for: duration)
                return .text(status: 200, "late")
            }
        }
    }
}

/// Listens on loopback and treats every connection alike, below what HTTP would allow.
final class RudeServer: Sendable {
    enum Manner: Sendable {
        /// Takes the connection and closes it at once.
        case dropOnAccept
        /// Takes the whole request and closes without an answer.
        case dieAfterReading
        /// Answers 200 and never ends the body.
        case endlessBody
        case garbage
    }

    private let channel: any Channel
    private let counter = Counter()

    init(_ manner: Manner) async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { [counter] channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler(manner, counter)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    /// Requests that were read to their end.
    var requestsRead: Int { counter.value.withLock { $0 } }
    var platform: DataPlatform { DataPlatform(url: "http://127.0.0.1:\(channel.localAddress?.port ?? 0)/", secret: [1]) }

    func close() async throws { try await channel.close() }

    private final class Counter: Sendable { let value = Mutex(0) }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let manner: Manner
        private let counter: Counter

        init(_ manner: Manner, _ counter: Counter) { (self.manner, self.counter) = (manner, counter) }

        func channelActive(context: ChannelHandlerContext) {
            if case .dropOnAccept = manner { context.close(promise: nil) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            // The events' bodies end in a brace; what comes before needs no answer.
            guard String(buffer: unwrapInboundIn(data)).hasSuffix("}") else { return }
            counter.value.withLock { $0 += 1 }
            switch manner {
            case .dropOnAccept, .dieAfterReading: context.close(promise: nil)
            case .endlessBody: send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nand then", context)
            case .garbage: send("I am no HTTP server\r\n\r\n", context)
            }
        }

        private func send(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }
    }
}
