import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Redis

extension ChangingClusters {
    /// A cluster may serve another store: then no node of it runs a command of this client.
    @Suite struct ClusterAdmissionTests {
        private static let script = RedisScript(
            name: "admit",
            source: """
                if not redis.call('GET', KEYS[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
                return redis.call('GET', KEYS[1])
                """, keyCount: 1)

        private static let admission = RedisAdmission(script, keys: ["store"], arguments: ["mine"], renewing: ["mine"]) { reply in
            reply.string == "mine" ? nil : "it serves another store"
        }

        private func withAdmittedClient(
            _ cluster: TemporaryRedisCluster, waitsForConnection: Bool = true, _ body: (RedisClient) async throws -> Void
        ) async throws {
            try await withClient(
                try RedisEndpoint(url: cluster.url), waitsForConnection: waitsForConnection,
                configure: { configuration in
                    configuration.scripts = [Self.script, CountingScripts.addOne]
                    configuration.admission = Self.admission
                    configuration.commandDeadline = .seconds(5)
                }, body)
        }

        private func add(_ client: RedisClient, _ key: String) async -> Outcome {
            await outcome { () async throws(RedisError) in try await client.evaluate(CountingScripts.addOne, keys: [.string(key)]) }
        }

        /// Keys of different nodes; the first is on the node that admits clients.
        private func keys(_ cluster: TemporaryRedisCluster) throws -> [String] {
            let primaries = try cluster.primaries()
            let admitting = try cluster.primary(of: "store")
            return try ([admitting] + primaries.filter { $0 != admitting }).map { node in
                try #require(try (0..<100).map { "k\($0)" }.first { try cluster.primary(of: $0) == node })
            }
        }

        @Test("a cluster that serves no store is named once, and all its nodes are used")
        func admitted() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                try await withAdmittedClient(cluster) { client in
                    for key in try keys(cluster) { #expect(await add(client, key) == .success(.integer(1))) }
                    #expect(try cluster.primary(of: "store").server.cli("GET", "store") == "mine")
                    #expect(try await Self.admission.ask(client) == nil)
                }
            }
        }

        @Test(
            "no node of a cluster that serves another store gets a command, also while the node that could tell is away",
            arguments: [false, true])
        func foreign(isAway: Bool) async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                let keys = try keys(cluster)
                let admitting = try cluster.primary(of: "store")
                let others = try cluster.primaries().filter { $0 != admitting }
                if isAway { admitting.server.kill() } else { try admitting.server.cli("SET", "store", "another") }
                try await withAdmittedClient(cluster, waitsForConnection: false) { client in
                    try await eventually("the other nodes are connected") {
                        try others.allSatisfy { try $0.server.cli("CLIENT", "LIST").contains("name=firstcome") }
                    }
                    for _ in 0..<20 {
                        for key in keys {
                            let error = await #expect(throws: RedisError.self) {
                                _ = try await client.evaluate(CountingScripts.addOne, keys: [.string(key)])
                            }
                            #expect(error?.code == .notConnected)
                            if !isAway { #expect((error?.cause as? RedisError)?.code == .notAdmitted) }
                        }
                        try await Task.sleep(for: .milliseconds(5))
                    }
                    #expect(!client.isConnected)
                    for node in others { #expect(try node.server.cli("DBSIZE") == "0") }
                    if isAway { try await cluster.restart(admitting) } else { try admitting.server.cli("SET", "store", "mine") }
                    try await eventually("connected") { client.isConnected }
                    for key in keys { #expect(await add(client, key) == .success(.integer(1))) }
                }
            }
        }

        @Test("the name's slot moves and its former node dies: the others stay usable, and new connections are admitted by the new node")
        func moved() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                try await withAdmittedClient(cluster) { client in
                    let keys = try keys(cluster)
                    let former = try cluster.primary(of: "store")
                    let later = try cluster.primary(of: keys[1])
                    let third = try cluster.primary(of: keys[2])
                    try await cluster.move(slot: try cluster.slot(of: "store"), to: later)
                    // Both loops learn that the slot has moved.
                    for _ in 0..<20 { _ = try await client.send(RedisCommand("GET", "store")) }
                    former.server.kill()
                    try await eventually("the loss is seen") { !client.isConnected(to: keys[0]) }
                    #expect(await add(client, keys[1]) == .success(.integer(1)))
                    #expect(await add(client, keys[2]) == .success(.integer(1)))
                    try third.server.cli("CLIENT", "KILL", "TYPE", "normal")
                    try await eventually("connected to the third node again") { client.isConnected(to: keys[2]) }
                    #expect(await add(client, keys[2]) == .success(.integer(2)))
                }
            }
        }
    }
}
