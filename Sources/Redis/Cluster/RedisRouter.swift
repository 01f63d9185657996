import DequeModule
import EventLoops
import NIOCore
import Synchronization

/// The connections of one event loop to the primaries of a cluster, or to the primary that Sentinels name.
///
/// A router sends each command to the node that serves its slot, and follows the nodes when they say that another one does. What a caller
/// can expect is what a single connection promises, and more:
///
/// - A command that did not run, because its slot moved, its node lost its role or the cluster was down, is sent again until its deadline.
///   If it never ran, it fails with `.notConnected` then.
/// - A command whose connection broke before its reply fails with `.unknownOutcome`, unless it is repeatable: then it is sent again to the
///   node that serves its slot by then.
/// - A command whose node cannot be reached when it is sent fails at once with `.notConnected`, also while other nodes can be reached.
/// - Where the client asks for admission, nothing is sent to any node before the node that holds the admission's keys has admitted it.
///
/// Safety of `@unchecked Sendable`: all mutable state is touched on `eventLoop` only, except what is in a mutex or an atomic.
final class RedisRouter: @unchecked Sendable {
    let eventLoop: any EventLoop
    let configuration: RedisConfiguration
    /// Counts what callers see; the nodes' own counters hold the rest.
    let counters = RedisCounters()
    /// Connections made after the first ones to all primaries were ready together.
    let reconnects = LoopCounter()
    let nodes: RedisMembers

    private let topology: RedisTopology
    /// By id, from `firstID`; nil for a command that has its answer. Deadlines never decrease, since all commands have the same time.
    private var pending: Deque<RedisRoutedCommand?> = []
    private var firstID: UInt64 = 0
    private var outstanding = 0
    /// The commands that wait for a node or for the map.
    private var held: [UInt64] = []
    /// The commands that are sent again at their time.
    private var paused: [(id: UInt64, due: NIODeadline)] = []
    private var isDispatchScheduled = false
    private var isPauseScheduled = false
    private var timer: Scheduled<Void>?
    private var closing: EventLoopFuture<Void>?

    init(
        eventLoop: any EventLoop, configuration: RedisConfiguration, connector: RedisConnector, outageLogs: RedisOutageLogs,
        topology: RedisTopology, onReady: @escaping @Sendable (RedisRouter, _ isReconnect: Bool) -> Void,
        onLoss: @escaping @Sendable () -> Void
    ) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.topology = topology
        nodes = RedisMembers(eventLoop: eventLoop, configuration: configuration, connector: connector, outageLogs: outageLogs)
        nodes.onChange = { [unowned self] change in
            switch change {
            case .usable(let isReconnect):
                counters.connects.add()
                if isReconnect { reconnects.add() }
                onReady(self, isReconnect)
            case .lost(let node):
                topology.refresh(doubting: node)
                onLoss()
            case .outdated: topology.refresh()
            }
            scheduleDispatch()
        }
    }

    func start() {
        eventLoop.assertInEventLoop()
        topology.follow(self)
    }

    /// Takes the map over that a node has just told.
    func apply(_ map: RedisSlotMap) {
        if closing == nil, nodes.apply(map) { scheduleDispatch() }
    }

    /// No node could be asked for the map.
    func discoveryFailed(_ error: RedisError) {
        nodes.discoveryError = error
        scheduleDispatch()
    }

    func reconnect(because error: RedisError) { nodes.reconnect(because: error) }

    /// Takes no more commands. Those that wait for a node's reply still get it; the others fail.
    func close() -> EventLoopFuture<Void> {
        eventLoop.assertInEventLoop()
        if let closing { return closing }
        let end = nodes.close()
        closing = end
        let unsent = pending.indices.filter { place in pending[place].map { $0.node == nil } ?? false }.map { firstID + UInt64($0) }
        for id in unsent { answer(id, .failure(Self.closed)) }
        end.assumeIsolated().whenComplete { [self] _ in timer?.cancel() }
        return end
    }

    private static let closed = RedisError(.closed, "the Redis client is closed")
}

// MARK: - Taking and answering commands

extension RedisRouter {
    var nextCommandID: UInt64 { firstID + UInt64(pending.count) }

    func refusal(ofCommands count: Int) -> RedisError? {
        if closing != nil { return Self.closed }
        guard outstanding + count <= configuration.maximumPendingReplies else {
            return RedisError(.overloaded, "\(outstanding) commands wait for Redis already")
        }
        return nil
    }

    /// - Parameter target: the node to send it to; nil where the command's key decides.
    func enqueue(_ command: RedisCommand, _ waiter: RedisWaiter, to target: RedisRoutedCommand.Target? = nil) {
        eventLoop.assertInEventLoop()
        let id = nextCommandID
        if let refusal = refusal(ofCommands: 1) {
            // A refused command consumes an id too, so that cancelling it later cancels no other command.
            pending.append(nil)
            count(refusal)
            return waiter.resume(.failure(refusal))
        }
        let deadline = NIODeadline.now() + configuration.commandDeadline
        pending.append(RedisRoutedCommand(command, to: target, deadline: deadline, waiter: waiter))
        outstanding += 1
        counters.pending.set(outstanding)
        if timer == nil { armTimer(at: deadline) }
        dispatch(id)
    }

