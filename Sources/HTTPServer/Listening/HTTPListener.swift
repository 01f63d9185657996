package import EventLoops
package import Logging
package import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Answers one request. It runs on the connection's event loop until it suspends, resumes there, and must not block it.
package typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse

/// Answers one request at once, by callback or in a task. It is called on the connection's event loop and must not block it.
package typealias HTTPResponder = @Sendable (consuming HTTPRequest) -> HTTPAnswer

/// A small HTTP/1.1 server on SwiftNIO: keep-alive, pipelining, limits on everything a client can send, and graceful shutdown.
package final class HTTPListener: Sendable {
    private enum State {
        case notStarted
        case starting
        case running(any Channel)
        case draining
    }

    private let context: ServerContext
    private let eventLoopGroup: any EventLoopGroup
    private let loops: [ObjectIdentifier: HTTPServerLoop]
    private let state = Mutex<State>(.notStarted)

    /// Makes a server that is not listening yet.
    ///
    /// - Parameters:
    ///   - configuration: where to listen, and every bound.
    ///   - eventLoopGroup: the loops connections are spread over; not shut down by the server.
    ///   - responder: makes the responder of one event loop. Each loop has its own, so that loops need not share what it uses.
    ///   - notes: where the responder of one event loop writes notes about requests; nil where it writes none.
    ///   - refusalResponse: renders the answers the server gives by itself.
    ///   - logger: receives what an operator should know, and nothing that a client sent.
    package init(
        configuration: HTTPServerConfiguration,
        eventLoopGroup: any EventLoopGroup,
        responder: (any EventLoop) -> HTTPResponder,
        notes: (any EventLoop) -> RequestNotes? = { _ in nil },
        refusalResponse: @escaping @Sendable (HTTPRefusal) -> HTTPResponse,
        logger: Logger
    ) {
        let context = ServerContext(configuration: configuration, refusalResponse: refusalResponse, logger: logger)
        self.context = context
        self.eventLoopGroup = eventLoopGroup
        self.loops = Dictionary(
            uniqueKeysWithValues: eventLoopGroup.makeIterator().map {
                (
                    ObjectIdentifier($0),
                    HTTPServerLoop(eventLoop: $0, context: context, handler: responder($0), notes: notes($0) ?? RequestNotes())
                )
            }
        )
    }

    /// Makes a server whose handler is asynchronous throughout.
    package convenience init(
        configuration: HTTPServerConfiguration,
        eventLoopGroup: any EventLoopGroup,
        handler: @escaping HTTPHandler,
        refusalResponse: @escaping @Sendable (HTTPRefusal) -> HTTPResponse,
        logger: Logger
    ) {
        self.init(
            configuration: configuration, eventLoopGroup: eventLoopGroup,
            responder: { _ in { (request: consuming HTTPRequest) in .task { [request] in await handler(request) } } },
            refusalResponse: refusalResponse, logger: logger
        )
    }

    deinit {
        // NIO requires every promise to be fulfilled. Draining does so; without it, it is done here. After draining it must not be
        // done here, because the loops may have ended.
        let neverDrained = state.withLock { state in if case .draining = state { false } else { true } }
        if neverDrained { for loop in loops.values { loop.drained.succeed() } }
    }

    /// Binds and begins to accept; returns once clients can connect.
    ///
    /// - Throws: what the system says when the address cannot be bound, or ``HTTPServerError/alreadyStarted``.
    package func start() async throws {
        try state.withLock { state in
            guard case .notStarted = state else { throw HTTPServerError.alreadyStarted }
            state = .starting
        }
        do {
            let channel = try await bind()
            state.withLock { $0 = .running(channel) }
            context.logger.debug("listening", metadata: ["address": "\(channel.localAddress.map(String.init(describing:)) ?? "")"])
        } catch {
            state.withLock { $0 = .notStarted }
            throw error
        }
    }

    /// Where the server listens; nil unless it is running.
    package var localAddress: SocketAddress? {
        state.withLock { state in
            guard case .running(let channel) = state else { return nil }
            return channel.localAddress
        }
    }

    /// The TCP port the server listens on; nil unless it is running on TCP.
    package var port: Int? { localAddress?.port }

    /// The certificate of the server; nil without TLS.
    package var certificate: ServerCertificate? { context.configuration.certificate }

    /// The counters since the start.
    package var statistics: HTTPServerStatistics {
        var statistics = HTTPServerStatistics(
            openConnections: context.openConnections.load(ordering: .relaxed),
            requestsInFlight: context.requestsInFlight.load(ordering: .relaxed))
        statistics.accessLogDropped = context.configuration.accessLog?.dropped ?? 0
        statistics.acceptFailures = context.acceptFailures.load(ordering: .relaxed)
        for loop in loops.values { loop.counters.add(to: &statistics) }
        return statistics
    }

    /// The executor handlers prefer on this loop; nil when the loop is not one of the server's.
    package func executor(on eventLoop: any EventLoop) -> EventLoopExecutor? {
        loops[ObjectIdentifier(eventLoop)]?.executor
    }

    /// Stops accepting, closes idle connections, answers running requests with `Connection: close`, and closes the rest at the deadline.
    package func drain(deadline: Duration) async {
        let channel = state.withLock { state -> (any Channel)? in
            defer { state = .draining }
            guard case .running(let channel) = state else { return nil }
            return channel
        }
        try? await channel?.close()  // Fails only where it is closed already.
        if channel != nil, case .unixSocket(let path) = context.configuration.address { unlink(path) }
        let cuts = loops.values.map { loop in
            loop.eventLoop.execute { loop.drain() }
            return loop.eventLoop.scheduleTask(in: TimeAmount(deadline)) { loop.cut() }
        }
        for loop in loops.values { try? await loop.drained.futureResult.get() }  // Never failed.
        for cut in cuts { cut.cancel() }
    }

    private func bind() async throws -> any Channel {
        let configuration = context.configuration
        let limits = configuration.limits
        let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: limits.writeLowWaterMark, high: limits.writeHighWaterMark)
        // Small read buffers, because a request keeps its buffer until it is answered.
        let readBuffers = AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: 16 * 1024)
        // TCP_NODELAY is set on the listening socket by NIO and inherited by what it accepts.
        let bootstrap = ServerBootstrap(group: eventLoopGroup)
            .serverChannelOption(.backlog, value: Int32(configuration.backlog))
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .serverChannelInitializer { [context] channel in
                channel.eventLoop.makeCompletedFuture {
                    let backoff = AcceptBackoff(keepingFree: configuration.descriptorsKeptFree, logger: context.logger) {
                        context.acceptFailures.increment()
                    }
                    try channel.pipeline.syncOperations.addHandler(backoff)
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: waterMark)
            .childChannelOption(.recvAllocator, value: readBuffers)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try initialize(channel) }
            }
        switch configuration.address {
        case .tcp(let host, let port):
            return try await bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1).bind(host: host, port: port).get()
        case .unixSocket(let path):
            return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        }
    }

    private func initialize(_ channel: any Channel) throws {
        guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else { throw HTTPServerError.foreignEventLoop }
        loop.counters.acceptedConnections.add()
        let refusal: HTTPRefusal? =
            if loop.isDraining {
                .draining
            } else if !ServerContext.take(context.openConnections, limit: loop.limits.maximumConnections) {
                .tooManyConnections
            } else {
                nil
            }
        if refusal != nil {
            loop.counters.refusedConnections.add()
            guard ServerContext.take(context.openRefusals, limit: loop.limits.maximumRefusals) else {
                throw HTTPServerError.tooManyConnections
            }
        }
        let connection = HTTPConnection(loop: loop, refusal: refusal)
        do {
            try context.configuration.certificate?.secure(channel)
            try context.configuration.configureChannel?(channel)
            try channel.pipeline.syncOperations.addHandler(connection)
        } catch {
            if refusal == nil { context.openConnections.decrement() } else { context.openRefusals.decrement() }
            throw error
        }
    }
}

/// Why the server could not do what was asked.
package enum HTTPServerError: Error {
    /// The server has been started before; it starts only once.
    case alreadyStarted
    /// A connection came on a loop outside the group, which NIO never does.
    case foreignEventLoop
    /// So many connections are being refused that this one is closed without an answer.
    case tooManyConnections
}
