import NIOCore
import NIOPosix
import Synchronization
import TestSupport

@testable import Services

/// Listens on loopback and treats every connection alike, below what HTTP would allow.
final class FaultyServer: Sendable {
    enum Behavior: Sendable {
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

    init(_ behavior: Behavior) async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { [counter] channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler(behavior, counter)) }
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

        private let behavior: Behavior
        private let counter: Counter

        init(_ behavior: Behavior, _ counter: Counter) { (self.behavior, self.counter) = (behavior, counter) }

        func channelActive(context: ChannelHandlerContext) {
            if case .dropOnAccept = behavior { context.close(promise: nil) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            // The events' bodies end in a brace; what comes before needs no answer.
            guard String(buffer: unwrapInboundIn(data)).hasSuffix("}") else { return }
            counter.value.withLock { $0 += 1 }
            switch behavior {
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

extension DataPlatformServer {
    var platform: DataPlatform { DataPlatform(url: url, secret: Array("secret".utf8)) }
}
