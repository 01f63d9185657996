import Foundation
import NIOCore
import NIOPosix
import TestSupport

/// A SwiftNIO channel with one handler that answers every read with the same bytes: the cost of the sockets of any server on
/// SwiftNIO, before it parses a request.
package enum BareChannel {
    /// The length of a short problem with its header.
    static let answerBytes = 250

    /// Serves on one event loop until the process is ended.
    package static func serve(port: Int) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(FixedBytes()) }
            }
            .bind(host: "127.0.0.1", port: port).get()
        try await channel.closeFuture.get()
    }

    /// Starts the process that serves, and waits until it listens. It ends with the cleanup.
    ///
    /// - Parameter command: what serves on a port.
    package static func start(_ cleanup: CleanupStack, command: (_ port: Int) -> [String]) async throws -> (port: Int, pid: Int32) {
        let port = try TemporaryRedis.freePort()
        let process = try await ChildProcess.start(command(port))
        cleanup.add { await process.end(SIGKILL) }
        try await Listening.wait(port: port, process)
        return (port, process.pid)
    }

    /// An answer of exactly ``answerBytes``, so that load generators take it for HTTP.
    static var answer: String {
        func text(body: Int) -> String {
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body)\r\n\r\n"
                + String(repeating: "x", count: body)
        }
        // The length always has three digits.
        return text(body: answerBytes - text(body: 100).utf8.count + 100)
    }
}

/// Answers each read, which holds one request if the client waits for each answer. Confined to its channel's loop.
private final class FixedBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let answer = ByteBuffer(string: BareChannel.answer)

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
    }
}
