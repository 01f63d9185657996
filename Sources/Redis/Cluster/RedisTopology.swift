import Logging
import NIOCore
import Synchronization

/// Finds the primaries of a cluster, or the one that Sentinels name, for all loops of one client.
///
/// It asks when the client starts, whenever a router asks for it, and regularly. Requests while an answer is awaited are answered together by
/// one more question.
///
/// Safety of `@unchecked Sendable`: all mutable state is touched on `eventLoop` only, except what is in a mutex or an atomic.
final class RedisTopology: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let configuration: RedisConfiguration
    private let connector: RedisConnector
    private let outageLog: RedisOutageLog
    private var routers: [RedisRouter] = []
    private var map: RedisSlotMap?
    /// The node that answered with the map.
    private var answered: RedisNodeAddress?
    /// Nodes that routers lost since the last answer; they are asked last.
    private let doubted = Mutex<Set<RedisNodeAddress>>([])
    private let isRequested = Atomic(false)
    private var isAsking = false
    private var isClosed = false
    private var failures = 0
    private var lastQuestion = NIODeadline.distantPast
    private var next: (at: NIODeadline, task: Scheduled<Void>)?

    /// The least time between two rounds of questions.
    private static let leastInterval = TimeAmount.milliseconds(100)
    /// The most time between two rounds while nobody answers.
    private static let longestBackoff = TimeAmount.seconds(1)

    init(eventLoop: any EventLoop, configuration: RedisConfiguration, connector: RedisConnector, logger: Logger) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.connector = connector
        outageLog = RedisOutageLog(endpoint: configuration.endpoint, logger: logger)
    }

    /// Has this router told of the map, now and whenever it has been read again.
    func follow(_ router: RedisRouter) {
        eventLoop.execute { [self] in
            routers.append(router)
            if let map { router.eventLoop.execute { router.apply(map) } } else { schedule(in: .zero) }
        }
    }

    /// Reads the map again soon. Callable anywhere.
    ///
    /// - Parameter node: a node that cannot be reached, which is better not asked first.
    func refresh(doubting node: RedisNodeAddress? = nil) {
        if let node { doubted.withLock { _ = $0.insert(node) } }
        guard !isRequested.exchange(true, ordering: .relaxed) else { return }
        eventLoop.execute { [self] in if !isAsking { schedule(in: .zero) } }
    }

    func close() -> EventLoopFuture<Void> {
        eventLoop.submit { [self] in
            isClosed = true
            next?.task.cancel()
            routers = []
        }
    }

    private func schedule(in delay: TimeAmount) {
        guard !isClosed else { return }
        let time = max(.now() + delay, lastQuestion + Self.leastInterval)
        if let next {
            guard time < next.at else { return }
            next.task.cancel()
        }
        next = (time, eventLoop.assumeIsolated().scheduleTask(deadline: time) { [self] in ask() })
    }
}

// MARK: - Questions

extension RedisTopology {
    private func ask() {
        next = nil
        guard !isAsking, !isClosed else { return }
        isAsking = true
        isRequested.store(false, ordering: .relaxed)
        lastQuestion = .now()
        ask(addresses[...], RedisError(.notConnected, "no address is known"))
    }

    /// Whom to ask, in this order: primaries, replicas, and what the configuration names; at last those who are doubted.
    private var addresses: [RedisNodeAddress] {
        let doubted = doubted.withLock { $0 }
        let known: [RedisNodeAddress] =
            switch configuration.endpoint.address {
            case .cluster(let seeds): (map?.primaries.shuffled() ?? []) + (map?.replicas.shuffled() ?? []) + seeds
            case .sentinel(let sentinels, _): inTurn(sentinels, beginningAfterLast: !doubted.isEmpty)
            case .tcp, .unix: []
            }
        var seen: Set<RedisNodeAddress> = []
        let distinct = known.filter { seen.insert($0).inserted }
        return distinct.filter { !doubted.contains($0) } + distinct.filter(doubted.contains)
    }

    /// Beginning with the Sentinel that answered last, so that a dead one is not asked every time, or with the next one if the server
    /// that it named cannot be reached: it may have been cut off from the others.
    private func inTurn(_ sentinels: [RedisNodeAddress], beginningAfterLast: Bool) -> [RedisNodeAddress] {
        guard let last = answered.flatMap(sentinels.firstIndex) else { return sentinels }
        let first = (last + (beginningAfterLast ? 1 : 0)) % sentinels.count
        return Array(sentinels[first...] + sentinels[..<first])
    }

