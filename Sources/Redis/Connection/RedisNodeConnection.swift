import EventLoops
import Histograms
import NIOCore
import Synchronization

/// One pipelined connection to Redis on one event loop, which reconnects by itself and is shared by all callers there.
///
/// Commands of one loop tick leave in one write. Replies resume their callers on the loop. What a caller can expect:
///
/// - While the very first attempt to connect is under way, commands wait for it, at most until their deadline. At any
///   other time without a connection, they fail at once with `.notConnected`.
/// - A command without a reply at its deadline fails with `.timedOut`; one whose connection breaks with `.unknownOutcome`.
///   Both may have run. Repeatable commands that were sent are sent again by the next connection instead.
/// - Cancelling a caller's task ends its wait with `.cancelled` and changes nothing for the others.
/// - A script that the server does not have any more is sent once more with its source, behind the commands already sent.
///
/// Safety of `@unchecked Sendable`: all mutable state is touched on `eventLoop` only; every entry point asserts it or hops.
final class RedisNodeConnection: @unchecked Sendable {
    let eventLoop: any EventLoop
    /// Its endpoint is a single server.
    let configuration: RedisConfiguration
    let counters = RedisCounters()

    private let connector: RedisConnector
    /// Nil for a connection that is used once.
    private let outageLog: RedisOutageLog?
    private let onReady: @Sendable (RedisNodeConnection) -> Void
    private let onLoss: @Sendable (RedisError) -> Void

    private var machine: RedisConnectionStateMachine<RedisWaiter>
    private var handler: RedisChannelHandler?
    private var attempts = 0
    private var outgoing = ByteBuffer()
    private var isFlushScheduled = false
    /// The time of the first command of this tick; all commands of the tick use it.
    private var tickTime = NIODeadline.distantPast
    private var shortest = ShortestDuration()
    private var timer: Scheduled<Void>?
    private var timerTime = NIODeadline.distantFuture
    private var closePromise: EventLoopPromise<Void>?
    private let readiness = Atomic(false)

    /// A write buffer larger than this is freed after its bytes were written.
    private static let keptBufferBytes = 256 << 10

    init(
        eventLoop: any EventLoop,
        configuration: RedisConfiguration,
        connector: RedisConnector,
        outageLog: RedisOutageLog?,
        onReady: @escaping @Sendable (RedisNodeConnection) -> Void,
        onLoss: @escaping @Sendable (RedisError) -> Void
    ) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.connector = connector
        self.outageLog = outageLog
        self.onReady = onReady
        self.onLoss = onLoss
        machine = RedisConnectionStateMachine(configuration: configuration)
    }

    /// True while commands can be sent. Readable anywhere.
    var isConnected: Bool { readiness.load(ordering: .relaxed) }

    /// True where the last handshake asked for admission and got it, rather than hearing that another node of the cluster decides.
    var isAdmitted: Bool { machine.isAdmitted }

    /// Notes that the server admitted this client after the handshake.
    func noteAdmission() { machine.isAdmitted = true }

    /// How often this connection has become ready. Readable anywhere.
    var connectCount: Int { counters.connects.value }

    /// How long the oldest command without a reply has waited, in nanoseconds; 0 without one. Readable anywhere.
    func age(at now: NIODeadline) -> Int64 {
        let since = counters.oldest.value
        return since == 0 ? 0 : max(0, Int64(now.uptimeNanoseconds) - Int64(since))
    }

    /// The shortest time from a command to its reply in the last five to ten minutes, in nanoseconds: how far away Redis is, without any
    /// queue; 0 before the first reply. Readable anywhere.
    var leastRoundTrip: Int64 { Int64(counters.leastRoundTrip.value) }

    private func notePending() {
        counters.pending.set(machine.pending.count)
        counters.oldest.set(Int(machine.oldest?.uptimeNanoseconds ?? 0))
    }

    /// Sends one command and hands its outcome to `completion`, on the loop, without a task. Call it on the loop.
    ///
    /// An error reply of the server is a failure with the code `.server`.
    func send(_ command: RedisCommand, completion: @escaping (Result<RedisValue, RedisError>) -> Void) {
        enqueue(command, .completion(completion))
    }

    func start() {
        eventLoop.assertInEventLoop()
        guard machine.connect(now: .now()) else { return }
        armTimer()
        attempts += 1
        connector.connect(self).assumeIsolated().whenComplete { [self, attempt = attempts] result in
            switch result {
            case .success(let handler): connected(handler, attempt)
            case .failure(let error) where attempt == attempts:
                disconnect(because: RedisError(.notConnected, "cannot connect to \(configuration.endpoint)", cause: error))
            case .failure: break
            }
        }
    }

    /// Closes a ready connection and connects again; commands that were sent have an unknown outcome.
    func reconnect(because error: RedisError) {
        if machine.isReady { disconnect(because: error) }
    }

    func close() -> EventLoopFuture<Void> {
        eventLoop.assertInEventLoop()
        let promise = closePromise ?? eventLoop.makePromise()
        if closePromise == nil {
            closePromise = promise
            readiness.store(false, ordering: .relaxed)
            switch machine.close(now: .now()) {
            case .drain: armTimer()
            case .closeNow: disconnect(because: RedisError(.closed, "the Redis client is closed"))
            case .none: promise.succeed()
            }
        }
        return promise.futureResult
    }
}

