import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The state of one run, confined to one event loop.
final class OpenLoopRun {
    /// Why a connection ended without an answer that announced it.
    enum End { case closed, malformed }

    /// How long a connection that was refused waits before it is tried again.
    private static let pauseBeforeReconnect = TimeAmount.milliseconds(10)

    private let plan: OpenLoop
    private let loop: any EventLoop
    private let promise: EventLoopPromise<OpenLoopResult>
    private var schedule: ArrivalSchedule
    private var measurements: Measurements
    private var connections: [ObjectIdentifier: LoadConnection] = [:]
    /// The free connections, in the order in which they became free.
    private var free = CircularBuffer<LoadConnection>()
    private var next = 0
    private var inFlight = 0
    private var cpuAtStart = 0.0
    private var hasBegun = false
    private var isOver = false
    private var isAwaitingWake = false
    private var lastWake = NIODeadline.uptimeNanoseconds(0)

    var result: EventLoopFuture<OpenLoopResult> { promise.futureResult }

    init(_ plan: OpenLoop, on loop: any EventLoop) {
        (self.plan, self.loop, promise) = (plan, loop, loop.makePromise())
        schedule = ArrivalSchedule(start: .now(), rate: plan.rate, seconds: plan.seconds)
        measurements = Measurements(start: schedule.start)
    }

    /// Opens the connections; the last of them starts the clock.
    func begin() {
        for _ in 0..<plan.connections { connect() }
    }

    private func start() {
        hasBegun = true
        cpuAtStart = Self.threadCPUSeconds
        schedule = ArrivalSchedule(start: .now() + plan.wakeInterval, rate: plan.rate, seconds: plan.seconds)
        measurements = Measurements(start: schedule.start)
        let deadline = schedule.start + .nanoseconds(Int64(plan.seconds * 1e9)) + plan.patience
        loop.assumeIsolated().scheduleTask(deadline: deadline) { self.finish() }
    }

    private func finish() {
        guard !isOver else { return }
        isOver = true
        let end = NIODeadline.now()
        measurements.errors.unanswered = inFlight + schedule.count - next
        promise.succeed(
            measurements.result(
                plan, start: schedule.start, end: end, due: schedule.count, cpuSeconds: Self.threadCPUSeconds - cpuAtStart))
        abandon()
    }

    private func abandon() {
        isOver = true
        let open = connections.values
        (connections, free) = ([:], [])
        for connection in open { connection.close() }
    }

    private static var threadCPUSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

// MARK: - Sending

extension OpenLoopRun {
    /// Sends due requests while a connection is free.
    private func sendDue() {
        guard hasBegun, !isOver else { return }
        var now = NIODeadline.now()
        while next < schedule.count, let connection = free.first {
            let due = schedule.due(next)
            guard due <= now else { return wake(at: max(due, lastWake + plan.wakeInterval)) }
            free.removeFirst()
            let couldLeave = max(due, connection.freeSince)
            let request = plan.requests[next % plan.requests.count]
            next += 1
            inFlight += 1
            connection.send(request, due: due)
            now = .now()
            measurements.countWrite(late: now - couldLeave)
        }
        if next == schedule.count, inFlight == 0 { finish() }
    }

    /// At most one timer is set. An answer that comes earlier sends what is due, so the timer may then find nothing to send.
    private func wake(at instant: NIODeadline) {
        guard !isAwaitingWake else { return }
        isAwaitingWake = true
        loop.assumeIsolated().scheduleTask(deadline: instant) { [self] in
            (isAwaitingWake, lastWake) = (false, .now())
            sendDue()
        }
    }
}

// MARK: - What connections report

extension OpenLoopRun {
    func connected(_ connection: LoadConnection) {
        guard !isOver else { return connection.close() }
        connections[ObjectIdentifier(connection)] = connection
        free.append(connection)
        if !hasBegun, connections.count == plan.connections { start() }
        sendDue()
    }

    /// - Parameter isFree: false where the answer was the connection's last.
    func answered(status: Int, due: NIODeadline, at now: NIODeadline, by connection: LoadConnection, isFree: Bool) {
        guard !isOver else { return }
        inFlight -= 1
        measurements.countAnswer(
            status: status, after: now - due, at: now, isWarm: due >= schedule.start + .nanoseconds(Int64(plan.warmUpSeconds * 1e9)))
        if isFree { free.append(connection) } else { replace(connection) }
        sendDue()
    }

    func ended(_ connection: LoadConnection, _ reason: End, hadRequest: Bool) {
        guard !isOver else { return }
        switch reason {
        // A connection that is closed while it is free has lost no request.
        case .closed: if hadRequest { measurements.errors.closed += 1 }
        case .malformed: measurements.errors.malformed += 1
        }
        if hadRequest { inFlight -= 1 } else { free.removeAll { $0 === connection } }
        replace(connection)
        sendDue()
    }

    private func replace(_ connection: LoadConnection) {
        connections[ObjectIdentifier(connection)] = nil
        measurements.errors.replaced += 1
        connect()
    }

    private func connect() {
        let run = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            // A fixed size, so that the loop's buffer is reused.
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16_384))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(LoadConnection(run.value)) }
            }
            .connect(host: "127.0.0.1", port: plan.port)
            .assumeIsolated().whenFailure { self.couldNotConnect($0) }
    }

    private func couldNotConnect(_ error: any Error) {
        guard !isOver else { return }
        guard hasBegun else {
            promise.fail(error)
            return abandon()
        }
        measurements.errors.connects += 1
        loop.assumeIsolated().scheduleTask(in: Self.pauseBeforeReconnect) { [self] in
            if !isOver { connect() }
        }
    }
}
