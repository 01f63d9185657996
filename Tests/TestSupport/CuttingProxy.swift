import NIOCore
import NIOPosix
import Synchronization

/// Stands between client and server on unix sockets and loses replies on demand.
package final class CuttingProxy: Sendable {
    package enum Fault: Sendable {
        case none
        /// After this many more bytes of replies the connection is cut; then all is well again.
        case cut(afterReplyBytes: Int)
    }

    package let socketPath: String
    private let fault: FaultSwitch
    private let server: any Channel

    /// - Parameter directory: where the proxy's socket goes.
    package init(to serverPath: String, in directory: String) async throws {
        let path = directory + "/proxy.sock"
        let fault = FaultSwitch()
        socketPath = path
        self.fault = fault
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop).channelOption(.autoRead, value: false)
                    .connect(unixDomainSocketPath: serverPath)
                    .flatMapThrowing { server in
                        try client.pipeline.syncOperations.addHandler(Forwarder(to: server, fault: nil))
                        try server.pipeline.syncOperations.addHandler(Forwarder(to: client, fault: fault))
                        for channel in [client, server] { _ = channel.setOption(.autoRead, value: true) }
                    }
            }
            .bind(unixDomainSocketPath: path).get()
    }

    package func inject(_ next: Fault) { fault.state.withLock { $0 = next } }

    /// True when nothing is left to lose: what was injected last has happened.
    package var isHealthy: Bool { fault.state.withLock { if case .none = $0 { true } else { false } } }

    package func close() async throws { try await server.close() }

    private final class FaultSwitch: Sendable {
        let state = Mutex(Fault.none)

        /// How many of these bytes may pass, where the connection is to be cut behind them.
        func bytesBeforeCut(of count: Int) -> Int? {
            state.withLock { state in
                guard case .cut(let left) = state else { return nil }
                state = count < left ? .cut(afterReplyBytes: left - count) : .none
                return count < left ? nil : left
            }
        }
    }

    private final class Forwarder: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let other: any Channel
        private let fault: FaultSwitch?

        init(to other: any Channel, fault: FaultSwitch?) {
            self.other = other
            self.fault = fault
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            guard let allowed = fault?.bytesBeforeCut(of: bytes.readableBytes) else {
                other.writeAndFlush(bytes, promise: nil)
                return
            }
            let peer = other
            peer.writeAndFlush(bytes.readSlice(length: allowed) ?? ByteBuffer()).whenComplete { _ in peer.close(promise: nil) }
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
    }
}
