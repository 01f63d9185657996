import Foundation
import NIOCore
import TestSupport

/// The Redis of the services.
enum RedisServers: Sendable {
    case single(TemporaryRedis)
    /// Three primaries, each with a replica.
    case cluster(TemporaryRedisCluster)

    static let arguments = ["--appendonly", "yes", "--appendfsync", "everysec"]

    static func start(asCluster: Bool) async throws -> RedisServers {
        guard asCluster else { return .single(try await offPool { try TemporaryRedis(arguments: arguments, onTCP: true) }) }
        // Nodes tell their ports alone, so that each service goes on through the proxies of its own address.
        return .cluster(
            try await TemporaryRedisCluster.start(arguments: arguments + ["--cluster-preferred-endpoint-type", "unknown-endpoint"]))
    }

    /// Past the proxies.
    var url: String {
        switch self {
        case .single(let server): server.url
        case .cluster(let cluster): cluster.url
        }
    }

    /// Where a service's proxies lead to.
    func addresses() throws -> [SocketAddress] {
        switch self {
        case .single(let server): [try SocketAddress(unixDomainSocketPath: server.socketPath)]
        case .cluster(let cluster): try cluster.nodes.map { try SocketAddress(ipAddress: "127.0.0.1", port: $0.port) }
        }
    }

    /// Makes the proxies of a service.
    ///
    /// - Parameter home: a folder for their sockets.
    func makeProxies(of service: Int, in home: String) async throws -> [FaultProxy] {
        var proxies: [FaultProxy] = []
        for address in try addresses() {
            switch self {
            case .single: proxies.append(try await FaultProxy(to: address, in: home))
            case .cluster: proxies.append(try await FaultProxy(to: address, host: Self.host(of: service), port: address.port ?? 0))
            }
        }
        return proxies
    }

    /// The URL by which a service reaches Redis through its proxies.
    func url(of service: Int, through proxies: [FaultProxy]) -> String {
        switch self {
        case .single: "unix://\(proxies[0].socketPath)"
        case .cluster(let cluster): "redis+cluster://" + cluster.nodes.map { "\(Self.host(of: service)):\($0.port)" }.joined(separator: ",")
        }
    }

    /// An address of the loopback device: the proxies listen on the nodes' ports there.
    private static func host(of service: Int) -> String { "127.0.1.\(service)" }

    /// The servers that hold the keys.
    func primaries() throws -> [TemporaryRedis] {
        switch self {
        case .single(let server): [server]
        case .cluster(let cluster): try cluster.primaries().map(\.server)
        }
    }

    /// The server that holds a key.
    func server(of key: String) throws -> TemporaryRedis {
        switch self {
        case .single(let server): server
        case .cluster(let cluster): try cluster.primary(of: key).server
        }
    }

    /// Ends what a fault may have left: servers that are stopped or down, limits, and replicas without their primary.
    func undoFaults() async throws {
        switch self {
        case .single(let server): server.resume()
        case .cluster(let cluster):
            for node in cluster.nodes {
                node.server.resume()
                if node.server.pid == nil { try await cluster.restart(node) }
                try await offPool {
                    try cluster.restoreReplication(of: node)
                    try node.server.cli("CONFIG", "SET", "maxmemory", "0")
                }
            }
            try await besidePool { try await cluster.untilAgreed() }
        }
    }

    func end() {
        switch self {
        case .single(let server): server.end()
        case .cluster(let cluster): cluster.end()
        }
    }
}

extension Environment {
    /// Runs one command on each server that holds keys, and returns what they print, in lines.
    @discardableResult
    func command(_ words: String...) async throws -> String {
        let servers = redisServers
        return try await offPool { try servers.primaries().map { try $0.cli(words) }.joined(separator: "\n") }
    }

    /// Runs one command on the server that holds a key.
    @discardableResult
    func command(at key: String, _ words: [String]) async throws -> String {
        let servers = redisServers
        return try await offPool { try servers.server(of: key).cli(words) }
    }

    /// The only Redis.
    var redis: TemporaryRedis {
        get throws {
            guard case .single(let server) = redisServers else { throw Fault.NotReached(description: "Redis is a cluster") }
            return server
        }
    }

    var cluster: TemporaryRedisCluster {
        get throws {
            guard case .cluster(let cluster) = redisServers else { throw Fault.NotReached(description: "Redis is no cluster") }
            return cluster
        }
    }
}
