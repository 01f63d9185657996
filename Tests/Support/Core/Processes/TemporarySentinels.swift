/// A Redis primary with replicas and the Sentinels that watch it, all on loopback and without persistence.
///
/// The Sentinels take a primary for dead after 1 s. All servers end with this object or by ``end()``, also when the tests crash.
package final class TemporarySentinels: Sendable {
    package typealias Failure = TemporaryRedis.Failure

    /// The first is the primary of the start.
    package let servers: [TemporaryRedis]
    package let sentinels: [TemporaryRedis]
    /// The name by which the Sentinels know the primary.
    package let name = "shop"

    private init(servers: [TemporaryRedis], sentinels: [TemporaryRedis]) { (self.servers, self.sentinels) = (servers, sentinels) }

    /// Starts all servers and waits until every replica has the primary's data and every Sentinel knows all of them.
    ///
    /// - Parameter arguments: for the primary and its replicas; they override the defaults.
    package static func start(replicas: Int = 1, sentinels count: Int = 3, arguments: [String] = []) async throws -> TemporarySentinels {
        var servers: [TemporaryRedis] = []
        for _ in 0...replicas {
            let following = servers.first?.port.map { ["--replicaof", "127.0.0.1 \($0)"] } ?? []
            servers.append(try await startServer(arguments: ["--repl-diskless-sync-delay", "0"] + following + arguments))
        }
        let lines = """
            sentinel monitor shop 127.0.0.1 \(servers[0].port ?? 0) \(count / 2 + 1)
            sentinel down-after-milliseconds shop 1000
            sentinel failover-timeout shop \(Self.failoverTimeout.components.seconds * 1_000)

            """
        var sentinels: [TemporaryRedis] = []
        for _ in 0..<count { sentinels.append(try await startServer(arguments: ["--sentinel"], configuration: lines)) }
        let set = TemporarySentinels(servers: servers, sentinels: sentinels)
        do {
            try await set.untilKnown()
        } catch {
            set.end()
            throw error
        }
        return set
    }

    private static func startServer(arguments: [String], configuration: String? = nil) async throws -> TemporaryRedis {
        try await TemporaryRedis.retryingOnCollision {
            let port = try TemporaryRedis.freePort()
            return try await offPool { try TemporaryRedis(arguments: arguments, port: port, configuration: configuration) }
        }
    }

    deinit { end() }

    /// Ends all servers and removes their folders.
    package func end() { for server in sentinels + servers { server.end() } }

    /// The URL for clients, with every Sentinel.
    package var url: String { "redis+sentinel://" + sentinels.map { "127.0.0.1:\($0.port ?? 0)" }.joined(separator: ",") + "/\(name)" }

    private func untilKnown() async throws {
        for sentinel in sentinels {
            // Redis 7 lets Sentinels look and tell each other more often, and not take a busy machine for a wrong clock (TILT).
            try sentinel.cli(
                "SENTINEL", "DEBUG", "info-period", "500", "publish-period", "200", "ping-period", "200", "ask-period", "200",
                "min-link-reconnect-period", "500", "tilt-trigger", "60000", "tilt-period", "1000")
        }
        try await eventually("every Sentinel knows all servers") {
            try sentinels.allSatisfy { sentinel in
                let state = try sentinel.cli("SENTINEL", "MASTER", name).split(separator: "\n")
                func value(of field: Substring) -> Int? {
                    state.firstIndex(of: field).flatMap { $0 + 1 < state.count ? Int(state[$0 + 1]) : nil }
                }
                return value(of: "num-slaves") == servers.count - 1 && value(of: "num-other-sentinels") == sentinels.count - 1
            }
        }
        try await untilReplicated()
    }

    /// Waits until every running replica follows the primary.
    package func untilReplicated() async throws {
        try await eventually("every replica has the primary's data") {
            guard let primary = try primary() else { return false }
            return try servers.allSatisfy { server in
                if !server.isAnswering || server === primary { return true }
                let state = try server.cli("INFO", "replication").split(whereSeparator: \.isNewline)
                return state.contains("master_link_status:up") && state.contains("master_port:\(primary.port ?? 0)")
            }
        }
    }

    /// The running server that most of the running Sentinels call the primary and that calls itself so.
    package func primary() throws -> TemporaryRedis? {
        var votes: [Int: Int] = [:]
        for sentinel in sentinels where sentinel.isAnswering {
            let answer = try sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name).split(separator: "\n")
            if let port = answer.last.flatMap({ Int($0) }) { votes[port, default: 0] += 1 }
        }
        guard let port = votes.max(by: { $0.value < $1.value })?.key,
            let server = servers.first(where: { $0.port == port && $0.isAnswering })
        else { return nil }
        return try server.cli("ROLE").hasPrefix("master") ? server : nil
    }

    /// Waits until another server than `old` is the primary.
    package func untilPrimaryMoved(from old: TemporaryRedis) async throws {
        try await eventually("the Sentinels have another primary") { try primary().map { $0 !== old } ?? false }
    }

    /// How long Sentinels try a failover before they give it up and forget that it was asked for.
    private static let failoverTimeout = Duration.seconds(3)

    /// Makes a replica the primary by SENTINEL FAILOVER, and waits until the Sentinels say so.
    ///
    /// Asks again for a failover that was given up: a Sentinel that does not know of it yet makes the new primary a replica again if it
    /// has just done so before.
    package func failOver() async throws {
        guard let old = try primary() else { throw Failure(description: "there is no primary to fail over from") }
        var next = ContinuousClock.now
        try await eventually("the Sentinels have failed over") {
            if let new = try primary(), new !== old { return true }
            guard ContinuousClock.now >= next else { return false }
            if try sentinels.contains(where: { try $0.isAnswering && $0.cli("SENTINEL", "FAILOVER", name) == "OK" }) {
                next = ContinuousClock.now + Self.failoverTimeout * 2
            }
            return false
        }
    }
}

/// Runs `body` with a primary, its replicas and three Sentinels that end with it, also when it throws.
package func withTemporarySentinels<Result>(
    replicas: Int = 1, arguments: [String] = [], isolation: isolated (any Actor)? = #isolation,
    _ body: (TemporarySentinels) async throws -> Result
) async throws -> Result {
    let sentinels = try await TemporarySentinels.start(replicas: replicas, arguments: arguments)
    defer { sentinels.end() }
    return try await body(sentinels)
}
