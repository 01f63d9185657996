import EventLoops
import Histograms
import Logging
import NIOCore
import Synchronization

/// What all loops of one server share.
final class ServerContext: Sendable {
    let configuration: HTTPServerConfiguration
    let refusalResponse: @Sendable (HTTPRefusal) -> HTTPResponse
    let logger: Logger
    let openConnections = Atomic<Int>(0)
    /// Connections that are being answered 503.
    let openRefusals = Atomic<Int>(0)
    /// Times that a connection could not be accepted.
    let acceptFailures = Atomic<Int>(0)
    /// Requests whose handlers did not answer at once and have not answered yet.
    let requestsInFlight = Atomic<Int>(0)

    init(
        configuration: HTTPServerConfiguration, refusalResponse: @escaping @Sendable (HTTPRefusal) -> HTTPResponse, logger: Logger
    ) {
        self.configuration = configuration
        self.refusalResponse = refusalResponse
        self.logger = logger
    }

    /// Raises the counter by one; false, and unchanged, where it has reached `limit`.
    static func take(_ counter: borrowing Atomic<Int>, limit: Int) -> Bool {
        guard counter.wrappingAdd(1, ordering: .relaxed).newValue <= limit else {
            counter.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        return true
    }
}

extension Atomic<Int> {
    func increment() { wrappingAdd(1, ordering: .relaxed) }
    func decrement() { wrappingSubtract(1, ordering: .relaxed) }
}

/// One event loop's share of the server: its connections, their timer, and what they reuse.
///
/// A request that is answered at once writes to nothing that two loops share: a cache line that both write would cost each of them
/// more than the rest of the loop's bookkeeping.
///
/// Safety of `@unchecked Sendable`: the variables are touched on `eventLoop` only, which every entry asserts.
final class HTTPServerLoop: @unchecked Sendable {
    let eventLoop: any EventLoop
    /// Runs the tasks of all handlers; the only one of its loop.
    let executor: EventLoopExecutor
    let context: ServerContext
    let limits: HTTPLimits
    let handler: HTTPResponder
    /// The fields that answers get because they may be read by pages of other origins; nil where none may.
    let crossOrigin: CrossOriginFields?
    /// Decides which requests may have large bodies; nil for none.
    let largeBodies: LargeBodyGate?
    /// Whether a refused connection is answered only after its head was read: its answer depends on the head's origin, or it has to
    /// finish a TLS handshake first.
    let refusesAfterHead: Bool
    let counters = LoopCounters()
    /// Succeeds when the loop drains and its last connection is closed.
    let drained: EventLoopPromise<Void>

    /// What the handler says about the request that it is called for.
    let notes: RequestNotes
    /// Nil where requests are not logged.
    let accessLog: AccessLogLoop?

    private(set) var isDraining = false
    /// Whether the deadline of the drain has passed.
    private(set) var isCut = false
    private var connectionNumbers = ConnectionNumbers()
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]
    private var date = DateField()
    private var spareBuffer: ByteBuffer?
    private var tickIsScheduled = false
    private var readsUntilMeasurement = HTTPServerLoop.readsPerMeasurement

    /// Reads of which one measures how long its bytes have waited: a busy loop does so hundreds of times a second, and it costs nothing
    /// beside the reads.
    private static let readsPerMeasurement = 64
    private let tickInterval: TimeAmount

    /// Bytes of the largest buffer that is kept for later answers.
    private static let largestKeptBuffer = 256 * 1024

    init(eventLoop: any EventLoop, context: ServerContext, handler: @escaping HTTPResponder, notes: RequestNotes) {
        self.notes = notes
        accessLog = context.configuration.accessLog?.part(of: eventLoop)
        if accessLog != nil { notes.isRead = true }
        self.eventLoop = eventLoop
        self.executor = EventLoopExecutor(eventLoop: eventLoop)
        self.context = context
        self.limits = context.configuration.limits
        self.handler = handler
        self.largeBodies = context.configuration.largeBodies
        self.crossOrigin = context.configuration.crossOrigin.map(CrossOriginFields.init)
        self.refusesAfterHead = crossOrigin != nil || context.configuration.certificate != nil
        self.drained = eventLoop.makePromise()
        self.tickInterval = HTTPServerLoop.tickInterval(context.configuration.limits)
    }

