import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// An HTTP server with one loop that answers, stalls or closes connections as the test says.
final class SmallServer: Sendable {
    enum Behaviour: Sendable {
        case answer(String)
        /// Every request of this number, counted over all connections, ends its connection without an answer.
        case hangUp(every: Int)
        /// The loop blocks for this long when it gets this request; then it answers all requests.
        case stall(TimeAmount, atRequest: Int)
        /// Sends these answers in turn.
        case inTurn([String])
    }

    static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    let port: Int

    private init(_ behaviour: Behaviour) async throws {
        let counter = RequestCounter()
        channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answering(behaviour, counter))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    /// Runs `body` with a server that ends with it.
    static func run<Value: Sendable>(
        _ behaviour: Behaviour = .answer(ok), isolation: isolated (any Actor)? = #isolation, _ body: (SmallServer) async throws -> Value
    ) async throws -> Value {
        let server = try await SmallServer(behaviour)
        let result: Result<Value, any Error>
        do { result = .success(try await body(server)) } catch { result = .failure(error) }
        try await server.group.shutdownGracefully()
        return try result.get()
    }
}

private final class RequestCounter: Sendable {
    private let count = Mutex(0)

    func next() -> Int {
        count.withLock {
            $0 += 1
            return $0
        }
    }
}

/// Answers each segment as one request, because the load generator sends requests without bodies in these tests.
private final class Answering: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let behaviour: SmallServer.Behaviour
    private let counter: RequestCounter

    init(_ behaviour: SmallServer.Behaviour, _ counter: RequestCounter) {
        (self.behaviour, self.counter) = (behaviour, counter)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let number = counter.next()
        switch behaviour {
        case .answer(let text): write(text, context)
        case .inTurn(let texts): write(texts[(number - 1) % texts.count], context)
        case .hangUp(let every):
            if number % every == 0 { context.close(promise: nil) } else { write(SmallServer.ok, context) }
        case .stall(let duration, let stallingRequest):
            // The sleep is the stall: it blocks the loop that serves all connections.
            if number == stallingRequest { usleep(UInt32(duration.nanoseconds / 1_000)) }
            write(SmallServer.ok, context)
        }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
}
