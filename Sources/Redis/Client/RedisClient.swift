import EventLoops
package import Logging
package import NIOCore

/// A Redis client with one connection per event loop, or one per event loop and primary of a cluster.
///
/// `start()` opens the connections and `close()` closes them; call `close()` before you release the client.
package final class RedisClient: Sendable {
    /// A connection has become ready, for the first time or again. In a cluster, each loop has a connection to each primary.
    package struct ConnectEvent: Sendable {
        package let eventLoop: any EventLoop
        /// How often this loop's connections have become ready, from 1.
        package let connectCount: Int
        /// False for the first connection of a loop; in a cluster, until the first connections to all primaries were ready together.
        package let isReconnect: Bool
    }

    package let configuration: RedisConfiguration
    private let eventLoopGroup: any EventLoopGroup
    private let connections: [RedisConnection]
    private let connectionsByLoop: [ObjectIdentifier: RedisConnection]
    private let events: RedisConnectEvents
    /// Nil for a single server.
    private let topology: RedisTopology?

    package convenience init(configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, logger: Logger) {
        let connector = RedisConnector(configuration: configuration)
        self.init(configuration: configuration, eventLoopGroup: eventLoopGroup, connector: connector, logger: logger)
    }

    init(configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, connector: RedisConnector, logger: Logger) {
        let events = RedisConnectEvents()
        self.configuration = configuration
        self.eventLoopGroup = eventLoopGroup
        self.events = events
        switch configuration.endpoint.address {
        case .tcp, .unix:
            topology = nil
            let outageLog = RedisOutageLog(endpoint: configuration.endpoint, logger: logger)
            connections = eventLoopGroup.makeIterator().map { loop in
                RedisConnection(
                    RedisNodeConnection(
                        eventLoop: loop, configuration: configuration, connector: connector, outageLog: outageLog,
                        onReady: { events.ready(RedisConnection($0), isReconnect: $0.counters.connects.value > 1) },
                        onLoss: { _ in events.lost() }))
            }
        case .cluster, .sentinel:
            let topology = RedisTopology(
                eventLoop: eventLoopGroup.any(), configuration: configuration, connector: connector, logger: logger)
            self.topology = topology
            let outageLogs = RedisOutageLogs(logger: logger)
            connections = eventLoopGroup.makeIterator().map { loop in
                RedisConnection(
                    RedisRouter(
                        eventLoop: loop, configuration: configuration, connector: connector, outageLogs: outageLogs, topology: topology,
                        onReady: { events.ready(RedisConnection($0), isReconnect: $1) }, onLoss: { events.lost() }))
            }
        }
        connectionsByLoop = Dictionary(uniqueKeysWithValues: connections.map { (ObjectIdentifier($0.eventLoop), $0) })
    }

    /// Begins to connect on every loop. Commands may be sent right away: they wait for the first attempt.
    package func start() {
        for connection in connections { connection.eventLoop.execute { connection.start() } }
    }

    /// The connection of `eventLoop`, which has to be one of the client's group.
    package func connection(on eventLoop: any EventLoop) -> RedisConnection {
        guard let connection = connectionsByLoop[ObjectIdentifier(eventLoop)] else {
            preconditionFailure("the event loop is not one of this client's")
        }
        return connection
    }

    /// True while every loop's connection is ready; in a cluster, those to the primaries of all slots.
    package var isConnected: Bool { connections.allSatisfy(\.isConnected) }

    /// True while every loop can reach the primary that holds `key`.
    package func isConnected(to key: String) -> Bool { connections.allSatisfy { $0.isConnected(to: key) } }

    /// How many primaries the keys are divided among, and to how many of them every loop is connected. One without a cluster; none before
    /// the nodes of a cluster are known.
    package var reach: (primaries: Int, reachable: Int) {
        connections.map(\.reach).reduce(connections[0].reach) { (max($0.primaries, $1.primaries), min($0.reachable, $1.reachable)) }
    }

    /// What all connections have done together.
    package var statistics: RedisStatistics {
        connections.map(\.statistics).reduce(RedisStatistics(), +)
    }

    /// A stream of the connects from now on. It buffers only the latest event, so a slow consumer misses earlier ones.
    package func connectEvents() -> AsyncStream<ConnectEvent> { events.stream() }

    /// Calls `callback` on the connection's loop each time a ready connection is lost or an attempt to connect fails; it must not block.
    package func onDisconnect(_ callback: @escaping @Sendable () -> Void) { events.onLoss(callback) }

    /// Closes every ready connection with this error and connects again, for example if the server turned out to serve another store.
    package func reconnect(because error: RedisError) {
        for connection in connections { connection.eventLoop.execute { connection.reconnect(because: error) } }
    }

    /// Refuses new commands, waits at most `drainTimeout` for the replies that are due, and closes all connections.
    package func close() async {
        await withTaskGroup { group in
            for connection in connections {
                group.addTask {
                    // The future of a close never fails.
                    try? await connection.eventLoop.flatSubmit { connection.close() }.get()
                }
            }
        }
        try? await topology?.close().get()
        events.finish()
    }
}

/// Sends on the connection of the current event loop or, from elsewhere, on any connection.
extension RedisClient {
    var anyConnection: RedisConnection { connection(on: eventLoopGroup.any()) }

    /// See `RedisConnection.send`.
    package nonisolated(nonsending) func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        try await anyConnection.send(command)
    }

    /// See `RedisConnection.evaluate`.
    package nonisolated(nonsending) func evaluate(
        _ script: RedisScript,
        keys: [RedisArgument],
        arguments: [RedisArgument] = []
    ) async throws(RedisError) -> RedisValue {
        try await anyConnection.evaluate(script, keys: keys, arguments: arguments)
    }

    /// See `RedisConnection.pipeline`.
    package nonisolated(nonsending) func pipeline(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisValue] {
        try await anyConnection.pipeline(commands)
    }

    /// See `RedisConnection.outcomes`.
    package nonisolated(nonsending) func outcomes(of commands: [RedisCommand]) async -> [Result<RedisValue, RedisError>] {
        await anyConnection.outcomes(of: commands)
    }
}
