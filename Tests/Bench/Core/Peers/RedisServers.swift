import TestSupport

/// The Redis of a service: one server, or the nodes of a cluster.
struct RedisServers: Sendable {
    let url: String
    /// At least one.
    let nodes: [TemporaryRedis]

    /// As the service sets up its private one.
    private static let arguments = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]

    /// One server.
    ///
    /// - Parameter onTCP: the service reaches it by TCP instead of its unix socket.
    static func one(_ cleanup: CleanupStack, onTCP: Bool = false) async throws -> RedisServers {
        let redis = try await offPool { try TemporaryRedis(arguments: arguments, onTCP: onTCP) }
        cleanup.add { redis.end() }
        return RedisServers(url: redis.port.map { "redis://127.0.0.1:\($0)" } ?? redis.url, nodes: [redis])
    }

    /// Three primaries with a replica each.
    static func cluster(_ cleanup: CleanupStack) async throws -> RedisServers {
        let cluster = try await TemporaryRedisCluster.start(arguments: arguments + ["--cluster-node-timeout", "5000"])
        cleanup.add { cluster.end() }
        return RedisServers(url: cluster.url, nodes: cluster.nodes.map(\.server))
    }

    /// What a key holds; empty where there is none. In a cluster only the node that has the key tells it.
    func value(of key: String) throws -> String? {
        for node in nodes {
            let answer = try node.cli("GET", key)
            if !answer.hasPrefix("MOVED ") { return answer }
        }
        return nil
    }

    /// All of them, in whichever role.
    var watched: Watched { Watched(pids: nodes.compactMap(\.pid)) }
}
