import Logging
import NIOCore

/// What all loops of one server share and never change.
final class ServerContext: Sendable {
    let configuration: HTTPServerConfiguration
    let handler: @Sendable (HTTPRequest) -> HTTPAnswer
    let refusalResponse: @Sendable (HTTPRefusal) -> HTTPResponse
    let counters: ServerCounters
    let logger: Logger

    init(
        configuration: HTTPServerConfiguration,
        handler: @escaping @Sendable (HTTPRequest) -> HTTPAnswer,
        refusalResponse: @escaping @Sendable (HTTPRefusal) -> HTTPResponse,
        logger: Logger
    ) {
        self.configuration = configuration
        self.handler = handler
        self.refusalResponse = refusalResponse
        self.counters = ServerCounters()
        self.logger = logger
    }
}

/// One event loop's share of the server: its connections, their timer, and what they reuse.
///
/// Safety of `@unchecked Sendable`: the variables are touched on `eventLoop` only, which every entry asserts.
final class HTTPServerLoop: @unchecked Sendable {
    let eventLoop: any EventLoop
    let executor: any TaskExecutor
    let context: ServerContext
    let limits: ConnectionLimits
    /// Succeeds when the loop drains and its last connection is closed.
    let drained: EventLoopPromise<Void>

    private(set) var isDraining = false
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]
    private var date = DateField()
    private var spareBuffer: ByteBuffer?
    private var tickIsScheduled = false
    private let tickInterval: TimeAmount

    /// Memory above this is not kept for the next answer.
    private static let largestKeptBuffer = 256 * 1024

    init(eventLoop: any EventLoop, context: ServerContext) {
        self.eventLoop = eventLoop
        self.executor = context.configuration.executor(eventLoop)
        self.context = context
        self.limits = ConnectionLimits(context.configuration)
        self.drained = eventLoop.makePromise()
        self.tickInterval = HTTPServerLoop.tickInterval(context.configuration)
    }

    /// One timer looks at all connections of a loop: a deadline is kept to within a tick, and a request starts no timer.
    private static func tickInterval(_ configuration: HTTPServerConfiguration) -> TimeAmount {
        let shortest = [
            configuration.idleTimeout, configuration.headTimeout, configuration.bodyTimeout,
            configuration.writeTimeout, configuration.lingerTimeout,
        ].reduce(TimeAmount.seconds(4), min)
        return max(.nanoseconds(shortest.nanoseconds / 8), .milliseconds(5))
    }

    func add(_ connection: HTTPConnection) {
        eventLoop.assertInEventLoop()
        connections[ObjectIdentifier(connection)] = connection
        scheduleTick()
    }

    func remove(_ connection: HTTPConnection) {
        eventLoop.assertInEventLoop()
        connections[ObjectIdentifier(connection)] = nil
        if isDraining, connections.isEmpty { drained.succeed() }
    }

    private func scheduleTick() {
        guard !tickIsScheduled, !connections.isEmpty else { return }
        tickIsScheduled = true
        eventLoop.scheduleTask(in: tickInterval) {
            self.tickIsScheduled = false
            let now = NIODeadline.now()
            // A copy, since a connection that times out removes itself.
            for connection in Array(self.connections.values) { connection.checkDeadlines(now) }
            self.scheduleTick()
        }
    }

    /// Closes what is idle, and lets what runs say `connection: close`.
    func drain() {
        eventLoop.assertInEventLoop()
        guard !isDraining else { return }
        isDraining = true
        if connections.isEmpty { drained.succeed() }
        for connection in Array(connections.values) { connection.serverDrains() }
    }

    /// Closes every connection, whatever it does.
    func cut() {
        eventLoop.assertInEventLoop()
        for connection in Array(connections.values) { connection.cut() }
    }

    /// The `Date` field with the end of the head.
    func renderedDate(_ now: NIODeadline) -> ByteBuffer {
        date.current(now)
    }

    /// An empty buffer, usually one whose earlier answers have left already.
    func takeBuffer() -> ByteBuffer {
        guard var buffer = spareBuffer else {
            var fresh = ByteBuffer()
            fresh.reserveCapacity(4096)
            return fresh
        }
        spareBuffer = nil
        buffer.clear()
        return buffer
    }

    /// Gives a buffer back after it was written. If the socket has not taken all of it, clearing makes new storage.
    func giveBack(_ buffer: ByteBuffer) {
        if buffer.capacity <= HTTPServerLoop.largestKeptBuffer { spareBuffer = buffer }
    }
}
