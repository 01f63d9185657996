package import NIOCore
import NIOPosix
import Synchronization

/// A proxy between clients on a unix socket or a port of loopback and a server that drops replies, holds requests or moves to another server on demand.
///
/// The injected fault and the list of connections are in mutexes; the bytes stay on the loops of their connections.
package final class FaultProxy: Sendable {
    package enum Fault: Sendable {
        case none
        /// Cuts the connection after this many more bytes of replies; later connections work.
        case cut(afterReplyBytes: Int)
    }

    /// The socket of a proxy on a unix socket; empty for one on a port.
    package let socketPath: String
    private let faults = FaultSwitch()
    private let upstream: Mutex<SocketAddress>
    private let connections = Connections()
    private let server = Mutex<(any Channel)?>(nil)

    /// - Parameter directory: the folder of the proxy's socket.
    package convenience init(to serverPath: String, in directory: String) async throws {
        try await self.init(to: SocketAddress(unixDomainSocketPath: serverPath), in: directory)
    }

    /// - Parameter directory: the folder of the proxy's socket.
    package convenience init(to address: SocketAddress, in directory: String) async throws {
        let path = directory + "/proxy.sock"
        try await self.init(to: address, socketPath: path) { try await $0.bind(unixDomainSocketPath: path).get() }
    }

    /// - Parameter port: the port of 127.0.0.1 that it listens on.
    package convenience init(to address: SocketAddress, port: Int) async throws {
        try await self.init(to: address, socketPath: "") { try await $0.bind(host: "127.0.0.1", port: port).get() }
    }

    private init(to address: SocketAddress, socketPath: String, listen: (ServerBootstrap) async throws -> any Channel) async throws {
        self.socketPath = socketPath
        upstream = Mutex(address)
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { [self] client in connect(client) }
        let listener = try await listen(bootstrap)
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

    /// Whether the last injected fault has happened.
    package var isHealthy: Bool { faults.state.withLock { if case .none = $0.fault { true } else { false } } }

    /// Holds all further requests in the proxy.
    package func hold() { faults.state.withLock { $0.isHolding = true } }

    /// Whether the proxy holds a request.
    package var holdsRequests: Bool { faults.state.withLock { $0.heldRequests > 0 } }

    /// Forwards the held requests, and all later ones.
    package func release() {
        faults.state.withLock { ($0.isHolding, $0.heldRequests) = (false, 0) }
        for (_, requests) in connections.all { requests.eventLoop.execute { requests.value.forwardHeld() } }
    }

    /// Forwards each further reply so much later, as if the server were far away.
    package func delayReplies(by delay: Duration) { faults.state.withLock { $0.replyDelay = TimeAmount(delay) } }

    /// Drops all further replies of the present connections, while their requests still arrive.
    package func swallowReplies() {
        let clients = Set(connections.all.map { ObjectIdentifier($0.client) })
        faults.state.withLock { $0.swallowed = clients }
    }

    /// Forwards new connections to another server; present ones stay until they are cut.
    package func move(to address: SocketAddress) { upstream.withLock { $0 = address } }

    /// Cuts the oldest connections: that many, or all. What the proxy holds of them is lost.
    package func cutConnections(_ count: Int = .max) {
        for (channel, _) in connections.all.prefix(count) { channel.close(promise: nil) }
    }

    /// Begins to close the proxy and all its connections.
    package func stop() {
        server.withLock { $0.take() }?.close(promise: nil)
        cutConnections()
    }

    package func close() async throws { try await server.withLock { $0.take() }?.close() }
}

/// The open connections, oldest first.
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
        var replyDelay = TimeAmount.zero
        /// Clients whose replies are dropped.
        var swallowed: Set<ObjectIdentifier> = []
    }

    let state = Mutex(State())

    /// How many of these bytes are forwarded before the connection is cut; nil where it is not.
    func bytesBeforeCut(of count: Int) -> Int? {
        state.withLock { state in
            guard case .cut(let left) = state.fault else { return nil }
            state.fault = count < left ? .cut(afterReplyBytes: left - count) : .none
            return count < left ? nil : left
        }
    }

    /// Whether a request that arrives now is held.
    func holdsRequest() -> Bool {
        state.withLock { state in
            if state.isHolding { state.heldRequests += 1 }
            return state.isHolding
        }
    }
}

/// One direction of one connection; confined to the connection's loop.
private final class Forwarder: ChannelInboundHandler {
    enum Direction { case requests, replies }

    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let faults: FaultSwitch
    private let direction: Direction
    private var held: [ByteBuffer] = []
    private var channel: (any Channel)?

    init(to other: any Channel, faults: FaultSwitch, direction: Direction) {
        (self.other, self.faults, self.direction) = (other, faults, direction)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        switch direction {
        case .requests:
            // Queued after held bytes, so that nothing overtakes them.
            if faults.holdsRequest() || !held.isEmpty { held.append(bytes) } else { other.writeAndFlush(bytes, promise: nil) }
        case .replies: reply(bytes, context)
        }
    }

    private func reply(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        if faults.state.withLock({ $0.swallowed.contains(ObjectIdentifier(other)) }) { return }
        var bytes = bytes
        guard let allowed = faults.bytesBeforeCut(of: bytes.readableBytes) else {
            let delay = faults.state.withLock { $0.replyDelay }
            guard delay > .zero else { return other.writeAndFlush(bytes, promise: nil) }
            context.eventLoop.scheduleTask(in: delay) { [other, bytes] in other.writeAndFlush(bytes, promise: nil) }
            return
        }
        let peer = other
        peer.writeAndFlush(bytes.readSlice(length: allowed) ?? ByteBuffer()).whenComplete { _ in peer.close(promise: nil) }
        context.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) { channel = context.channel }

    func forwardHeld() {
        if channel?.isActive == true { for bytes in held { other.writeAndFlush(bytes, promise: nil) } }
        held = []
    }

    func channelInactive(context: ChannelHandlerContext) {
        // A later client may get the same identity.
        if case .replies = direction { _ = faults.state.withLock { $0.swallowed.remove(ObjectIdentifier(other)) } }
        other.close(promise: nil)
        channel = nil
    }
}
