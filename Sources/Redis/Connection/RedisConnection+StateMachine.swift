import DequeModule
import NIOCore

/// Decides what a connection does after each event, without doing it: no I/O, no clock, no randomness of its own.
///
/// Replies carry no id: the nth reply answers the nth command. So a command keeps its place in `pending` until its reply has
/// come. When its caller gives up, only the waiter is removed, and the reply is dropped.
///
/// `Waiter` stands for the caller that waits for the reply. Every waiter passed in comes out exactly once.
struct RedisConnectionStateMachine<Waiter> {
    enum Phase: Equatable {
        case idle
        case connecting
        case handshaking
        case ready
        case backingOff
        case draining
        case closed
    }

    typealias Failure = (waiter: Waiter, error: RedisError)
    typealias ID = UInt64

    struct Entry {
        let id: ID
        let command: RedisCommand
        /// Nil once the caller gave up.
        var waiter: Waiter?
        var deadline: NIODeadline
        /// True once the bytes were written to any connection: from then on the outcome is unknown until a reply comes.
        var wasSent = false
        /// The script is sent with its source, because the server said that it does not know it.
        var withSource = false
        /// It was sent again, behind commands with greater ids.
        var isOutOfOrder = false
    }

    private(set) var phase = Phase.idle
    /// In the order of the bytes on the wire. From front to back, deadlines never decrease; ids do only at entries that are out of order.
    private(set) var pending: Deque<Entry> = []
    /// Entries at the front whose bytes this connection has flushed.
    private(set) var sentCount = 0
    private(set) var nextID: ID = 0

    /// Whether the server itself admitted this client, in the last handshake or after it.
    var isAdmitted = false

    private let limits: RedisConfiguration
    private let handshake: [RedisHandshakeStep]
    private var handshakeRepliesReceived = 0
    /// Entries at the front whose deadline has passed.
    private var expiredCount = 0
    /// Entries that are out of order; while there are none, ids increase from front to back.
    private var outOfOrderCount = 0
    private var hasTriedToConnect = false
    private var failedAttempts = 0
    /// The deadline of the current attempt to connect, or of draining.
    private var phaseDeadline = NIODeadline.distantFuture
    /// When the server last sent something, or when it began to owe a reply.
    private var lastProgress = NIODeadline.distantPast
    private var lastError: RedisError?
    /// The deadline of the command whose reply came last.
    private var deadlineOfLastReply: NIODeadline?

    init(configuration: RedisConfiguration) {
        limits = configuration
        handshake = RedisHandshakeStep.steps(for: configuration)
    }

    var isReady: Bool { phase == .ready }
    /// When the oldest command without a reply was taken; nil without one.
    var oldest: NIODeadline? { pending.isEmpty ? nil : pending[0].deadline - limits.commandDeadline }
    /// True when a closing connection has delivered every reply.
    var isDrained: Bool { phase == .draining && pending.isEmpty }
}

// MARK: - Commands

extension RedisConnectionStateMachine {
    enum EnqueueAction {
        /// Write the command's bytes in this tick.
        case write
        /// Keep it: the first attempt to connect is under way.
        case hold
        case fail(RedisError)
    }

    /// Takes a command. On `.fail`, the caller still has to resume `waiter`.
    ///
    /// - Parameter withSource: the script's source has been sent already.
    mutating func enqueue(_ command: RedisCommand, _ waiter: Waiter, withSource: Bool = false, now: NIODeadline) -> EnqueueAction {
        // A refused command consumes an id too, so that cancelling it later cancels no other command.
        defer { nextID += 1 }
        if let refusal = refusal(ofCommands: 1) { return .fail(refusal) }
        pending.append(
            Entry(id: nextID, command: command, waiter: waiter, deadline: now + limits.commandDeadline, withSource: withSource))
        return phase == .ready ? .write : .hold
    }

    /// Why `count` commands cannot be taken now, or nil where they can.
    func refusal(ofCommands count: Int) -> RedisError? {
        switch phase {
        case .ready: break
        case .idle, .connecting, .handshaking:
            if hasTriedToConnect { return notConnected() }
        case .backingOff: return notConnected()
        case .draining, .closed: return RedisError(.closed, "the Redis client is closed")
        }
        guard pending.count + count <= limits.maximumPendingReplies else {
            return RedisError(.overloaded, "\(pending.count) commands wait for Redis already")
        }
        return nil
    }

    /// Notes that the bytes of all pending commands were written to the socket.
    mutating func flushed(now: NIODeadline) {
        if sentCount == 0 { lastProgress = now }
        sentCount = pending.count
    }

    /// Removes and returns the waiter of a command whose caller gave up; the command keeps its place in the queue.
    mutating func cancel(_ id: ID) -> Waiter? {
        guard let index = index(of: id) else { return nil }
        defer { pending[index].waiter = nil }
        return pending[index].waiter
    }