    /// One timer per loop checks the deadlines of all connections, so that no request starts its own; each is kept to within a tick.
    private static func tickInterval(_ limits: HTTPLimits) -> TimeAmount {
        let shortest = [limits.idleTimeout, limits.headTimeout, limits.bodyTimeout, limits.writeTimeout, limits.lingerTimeout]
            .reduce(TimeAmount.seconds(4), min)
        return max(.nanoseconds(shortest.nanoseconds / 8), .milliseconds(5))
    }

    func add(_ connection: HTTPConnection) {
        eventLoop.assertInEventLoop()
        connections[ObjectIdentifier(connection)] = connection
        scheduleTick()
    }

    func remove(_ connection: HTTPConnection, isRefused: Bool) {
        eventLoop.assertInEventLoop()
        if isRefused {
            context.openRefusals.decrement()
        } else {
            context.openConnections.decrement()
        }
        connections[ObjectIdentifier(connection)] = nil
        if isDraining, connections.isEmpty { drained.succeed() }
    }

    private func scheduleTick() {
        guard !tickIsScheduled, !connections.isEmpty else { return }
        tickIsScheduled = true
        let due = NIODeadline.now() + tickInterval
        eventLoop.scheduleTask(in: tickInterval) {
            self.tickIsScheduled = false
            let now = NIODeadline.now()
            self.counters.lag.record(Int(max(0, (now - due).nanoseconds)))
            // A copy, since a connection that times out removes itself.
            for connection in Array(self.connections.values) { connection.checkDeadlines(now) }
            self.scheduleTick()
        }
    }

    /// Closes idle connections now, and the others after their next answer, which says `connection: close`.
    func drain() {
        eventLoop.assertInEventLoop()
        guard !isDraining else { return }
        isDraining = true
        if connections.isEmpty { drained.succeed() }
        for connection in Array(connections.values) { connection.drain() }
    }

    /// Closes every connection at once.
    func cut() {
        eventLoop.assertInEventLoop()
        isCut = true
        for connection in Array(connections.values) { connection.cut() }
    }

    /// How many milliseconds the bytes that were just read from a channel have waited; -1 where that is not measured.
    func waited(in channel: any Channel) -> Int32 {
        readsUntilMeasurement -= 1
        guard readsUntilMeasurement == 0 else { return -1 }
        readsUntilMeasurement = HTTPServerLoop.readsPerMeasurement
        return measuredWait(in: channel)
    }

    @inline(never)
    private func measuredWait(in channel: any Channel) -> Int32 {
        if case .unixSocket = context.configuration.address { return -1 }
        return SocketInfo.millisecondsSinceData(of: channel) ?? -1
    }

    /// Whether one more request may go to its handler.
    var mayRun: Bool { context.requestsInFlight.load(ordering: .relaxed) < limits.maximumRequestsInFlight }

    func refusalResponse(_ refusal: HTTPRefusal) -> HTTPResponse { context.refusalResponse(refusal) }

    /// Appends an answer with the current date.
    func render(_ response: HTTPResponse, _ additions: borrowing AnswerAdditions, into output: inout ByteBuffer, _ now: NIODeadline) {
        date.update(now)
        response.render(into: &output, date: date, additions)
    }

    /// The number of a new connection, from which the ids of its requests are made.
    func nextConnectionNumber() -> UInt64 {
        eventLoop.assertInEventLoop()
        return connectionNumbers.next()
    }

    /// An empty buffer, usually one that earlier answers were sent from.
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