// MARK: - Sending

extension RedisNodeConnection {
    var nextCommandID: UInt64 { machine.nextID }

    /// - Parameter withSource: sends a script with its source instead of its digest.
    func enqueue(_ command: RedisCommand, _ waiter: RedisWaiter, withSource: Bool = false) {
        eventLoop.assertInEventLoop()
        if !isFlushScheduled { tickTime = .now() }
        switch machine.enqueue(command, waiter, withSource: withSource, now: tickTime) {
        case .write:
            command.encode(into: &outgoing, withSource: withSource)
            scheduleFlush()
            counters.sent.add()
            notePending()
            if timerTime > tickTime + configuration.commandDeadline { armTimer() }
        case .hold:
            notePending()
            armTimer()
        case .fail(let error):
            fail(waiter, error)
        }
    }

    func refusal(ofCommands count: Int) -> RedisError? { machine.refusal(ofCommands: count) }

    func cancel(_ id: UInt64) {
        eventLoop.assertInEventLoop()
        machine.cancel(id)?.resume(.failure(RedisError(.cancelled, "the caller was cancelled")))
    }

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        eventLoop.execute { self.flush() }
    }

    private func flush() {
        isFlushScheduled = false
        guard outgoing.readableBytes > 0, let handler else { return }
        machine.flushed(now: tickTime)
        handler.write(outgoing)
        if outgoing.capacity > Self.keptBufferBytes { outgoing = ByteBuffer() } else { outgoing.clear() }
    }

    private func fail(_ waiter: RedisWaiter, _ error: RedisError) {
        switch error.code {
        case .overloaded: counters.overloaded.add()
        case .timedOut: counters.timedOut.add()
        case .unknownOutcome: counters.unknownOutcomes.add()
        default: break
        }
        waiter.resume(.failure(error))
    }
}

// MARK: - Events of the socket

extension RedisNodeConnection {
    func received(_ value: RedisValue) {
        switch machine.received(value) {
        case .deliver(let waiter, let value): waiter.resume(.success(value))
        case .deliverAndDisconnect(let waiter, let value, let error):
            disconnect(because: error)
            waiter.resume(.success(value))
        case .ignore: break
        case .writeWithSource(let command):
            command.encode(into: &outgoing, withSource: true)
            counters.sent.add()
            if !isFlushScheduled { tickTime = .now() }
            scheduleFlush()
        case .ready(let waiting): becameReady(sending: waiting)
        case .disconnect(let error): disconnect(because: error)
        }
    }

    func readCompleted() {
        notePending()
        let now = NIODeadline.now()
        // One sample for each read, because the replies of a read came together.
        if let sentAt = machine.takeSendTimeOfLastReply() {
            let roundTrip = max(0, (now - sentAt).nanoseconds)
            counters.roundTrips.record(Int(roundTrip))
            counters.leastRoundTrip.set(Int(shortest.add(roundTrip, at: now)))
        }
        machine.progressed(now: now)
        if machine.isDrained { disconnect(because: RedisError(.closed, "the Redis client is closed")) }
    }

    /// Sends the handshake; closes the socket if its attempt to connect was given up meanwhile.
    private func connected(_ handler: RedisChannelHandler, _ attempt: Int) {
        guard attempt == attempts, let opening = machine.connected() else { return handler.detach() }
        self.handler = handler
        var buffer = ByteBuffer()
        for command in opening { command.encode(into: &buffer) }
        handler.write(buffer)
    }

    private func becameReady(sending waiting: [RedisConnectionStateMachine<RedisWaiter>.Entry]) {
        outageLog?.ready(ObjectIdentifier(self))
        counters.connects.add()
        shortest = ShortestDuration()
        readiness.store(true, ordering: .relaxed)
        if !waiting.isEmpty {
            for entry in waiting { entry.command.encode(into: &outgoing, withSource: entry.withSource) }
            counters.sent.add(waiting.count)
            tickTime = .now()
            scheduleFlush()
        }
        armTimer()
        onReady(self)
    }

    /// Ends the connection or the attempt to connect: closes the socket, schedules the next attempt and fails the waiting commands.
    func disconnect(because error: RedisError) {
        eventLoop.assertInEventLoop()
        readiness.store(false, ordering: .relaxed)
        handler?.detach()
        handler = nil
        outgoing.clear()
        let outcome = machine.disconnected(error, random: .random(in: 0...1))
        notePending()
        armTimer()
        if let delay = outcome.reconnectAfter {
            outageLog?.lost(ObjectIdentifier(self), because: error)
            eventLoop.assumeIsolated().scheduleTask(in: delay) { self.start() }
            onLoss(error)
        } else {
            closePromise?.succeed()
        }
        for failure in outcome.failures { fail(failure.waiter, failure.error) }
    }
}

// MARK: - Time

extension RedisNodeConnection {
    /// One timer serves all commands: their deadlines are in the order of the queue.
    private func armTimer() {
        guard let next = machine.nextTick else { return }
        guard next < timerTime else { return }
        timer?.cancel()
        timerTime = next
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: next) { self.timerFired() }
    }

    private func timerFired() {
        timer = nil
        timerTime = .distantFuture
        let action = machine.tick(now: .now())
        for failure in action.expired { fail(failure.waiter, failure.error) }
        if let error = action.disconnect { disconnect(because: error) }
        armTimer()
    }
}
