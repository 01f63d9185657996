package import NIOCore
import NIOPosix
import Synchronization

/// Stands between clients on a unix socket and a server, and loses replies, holds requests or moves to another server on demand.
///
/// What is injected and which connections there are lives in mutexes; the bytes stay on the loops of their connections.
package final class FaultProxy: Sendable {
    package enum Fault: Sendable {
        case none
        /// After this many more bytes of replies the connection is cut; then all is well again.
        case cut(afterReplyBytes: Int)
    }

    package let socketPath: String
    private let faults = FaultSwitch()
    private let upstream: Mutex<SocketAddress>
    private let connections = Connections()
    private let server = Mutex<(any Channel)?>(nil)

    /// - Parameter directory: where the proxy's socket goes.
    package convenience init(to serverPath: String, in directory: String) async throws {
        try await self.init(to: SocketAddress(unixDomainSocketPath: serverPath), in: directory)
    }

    /// - Parameter directory: where the proxy's socket goes.
    package init(to address: SocketAddress, in directory: String) async throws {
        socketPath = directory + "/proxy.sock"
        upstream = Mutex(address)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { [self] client in connect(client) }
            .bind(unixDomainSocketPath: socketPath).get()
        server.withLock { $0 = listener }
    }

    private func connect(_ client: any Channel) -> EventLoopFuture<Void> {
        let address = upstream.withLock { $0 }
        return ClientBootstrap(group: client.eventLoop).channelOption(.autoRead, value: false).connect(to: address)
            .flatMapThrowing { [faults, connections] server in
                let requests = Forwarder(to: server, faults: faults, direction: .requests)
                try client.pipeline.syncOperations.addHandler(requests)
                try server.pipeline.syncOperations.addHandler(Forwarder(to: client, faults: faults, direction: .replies))
                connections.add(client, NIOLoopBound(requests, eventLoop: client.eventLoop))
                for channel in [client, server] { _ = channel.setOption(.autoRead, value: true) }
            }
    }

    package func inject(_ next: Fault) { faults.state.withLock { $0.fault = next } }

    /// True when nothing is left to lose: what was injected last has happened.
    package var isHealthy: Bool { faults.state.withLock { if case .none = $0.fault { true } else { false } } }

    /// From here on requests wait in the proxy.
    package func hold() { faults.state.withLock { $0.isHolding = true } }

    /// True once a request waits.
    package var holdsRequests: Bool { faults.state.withLock { $0.heldRequests > 0 } }

    /// Lets what waits go on, and all that follows.
    package func release() {
        faults.state.withLock { ($0.isHolding, $0.heldRequests) = (false, 0) }
        for (_, requests) in connections.all { requests.eventLoop.execute { requests.value.forwardHeld() } }
    }

    /// From here on the replies on the connections that are there vanish, while their requests still arrive.
    package func swallowReplies() {
        let clients = Set(connections.all.map { ObjectIdentifier($0.client) })
        faults.state.withLock { $0.swallowed = clients }
    }

    /// Leads connections that are made from here on to another server; those that are there stay until they are cut.
    package func move(to address: SocketAddress) { upstream.withLock { $0 = address } }

    /// Cuts the oldest connections: all of them, or that many.
    package func cutConnections(_ count: Int = .max) {
        for (channel, _) in connections.all.prefix(count) { channel.close(promise: nil) }
    }

    package func close() async throws { try await server.withLock { $0.take() }?.close() }
}

/// Who is connected, in the order of their coming.
private final class Connections: Sendable {
    typealias Connection = (client: any Channel, requests: NIOLoopBound<Forwarder>)

    private let state = Mutex<[Connection]>([])

    var all: [Connection] { state.withLock { $0 } }

    func add(_ client: any Channel, _ requests: NIOLoopBound<Forwarder>) {
        state.withLock { $0.append((client, requests)) }
        client.closeFuture.whenComplete { [self] _ in state.withLock { $0.removeAll { $0.client === client } } }
    }
}

private final class FaultSwitch: Sendable {
    struct State {
        var fault = FaultProxy.Fault.none
        var isHolding = false
        var heldRequests = 0
        /// Clients that get no replies any more.
        var swallowed: Set<ObjectIdentifier> = []
    }

    let state = Mutex(State())

    /// How many of these bytes may pass, where the connection is to be cut behind them.
    func bytesBeforeCut(of count: Int) -> Int? {
        state.withLock { state in
            guard case .cut(let left) = state.fault else { return nil }
            state.fault = count < left ? .cut(afterReplyBytes: left - count) : .none
            return count < left ? nil : left
        }
    }

    /// Whether a request that arrives now has to wait.
    func holdsRequest() -> Bool {
        state.withLock { state in
            if state.isHolding { state.heldRequests += 1 }
            return state.isHolding
        }
    }
}

/// One direction of one connection; lives on the connection's loop.
private final class Forwarder: ChannelInboundHandler {
    enum Direction { case requests, replies }

    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let faults: FaultSwitch
    private let direction: Direction
    private var held: [ByteBuffer] = []

    init(to other: any Channel, faults: FaultSwitch, direction: Direction) {
        (self.other, self.faults, self.direction) = (other, faults, direction)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        switch direction {
        case .requests:
            // Behind what waits, so that nothing overtakes it.
            if faults.holdsRequest() || !held.isEmpty { held.append(bytes) } else { other.writeAndFlush(bytes, promise: nil) }
        case .replies: reply(bytes, context)
        }
    }

    private func reply(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        if faults.state.withLock({ $0.swallowed.contains(ObjectIdentifier(other)) }) { return }
        var bytes = bytes
        guard let allowed = faults.bytesBeforeCut(of: bytes.readableBytes) else {
            other.writeAndFlush(bytes, promise: nil)
            return
        }
        let peer = other
        peer.writeAndFlush(bytes.readSlice(length: allowed) ?? ByteBuffer()).whenComplete { _ in peer.close(promise: nil) }
        context.close(promise: nil)
    }

    func forwardHeld() {
        for bytes in held { other.writeAndFlush(bytes, promise: nil) }
        held = []
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Another client may come to have the same identity.
        if case .replies = direction { _ = faults.state.withLock { $0.swallowed.remove(ObjectIdentifier(other)) } }
        other.close(promise: nil)
    }
}
