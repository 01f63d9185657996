/// Where a Redis is: one server, a cluster, or the primary that Sentinels name.
///
/// - `redis://[user:password@]host[:port][/db]`
/// - `unix:///path[?db=N]`
/// - `redis+cluster://[user:password@]host[:port],host[:port]`: any nodes of a Redis Cluster; the others are discovered.
/// - `redis+sentinel://[user:password@]host[:port],host[:port]/name[/db]`: Sentinels, and the name under which they watch the primary.
///
/// `rediss` instead of `redis` means TLS, also to the Sentinels. Users and passwords are percent-decoded; `redis://:password@host` means the
/// server's default user. Sentinels that ask for a password are given the same one.
package struct RedisEndpoint: Sendable, Hashable {
    package enum Address: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
        /// Some nodes of a cluster, primaries or replicas.
        case cluster(seeds: [RedisNodeAddress])
        /// Some Sentinels, and the name of the primary that they watch.
        case sentinel([RedisNodeAddress], primary: String)
    }

    package let address: Address
    package let usesTLS: Bool
    /// Nil for the server's default user.
    package let user: String?
    package let password: String?
    /// The database number that `SELECT` takes.
    package let database: Int

    /// The port where a URL names none (redis.io, "Redis configuration").
    package static let defaultPort = 6379
    /// The port of a Sentinel where a URL names none (redis.io, "High availability with Redis Sentinel").
    package static let defaultSentinelPort = 26379

    init(address: Address, usesTLS: Bool = false, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.address = address
        self.usesTLS = usesTLS
        self.user = user
        self.password = password
        self.database = database
    }

    /// A server on a unix socket, without a password.
    package static func unix(path: String, database: Int = 0) -> RedisEndpoint {
        RedisEndpoint(address: .unix(path: path), database: database)
    }

    /// A server on TCP, without TLS.
    package static func tcp(host: String, port: Int = defaultPort, user: String? = nil, password: String? = nil, database: Int = 0)
        -> RedisEndpoint
    {
        RedisEndpoint(address: .tcp(host: host, port: port), user: user, password: password, database: database)
    }

    /// A cluster on TCP, without TLS, by some of its nodes.
    package static func cluster(seeds: [RedisNodeAddress], user: String? = nil, password: String? = nil) -> RedisEndpoint {
        RedisEndpoint(address: .cluster(seeds: seeds), user: user, password: password)
    }

    /// The primary that Sentinels watch by that name, on TCP, without TLS.
    package static func sentinel(
        _ sentinels: [RedisNodeAddress], primary: String, user: String? = nil, password: String? = nil, database: Int = 0
    ) -> RedisEndpoint {
        RedisEndpoint(address: .sentinel(sentinels, primary: primary), user: user, password: password, database: database)
    }

    /// Whether the keys are divided among the nodes of a cluster.
    package var isCluster: Bool { if case .cluster = address { true } else { false } }

    /// The same credentials and settings for one node of this cluster, or for the primary that a Sentinel named.
    func node(at node: RedisNodeAddress) -> RedisEndpoint {
        RedisEndpoint(
            address: .tcp(host: node.host, port: node.port), usesTLS: usesTLS, user: user, password: password, database: database)
    }

    /// The same credentials and settings for a Sentinel, which has no databases.
    func sentinel(at node: RedisNodeAddress) -> RedisEndpoint {
        RedisEndpoint(address: .tcp(host: node.host, port: node.port), usesTLS: usesTLS, user: user, password: password)
    }

    /// - Parameter password: a password that is not in the URL; the URL may then be `redis://user@host`.
    /// - Throws: `.misconfigured`, with a message that never repeats the URL, since it may hold a password.
    package init(url: String, password: String? = nil) throws(RedisError) {
        guard let separator = url.range(of: "://") else { throw Self.unknownScheme }
        let rest = url[separator.upperBound...]
        switch url[..<separator.lowerBound].lowercased() {
        case "redis": self = try Self.tcp(rest, usesTLS: false, password)
        case "rediss": self = try Self.tcp(rest, usesTLS: true, password)
        case "unix": self = try Self.unix(rest, password)
        case "redis+cluster": self = try Self.cluster(rest, usesTLS: false, password)
        case "rediss+cluster": self = try Self.cluster(rest, usesTLS: true, password)
        case "redis+sentinel": self = try Self.sentinel(rest, usesTLS: false, password)
        case "rediss+sentinel": self = try Self.sentinel(rest, usesTLS: true, password)
        default: throw Self.unknownScheme
        }
    }
}

extension RedisEndpoint: CustomStringConvertible, CustomDebugStringConvertible {
    /// The URL with the password hidden.
    package var description: String {
        let credentials = password == nil ? "" : "\(user ?? ""):***@"
        switch address {
        case .unix(let path):
            return "unix://\(credentials)\(path)" + (database == 0 ? "" : "?db=\(database)")
        case .tcp(let host, let port):
            let host = host.contains(":") ? "[\(host)]" : host
            return "\(scheme)://\(credentials)\(host):\(port)/\(database)"
        case .cluster(let seeds):
            return "\(scheme)+cluster://\(credentials)\(Self.list(seeds))"
        case .sentinel(let sentinels, let primary):
            return "\(scheme)+sentinel://\(credentials)\(Self.list(sentinels))/\(primary)" + (database == 0 ? "" : "/\(database)")
        }
    }

    package var debugDescription: String { description }

    private var scheme: String { usesTLS ? "rediss" : "redis" }

    private static func list(_ nodes: [RedisNodeAddress]) -> String { nodes.map(\.description).joined(separator: ",") }
}

extension RedisEndpoint: CustomReflectable {
    /// Keeps `dump` and `String(reflecting:)` of an enclosing value from showing the password.
    package var customMirror: Mirror { Mirror(self, children: [("url", description)]) }
}

extension String {
    fileprivate func range(of separator: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(separator) { return start..<index(start, offsetBy: separator.count) }
            start = index(after: start)
        }
        return nil
    }
}
