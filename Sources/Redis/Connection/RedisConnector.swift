import NIOCore
import NIOPosix
import NIOSSL

/// Makes sockets for a client's connections: TCP or unix, with TLS where the endpoint asks for it.
struct RedisConnector: Sendable {
    /// Made once per client: reading the trusted certificates takes milliseconds. A failure shows when connecting.
    private let tls: Result<NIOSSLContext, any Error>?
    /// For tests that watch the socket.
    var additionalHandlers: @Sendable () -> [any ChannelHandler] = { [] }

    init(configuration: RedisConfiguration) {
        tls = configuration.endpoint.usesTLS ? Result { try NIOSSLContext(configuration: configuration.tls) } : nil
    }

    /// A connected socket with its handler, on the connection's loop.
    func connect(_ connection: RedisNodeConnection) -> EventLoopFuture<RedisChannelHandler> {
        let configuration = connection.configuration
        let address = configuration.endpoint.address
        let bootstrap = ClientBootstrap(group: connection.eventLoop)
            .connectTimeout(configuration.connectTimeout)
            // epoll is level-triggered: one read per wake-up spares the second one that finds nothing.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16 << 10, maximum: 64 << 10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandlers(additionalHandlers())
                    if let tls { try pipeline.addHandler(makeTLSHandler(tls.get(), address)) }
                    try pipeline.addHandler(RedisChannelHandler(connection: connection, maximumReplyBytes: configuration.maximumReplyBytes))
                }
            }
        let channel: EventLoopFuture<any Channel> =
            switch address {
            case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            case .cluster, .sentinel: preconditionFailure("a connection leads to one server")
            }
        return channel.flatMapThrowing { try $0.pipeline.syncOperations.handler(type: RedisChannelHandler.self) }
    }

    private func makeTLSHandler(_ context: NIOSSLContext, _ address: RedisEndpoint.Address) throws -> NIOSSLClientHandler {
        guard case .tcp(let host, _) = address else {
            return try NIOSSLClientHandler(context: context, serverHostname: nil)
        }
        // NIOSSL takes no IP address as the server's name; without a name, it checks the certificate against the address.
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
    }
}
