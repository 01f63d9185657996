import NIOCore
import NIOPosix
import Synchronization

/// Stands between clients and a server on unix sockets, loses replies on demand, and can lead to another server.
package final class CuttingProxy: Sendable {
    package enum Fault: Sendable {
        case none
        /// After this many more bytes of replies the connection is cut; then all is well again.
        case cut(afterReplyBytes: Int)
    }

    package let socketPath: String
    private let line: Line
    private let server: any Channel

    /// - Parameter directory: where the proxy's socket goes.
    package init(to serverPath: String, in directory: String) async throws {
        let path = directory + "/proxy.sock"
        let line = Line(to: serverPath)
        socketPath = path
        self.line = line
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop).channelOption(.autoRead, value: false)
                    .connect(unixDomainSocketPath: line.serverPath)
                    .flatMapThrowing { server in
                        try client.pipeline.syncOperations.addHandler(Forwarder(to: server, repliesOf: nil))
                        try server.pipeline.syncOperations.addHandler(Forwarder(to: client, repliesOf: line))
                        line.add(server)
                        for channel in [client, server] { _ = channel.setOption(.autoRead, value: true) }
                    }
            }
            .bind(unixDomainSocketPath: path).get()
    }

    package func inject(_ next: Fault) { line.inject(next) }

    /// True when nothing is left to lose: what was injected last has happened.
    package var isHealthy: Bool { line.isHealthy }

    /// From now on the replies of every connection that is open now vanish, while its requests still arrive.
    package func swallowReplies() { line.swallow() }

    /// Cuts every connection that is open now.
    package func cutAll() {
        for channel in line.open { channel.close(promise: nil) }
    }

    /// Leads new connections to another server and cuts the others.
    package func lead(to serverPath: String) {
        line.serverPath = serverPath
        cutAll()
    }

    package func close() async throws {
        try await server.close()
        cutAll()
    }
}

/// What connections share: where they lead, and what is to be lost.
private final class Line: Sendable {
    private struct State {
        var serverPath: String
        var fault = CuttingProxy.Fault.none
        var open: [ObjectIdentifier: any Channel] = [:]
        var swallowed: Set<ObjectIdentifier> = []
    }

    private let state: Mutex<State>

    init(to serverPath: String) { state = Mutex(State(serverPath: serverPath)) }

    var serverPath: String {
        get { state.withLock { $0.serverPath } }
        set { state.withLock { $0.serverPath = newValue } }
    }

    var isHealthy: Bool { state.withLock { if case .none = $0.fault { true } else { false } } }
    var open: [any Channel] { state.withLock { Array($0.open.values) } }

    func inject(_ fault: CuttingProxy.Fault) { state.withLock { $0.fault = fault } }
    func swallow() { state.withLock { $0.swallowed = Set($0.open.keys) } }
    func add(_ channel: any Channel) { state.withLock { $0.open[ObjectIdentifier(channel)] = channel } }

    func remove(_ channel: any Channel) {
        state.withLock { state in
            state.open[ObjectIdentifier(channel)] = nil
            state.swallowed.remove(ObjectIdentifier(channel))
        }
    }

    enum Passage {
        case all
        case none
        /// That many bytes, and then no more: the connection is cut.
        case first(Int)
    }

    func passage(of count: Int, from channel: any Channel) -> Passage {
        state.withLock { state in
            if state.swallowed.contains(ObjectIdentifier(channel)) { return .none }
            guard case .cut(let left) = state.fault else { return .all }
            state.fault = count < left ? .cut(afterReplyBytes: left - count) : .none
            return count < left ? .all : .first(left)
        }
    }
}

private final class Forwarder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let line: Line?

    init(to other: any Channel, repliesOf line: Line?) {
        self.other = other
        self.line = line
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        switch line?.passage(of: bytes.readableBytes, from: context.channel) ?? .all {
        case .all: other.writeAndFlush(bytes, promise: nil)
        case .none: break
        case .first(let allowed):
            let peer = other
            peer.writeAndFlush(bytes.readSlice(length: allowed) ?? ByteBuffer()).whenComplete { _ in peer.close(promise: nil) }
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        line?.remove(context.channel)
        other.close(promise: nil)
    }
}