    func cancel(_ id: UInt64) {
        eventLoop.assertInEventLoop()
        answer(id, .failure(RedisError(.cancelled, "the caller was cancelled")))
    }

    private func place(of id: UInt64) -> Int? {
        guard id >= firstID, id - firstID < pending.count else { return nil }
        return Int(id - firstID)
    }

    /// Ends a command's wait. A command that has its answer already is left alone.
    private func answer(_ id: UInt64, _ answer: Result<RedisValue, RedisError>) {
        guard let place = place(of: id), let waiter = pending[place]?.waiter else { return }
        pending[place] = nil
        outstanding -= 1
        counters.pending.set(outstanding)
        while let first = pending.first, first == nil {
            pending.removeFirst()
            firstID += 1
        }
        if case .failure(let error) = answer { count(error) }
        waiter.resume(answer)
    }

    private func count(_ error: RedisError) {
        switch error.code {
        case .overloaded: counters.overloaded.add()
        case .timedOut: counters.timedOut.add()
        case .unknownOutcome: counters.unknownOutcomes.add()
        default: break
        }
    }
}

// MARK: - Sending

extension RedisRouter {
    private func dispatch(_ id: UInt64) {
        guard let place = place(of: id), let target = pending[place]?.target else { return }
        switch nodes.place(for: target) {
        case .usable(let member): send(id, to: member)
        case .connecting: held.append(id)
        case .unreachable where pending[place]?.wasSent == true: held.append(id)
        case .unreachable(let error): answer(id, .failure(error))
        case .unassigned(let error):
            topology.refresh()
            if pending[place]?.wasSent == true { held.append(id) } else { answer(id, .failure(error)) }
        }
    }

    private func send(_ id: UInt64, to member: RedisMember, asking: Bool = false) {
        guard let place = place(of: id), let command = pending[place]?.command else { return }
        pending[place]?.sent(to: member.address)
        // Adjacent in the queue of the connection, and so on the wire. A script goes with its source: NOSCRIPT would need ASKING again.
        if asking { member.connection.enqueue(RedisCommand("ASKING"), .nobody) }
        member.connection.enqueue(command, .routed(self, id), withSource: asking)
    }

    /// An answer of the node that a command was sent to.
    func received(_ value: Result<RedisValue, RedisError>, for id: UInt64) {
        guard let place = place(of: id), let step = pending[place]?.step(after: value) else { return }
        if closing != nil, step != .deliver { return answer(id, .failure(Self.closed)) }
        switch step {
        case .deliver: answer(id, value)
        case .fail(let code, let message): answer(id, .failure(RedisError(code, message, cause: pending[place]?.obstacle)))
        case .again:
            held.append(id)
            scheduleDispatch()
        case .later(let pause):
            if pause != RedisRoutedCommand.pauseWhileMoving { topology.refresh() }
            paused.append((id, .now() + pause))
            schedulePaused(in: pause)
        case .moved(let redirection):
            topology.refresh()
            nodes.assign(redirection)
            pending[place]?.target = .slot(redirection.slot)
            dispatch(id)
        case .ask(let redirection):
            pending[place]?.target = .slot(redirection.slot)
            let member = nodes.member(named: redirection.node)
            if member.isUsable { send(id, to: member, asking: true) } else { member.waiting.append(id) }
        }
    }

    /// Looks at the waiting commands again, after the current event has been handled to its end.
    private func scheduleDispatch() {
        guard !isDispatchScheduled else { return }
        isDispatchScheduled = true
        eventLoop.execute { [self] in
            isDispatchScheduled = false
            for (id, member) in nodes.takeWaiting() {
                if member.isUsable { send(id, to: member, asking: true) } else { dispatch(id) }
            }
            let waiting = held
            held.removeAll(keepingCapacity: true)
            for id in waiting { dispatch(id) }
        }
    }

    private func schedulePaused(in pause: TimeAmount) {
        guard !isPauseScheduled else { return }
        isPauseScheduled = true
        eventLoop.assumeIsolated().scheduleTask(in: pause) { [self] in
            isPauseScheduled = false
            let now = NIODeadline.now()
            let due = paused.filter { $0.due <= now }
            paused.removeAll { $0.due <= now }
            for (id, _) in due { dispatch(id) }
            if let next = paused.map(\.due).min() { schedulePaused(in: max(next - now, .milliseconds(1))) }
        }
    }

    private func armTimer(at deadline: NIODeadline) {
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            timer = nil
            let now = NIODeadline.now()
            while let first = pending.first, let command = first, command.deadline <= now {
                // A node that does not answer may have been replaced; its connection can hold for long.
                if let node = command.node { topology.refresh(doubting: node) }
                answer(firstID, .failure(command.errorAtDeadline))
            }
            if let first = pending.first, let command = first { armTimer(at: command.deadline) }
        }
    }
}