    /// The place of a command in the queue. The search is linear only while a script is being sent again with its source.
    private func index(of id: ID) -> Int? {
        guard outOfOrderCount == 0 else { return pending.firstIndex { $0.id == id } }
        guard let first = pending.first?.id, id >= first else { return nil }
        // Ids have gaps only after a connection broke.
        let guess = Int(clamping: id - first)
        if guess < pending.count, pending[guess].id == id { return guess }
        var (low, high) = (0, pending.count)
        while low < high {
            let middle = (low + high) / 2
            if pending[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < pending.count && pending[low].id == id ? low : nil
    }

    private func notConnected() -> RedisError {
        RedisError(.notConnected, "there is no connection to \(limits.endpoint)", cause: lastError)
    }
}

// MARK: - Replies

extension RedisConnectionStateMachine {
    enum ReceiveAction {
        case deliver(Waiter, RedisValue)
        /// The server has become a replica: deliver its refusal, close the connection and report `disconnected` with this error.
        case deliverAndDisconnect(Waiter, RedisValue, RedisError)
        /// Nobody waits for this reply any more, or it belongs to the handshake.
        case ignore
        /// The server does not have the script any more: write the command again, with the source.
        case writeWithSource(RedisCommand)
        /// The handshake is done: write these, which waited for it.
        case ready([Entry])
        /// Close the connection and report `disconnected` with this error.
        case disconnect(RedisError)
    }

    mutating func received(_ value: RedisValue) -> ReceiveAction {
        switch phase {
        case .ready, .draining: return receivedReply(value)
        case .handshaking: return receivedHandshakeReply(value)
        case .idle, .connecting, .backingOff, .closed: return .ignore
        }
    }

    /// Notes that the server has sent something.
    mutating func progressed(now: NIODeadline) { lastProgress = now }

    /// When the command whose reply came last was sent; nil where no reply has come since the last call.
    mutating func takeSendTimeOfLastReply() -> NIODeadline? {
        defer { deadlineOfLastReply = nil }
        return deadlineOfLastReply.map { $0 - limits.commandDeadline }
    }

    private mutating func receivedReply(_ value: RedisValue) -> ReceiveAction {
        guard sentCount > 0 else {
            return .disconnect(RedisError(.protocolViolation, "the server sent a reply that belongs to no command"))
        }
        var entry = pending.removeFirst()
        deadlineOfLastReply = entry.deadline
        sentCount -= 1
        if expiredCount > 0 { expiredCount -= 1 }
        if entry.isOutOfOrder { outOfOrderCount -= 1 }
        // A Redis that becomes a replica keeps its clients' connections, and would go on answering scripts that only read.
        if case .error(let error) = value, limits.requiresPrimary, phase == .ready, error.isFromReplica {
            let reason = RedisError(.notPrimary, "it is a replica")
            guard let waiter = entry.waiter else { return .disconnect(reason) }
            return .deliverAndDisconnect(waiter, value, reason)
        }
        guard let waiter = entry.waiter else { return .ignore }
        if case .error(let error) = value, error.kind == .noScript, entry.command.script != nil, !entry.withSource {
            // It goes to the back, since replies come in the order of the bytes; the order of deadlines must hold there too.
            entry.withSource = true
            entry.isOutOfOrder = !pending.isEmpty
            if entry.isOutOfOrder { outOfOrderCount += 1 }
            if let last = pending.last { entry.deadline = max(entry.deadline, last.deadline) }
            pending.append(entry)
            return .writeWithSource(entry.command)
        }
        return .deliver(waiter, value)
    }

    private mutating func receivedHandshakeReply(_ value: RedisValue) -> ReceiveAction {
        let step = handshake[handshakeRepliesReceived]
        if let error = step.failure(given: value) { return .disconnect(error) }
        if case .admit = step.purpose { isAdmitted = !value.isMoved }
        handshakeRepliesReceived += 1
        return handshakeRepliesReceived == handshake.count ? .ready(becomeReady()) : .ignore
    }

    private mutating func becomeReady() -> [Entry] {
        phase = .ready
        phaseDeadline = .distantFuture
        failedAttempts = 0
        lastError = nil
        pending.removeAll { $0.waiter == nil }
        outOfOrderCount = pending.count { $0.isOutOfOrder }
        expiredCount = 0
        sentCount = 0
        return Array(pending)
    }
}

// MARK: - Connecting and losing the connection

extension RedisConnectionStateMachine {
    /// What is left to do after a connection, or an attempt at one, ended.
    struct Disconnected {
        var failures: [Failure]
        /// Nil when the connection is closed for good.
        var reconnectAfter: TimeAmount?
    }

    /// Begins an attempt to connect. False where the connection was closed meanwhile.
    mutating func connect(now: NIODeadline) -> Bool {
        guard phase == .idle || phase == .backingOff else { return false }
        phase = .connecting
        phaseDeadline = now + limits.connectTimeout
        return true
    }

    /// The socket is connected: these commands are the handshake, to be sent in one write. Nil where the attempt was given up.
    mutating func connected() -> [RedisCommand]? {
        guard phase == .connecting else { return nil }
        phase = .handshaking
        handshakeRepliesReceived = 0
        isAdmitted = false
        return handshake.map(\.command)
    }

    /// The connection ended, or could not be made. What was sent has an unknown outcome, unless it may be sent again.
    ///
    /// - Parameter random: 0 to 1, for the backoff's jitter.
    mutating func disconnected(_ error: RedisError, random: Double) -> Disconnected {
        let wasReady = phase == .ready
        hasTriedToConnect = true
        lastError = error
        markSent()
        // Clear it, or the expired deadline fires forever.
        phaseDeadline = .distantFuture
        guard phase != .draining, phase != .closed else {
            phase = .closed
            return Disconnected(failures: failPending(keepingRepeatable: false, because: error), reconnectAfter: nil)
        }
        phase = .backingOff
        let failures = failPending(keepingRepeatable: limits.role == .alone, because: error)
        if !wasReady { failedAttempts += 1 }
        return Disconnected(failures: failures, reconnectAfter: backoff(random: random))
    }

    private mutating func markSent() {
        for index in 0..<sentCount { pending[index].wasSent = true }
        sentCount = 0
        expiredCount = 0
    }

    private mutating func failPending(keepingRepeatable: Bool, because error: RedisError) -> [Failure] {
        var failures: [Failure] = []
        var kept: Deque<Entry> = []
        for var entry in pending {
            guard let waiter = entry.waiter else { continue }
            if keepingRepeatable, entry.wasSent, entry.command.isRepeatable {
                entry.withSource = false
                kept.append(entry)
            } else if entry.wasSent {
                failures.append((waiter, RedisError(.unknownOutcome, "the connection to Redis broke before the reply", cause: error)))
            } else if phase == .closed {
                failures.append((waiter, RedisError(.closed, "the Redis client is closed")))
            } else {
                failures.append((waiter, notConnected()))
            }
        }
        pending = kept
        outOfOrderCount = kept.count { $0.isOutOfOrder }
        return failures
    }

    /// Half of the wait is fixed and half random, so that many clients do not come back in the same instant.
    private func backoff(random: Double) -> TimeAmount {
        let doublings = min(max(failedAttempts - 1, 0), 20)
        let (grown, overflow) = limits.minimumBackoff.nanoseconds.multipliedReportingOverflow(by: 1 << doublings)
        let longest = overflow ? limits.maximumBackoff.nanoseconds : min(grown, limits.maximumBackoff.nanoseconds)
        return .nanoseconds(longest / 2 + Int64(Double(longest / 2) * random))
    }
}

// MARK: - Time

extension RedisConnectionStateMachine {
    struct TickAction {
        var expired: [Failure] = []
        /// Close the connection and report `disconnected` with this error.
        var disconnect: RedisError?
        var nextTick: NIODeadline?
    }

    /// Fails the commands whose deadline has passed, and disconnects from a server that sends nothing for too long.
    mutating func tick(now: NIODeadline) -> TickAction {
        var action = TickAction()
        action.expired = expire(now: now)
        if phaseDeadline <= now, phase != .idle, phase != .backingOff, phase != .closed {
            action.disconnect = RedisError(.timedOut, "\(limits.endpoint) did not finish \(phase) in time")
        } else if let stall = stallDeadline, stall <= now {
            action.disconnect = RedisError(.timedOut, "\(limits.endpoint) owes replies and has sent nothing for too long")
        }
        action.nextTick = nextTick
        return action
    }

    /// The next instant at which `tick` has something to do; nil where there is none.
    var nextTick: NIODeadline? {
        var next = phaseDeadline
        if expiredCount < pending.count { next = min(next, pending[expiredCount].deadline) }
        if let stallDeadline { next = min(next, stallDeadline) }
        return next == .distantFuture ? nil : next
    }

    private var stallDeadline: NIODeadline? {
        sentCount > 0 ? lastProgress + max(limits.stallTimeout, limits.commandDeadline) : nil
    }

    private mutating func expire(now: NIODeadline) -> [Failure] {
        var expired: [Failure] = []
        while expiredCount < pending.count, pending[expiredCount].deadline <= now {
            let wasSent = pending[expiredCount].wasSent || expiredCount < sentCount
            if let waiter = pending[expiredCount].waiter {
                let error = wasSent ? RedisError(.timedOut, "no reply from Redis within the deadline") : notConnected()
                expired.append((waiter, error))
                pending[expiredCount].waiter = nil
            }
            expiredCount += 1
        }
        return expired
    }
}

// MARK: - Closing

extension RedisConnectionStateMachine {
    enum CloseAction {
        /// Replies are due: wait for them, at most `drainTimeout`.
        case drain
        /// Close the socket, if there is one, and report `disconnected`.
        case closeNow
        case none
    }

    /// Takes no more commands; those already sent still get their replies.
    mutating func close(now: NIODeadline) -> CloseAction {
        switch phase {
        case .ready where !pending.isEmpty:
            phase = .draining
            phaseDeadline = now + limits.drainTimeout
            return .drain
        case .idle, .connecting, .handshaking, .ready, .backingOff:
            phase = .closed
            phaseDeadline = .distantFuture
            return .closeNow
        case .draining, .closed: return .none
        }
    }
}