    private func ask(_ rest: ArraySlice<RedisNodeAddress>, _ lastError: RedisError) {
        guard let address = rest.first else { return failed(lastError) }
        let question = RedisQuestion(configuration, to: address)
        // A connection for one question: whoever answers today may be gone at the next one.
        let connection = RedisNodeConnection(
            eventLoop: eventLoop, configuration: question.configuration, connector: connector, outageLog: nil, onReady: { _ in },
            onLoss: { _ in })
        connection.start()
        connection.enqueue(
            question.command,
            .completion { [self] reply in
                _ = connection.close()
                do throws(RedisError) {
                    found(try question.map(from: try reply.get()), from: address)
                } catch {
                    ask(rest.dropFirst(), error.code == .notConnected ? error.cause as? RedisError ?? error : error)
                }
            })
    }

    private func found(_ found: RedisSlotMap, from address: RedisNodeAddress) {
        map = found
        answered = address
        doubted.withLock { $0 = [] }
        failures = 0
        outageLog.ready(ObjectIdentifier(self))
        for router in routers { router.eventLoop.execute { router.apply(found) } }
        // A fifth of the interval is random, so that services do not ask in step.
        let interval = configuration.endpoint.isCluster ? configuration.clusterRefreshInterval : configuration.sentinelPollInterval
        finished(next: .nanoseconds(Int64(Double(interval.nanoseconds) * .random(in: 0.8...1))))
    }

    private func failed(_ error: RedisError) {
        failures += 1
        if !isClosed { outageLog.lost(ObjectIdentifier(self), because: error) }
        for router in routers { router.eventLoop.execute { router.discoveryFailed(error) } }
        let backoff = min(Self.leastInterval.nanoseconds << min(failures - 1, 10), Self.longestBackoff.nanoseconds)
        finished(next: .nanoseconds(Int64(Double(backoff) * .random(in: 0.5...1))))
    }

    private func finished(next pause: TimeAmount) {
        isAsking = false
        schedule(in: isRequested.load(ordering: .relaxed) ? .zero : pause)
    }
}

/// What is asked of one node, and how its reply is read.
struct RedisQuestion {
    let configuration: RedisConfiguration
    let command: RedisCommand
    private let address: RedisNodeAddress
    private let primary: String?

    /// How long a node of a cluster may take to be connected and to reply.
    private static let patienceWithNode = TimeAmount.milliseconds(500)
    private static let patienceWithSentinel = TimeAmount.milliseconds(200)

    init(_ client: RedisConfiguration, to address: RedisNodeAddress) {
        var configuration = client
        configuration.endpoint = client.endpoint.node(at: address)
        configuration.requiresPrimary = false
        configuration.scripts = []
        configuration.admission = nil
        self.address = address
        if case .sentinel(_, let primary) = client.endpoint.address {
            configuration.endpoint = client.endpoint.sentinel(at: address)
            configuration.role = .sentinel
            configuration.commandDeadline = Self.patienceWithSentinel
            command = RedisCommand("SENTINEL", "get-master-addr-by-name", .string(primary))
            self.primary = primary
        } else {
            configuration.role = .clusterNode
            configuration.commandDeadline = Self.patienceWithNode
            command = RedisCommand("CLUSTER", "SLOTS")
            self.primary = nil
        }
        self.configuration = configuration
    }

    func map(from reply: RedisValue) throws(RedisError) -> RedisSlotMap {
        guard let primary else { return try RedisSlotMap(slots: reply, from: address) }
        if reply.isNull { throw RedisError(.misconfigured, "the Sentinel at \(address) watches no primary named \(primary)") }
        guard let parts = reply.array, parts.count == 2, let host = parts[0].string, !host.isEmpty, let port = parts[1].integer,
            (1...65535).contains(port)
        else { throw RedisError(.protocolViolation, "the reply of the Sentinel at \(address) is of unknown form") }
        return RedisSlotMap(primary: RedisNodeAddress(host: host, port: Int(port)))
    }
}
