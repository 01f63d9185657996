import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Redis

extension SteadyClusters {
    /// How a client comes to know the nodes of a cluster, and what it says of them.
    @Suite struct ClusterNodesTests {
        @Test("nodes that announce names are reached by their names, also when a reply redirects to one")
        func names() async throws {
            let arguments = ["--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname"]
            try await withTemporaryRedisCluster(replicasEach: 0, arguments: arguments) { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url)) { client in
                    #expect(Set(try await client.primaries().map(\.description)) == Set(cluster.nodes.map { "localhost:\($0.port)" }))
                    let slot = try cluster.slot(of: "k")
                    let source = try cluster.primary(ofSlot: slot)
                    _ = try await client.send(RedisCommand("SET", "k", "v"))
                    try await cluster.move(slot: slot, to: try #require(try cluster.primaries().first { $0 != source }))
                    #expect(try await client.send(RedisCommand("GET", "k")).string == "v")
                }
            }
        }

        @Test("nodes that do not know their own address are found at the host that was asked")
        func unknownEndpoint() async throws {
            let arguments = ["--cluster-preferred-endpoint-type", "unknown-endpoint"]
            try await withTemporaryRedisCluster(replicasEach: 0, arguments: arguments) { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url)) { client in
                    for number in 0..<50 { _ = try await client.send(RedisCommand("SET", "\(number)", "x")) }
                    let slot = try cluster.slot(of: "k")
                    let source = try cluster.primary(ofSlot: slot)
                    _ = try await client.send(RedisCommand("SET", "k", "v"))
                    try await cluster.move(slot: slot, to: try #require(try cluster.primaries().first { $0 != source }))
                    #expect(try await client.send(RedisCommand("GET", "k")).string == "v")
                }
            }
        }

        @Test("a password and a user open every node, and a wrong password is the reason that there is no connection")
        func password() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                for node in cluster.nodes { try node.server.cli("ACL", "SETUSER", "ann", "on", ">pass", "~*", "+@all") }
                let seeds = cluster.url.dropFirst("redis+cluster://".count)
                try await withClient(try RedisEndpoint(url: "redis+cluster://ann:pass@\(seeds)")) { client in
                    for (_, answer) in try await client.sendToEveryPrimary(RedisCommand("ACL", "WHOAMI")) {
                        #expect(try answer.get().string == "ann")
                    }
                }
                try await withClient(try RedisEndpoint(url: "redis+cluster://ann:wrong@\(seeds)"), waitsForConnection: false) { client in
                    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
                    #expect(error?.code == .notConnected)
                    #expect((error?.cause as? RedisError)?.code == .server(.wrongPassword))
                    #expect(error.map { $0.reason.contains("wrong@") } == false)
                }
            }
        }

        @Test("a server that is not part of a cluster is named as the reason")
        func noCluster() async throws {
            try await withTemporaryRedis(onTCP: true) { redis in
                let endpoint = RedisEndpoint.cluster(seeds: [RedisNodeAddress(host: "127.0.0.1", port: redis.port ?? 0)])
                try await withClient(endpoint, waitsForConnection: false) { client in
                    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
                    #expect(error?.code == .notConnected)
                    #expect(error?.reason.contains("cluster support disabled") == true)
                }
            }
        }

        @Test("asking for the slots again and again changes nothing while the cluster does not change")
        func refreshes() async throws {
            try await withTemporaryRedisCluster { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: { $0.clusterRefreshInterval = .milliseconds(50) }) {
                    client in
                    let before = client.firstConnection.connectCount
                    func questions() throws -> Int { try cluster.nodes.reduce(0) { $0 + (try $1.server.calls(of: "cluster|slots")) } }
                    let asked = try questions()
                    try await eventually("asked ten times") { try questions() > asked + 10 }
                    #expect(client.firstConnection.connectCount == before)
                    #expect(client.statistics.reconnects == 0)
                }
            }
        }

        @Test("a failover is one connect event per loop, and one line when the node is gone and one when it is not needed any more")
        func lines() async throws {
            try await withTemporaryRedisCluster { cluster in
                let lines = LogLines()
                var configuration = RedisConfiguration(endpoint: try RedisEndpoint(url: cluster.url))
                configuration.connectTimeout = .seconds(30)
                let group = MultiThreadedEventLoopGroup.singleton
                let client = RedisClient(configuration: configuration, eventLoopGroup: group, logger: lines.logger())
                client.start()
                try await eventually("connected") { client.isConnected }
                let before = client.statistics.reconnects
                let victim = try cluster.primary(of: "a")
                victim.server.kill()
                try await eventually("the replica has taken over") { try cluster.currentPrimary(ofSlot: try cluster.slot(of: "a")) != nil }
                try await eventually("connected again") { client.isConnected }
                #expect(before == 0 && client.statistics.reconnects == Array(group.makeIterator()).count)
                let gone = lines.at(.warning).filter { $0.contains("127.0.0.1:\(victim.port)") }
                #expect(gone.count == 1 && lines.at(.warning).count == 1, "\(lines.all)")
                #expect(lines.at(.notice).count { $0.contains("127.0.0.1:\(victim.port)") && $0.contains("not needed any more") } == 1)
                await client.close()
            }
        }
    }
}
