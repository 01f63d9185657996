import EventLoops
package import NIOCore
import Synchronization

/// What callers on one event loop send their commands on: one connection to a single server, or a router to the nodes of a cluster.
///
/// Copying it copies one reference.
package struct RedisConnection: Sendable {
    enum Link: Sendable {
        case node(RedisNodeConnection)
        case router(RedisRouter)
    }

    let link: Link

    init(_ node: RedisNodeConnection) { link = .node(node) }

    init(_ router: RedisRouter) { link = .router(router) }

    package var eventLoop: any EventLoop {
        switch link {
        case .node(let node): node.eventLoop
        case .router(let router): router.eventLoop
        }
    }

    /// Sends one command and hands its outcome to `completion`, on the loop, without a task. Call it on the loop.
    ///
    /// An error reply of the server is a failure with the code `.server`.
    package func send(_ command: RedisCommand, completion: @escaping (Result<RedisValue, RedisError>) -> Void) {
        enqueue(command, .completion(completion))
    }

    /// True while commands can be sent; in a cluster, while every slot's primary can be reached. Readable anywhere.
    package var isConnected: Bool {
        switch link {
        case .node(let node): node.isConnected
        case .router(let router): router.nodes.isComplete.load(ordering: .relaxed)
        }
    }

    /// How many primaries this loop's commands are divided among, and how many of them it is connected to. Readable anywhere.
    var reach: (primaries: Int, reachable: Int) {
        switch link {
        case .node(let node): (1, node.isConnected ? 1 : 0)
        case .router(let router): router.nodes.reach.withLock { ($0.usable.count, $0.usable.count(where: \.self)) }
        }
    }

    /// True while a command with that key can be sent. Readable anywhere.
    package func isConnected(to key: String) -> Bool {
        switch link {
        case .node(let node): node.isConnected
        case .router(let router): router.nodes.reach.withLock { $0.isUsable(RedisSlot(of: key.utf8)) }
        }
    }

    /// How often this loop's connection has become ready; in a cluster, those to all primaries together. Readable anywhere.
    package var connectCount: Int { counters.connects.value }

    /// Whether commands are divided among several primaries by their keys.
    package var isCluster: Bool {
        switch link {
        case .node: false
        case .router(let router): router.configuration.endpoint.isCluster
        }
    }

    /// The queue of the primary that holds `key`: its place among the primaries, and what ``age(at:)`` and ``leastRoundTrip`` say of it
    /// alone. Readable anywhere.
    package func queue(of key: String, at now: NIODeadline) -> (primary: Int, age: Int64, leastRoundTrip: Int64) {
        switch link {
        case .node(let node): (0, node.age(at: now), node.leastRoundTrip)
        case .router(let router):
            router.nodes.reach.withLock { reach in
                guard let place = reach.map?.owner(of: RedisSlot(of: key.utf8)) else { return (0, 0, 0) }
                return (place, reach.primaries[place].age(at: now), reach.primaries[place].leastRoundTrip)
            }
        }
    }

    /// How long the oldest command that a server has not answered has waited, in nanoseconds; 0 without one. Readable anywhere.
    package func age(at now: NIODeadline) -> Int64 {
        switch link {
        case .node(let node): node.age(at: now)
        case .router(let router): router.nodes.reach.withLock { $0.all.reduce(0) { max($0, $1.age(at: now)) } }
        }
    }

    /// The shortest time from a command to its reply in the last five to ten minutes, in nanoseconds: how far away Redis is, without any
    /// queue; in a cluster, the farthest of its primaries; 0 before the first reply. Readable anywhere.
    package var leastRoundTrip: Int64 {
        switch link {
        case .node(let node): node.leastRoundTrip
        case .router(let router): router.nodes.reach.withLock { $0.primaries.reduce(0) { max($0, $1.leastRoundTrip) } }
        }
    }
}

// MARK: - For the client and for the functions that wait

extension RedisConnection {
    /// What callers' commands came to.
    var counters: RedisCounters {
        switch link {
        case .node(let node): node.counters
        case .router(let router): router.counters
        }
    }

    var statistics: RedisStatistics {
        switch link {
        case .node(let node): return node.counters.snapshot
        case .router(let router):
            var own = router.counters.snapshot
            own.reconnects = router.reconnects.value
            return router.nodes.reach.withLock { reach in
                reach.all.reduce(own.adding(reach.former)) { $0.adding($1.counters.snapshot) }
            }
        }
    }

    var nextCommandID: UInt64 {
        switch link {
        case .node(let node): node.nextCommandID
        case .router(let router): router.nextCommandID
        }
    }

    func enqueue(_ command: RedisCommand, _ waiter: RedisWaiter) {
        switch link {
        case .node(let node): node.enqueue(command, waiter)
        case .router(let router): router.enqueue(command, waiter)
        }
    }

    func refusal(ofCommands count: Int) -> RedisError? {
        switch link {
        case .node(let node): node.refusal(ofCommands: count)
        case .router(let router): router.refusal(ofCommands: count)
        }
    }

    func cancel(_ id: UInt64) {
        switch link {
        case .node(let node): node.cancel(id)
        case .router(let router): router.cancel(id)
        }
    }

    func start() {
        switch link {
        case .node(let node): node.start()
        case .router(let router): router.start()
        }
    }

    func reconnect(because error: RedisError) {
        switch link {
        case .node(let node): node.reconnect(because: error)
        case .router(let router): router.reconnect(because: error)
        }
    }

    func close() -> EventLoopFuture<Void> {
        switch link {
        case .node(let node): node.close()
        case .router(let router): router.close()
        }
    }
}
