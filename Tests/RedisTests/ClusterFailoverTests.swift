import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Redis

extension ChangingClusters {
    /// Nodes that die, lose their role, their data or their network.
    @Suite struct ClusterFailoverTests {
        private static let configure: @Sendable (inout RedisConfiguration) -> Void = { configuration in
            configuration.scripts = [CountingScripts.addBoth]
            configuration.commandDeadline = .seconds(10)
        }

        @Test("a failover by command loses no count and no caller hears an error")
        func failover() async throws {
            try await withTemporaryRedisCluster { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: Self.configure) { client in
                    let load = Load(client)
                    for number in 0..<24 { load.start("{\(number)}", "{\(number)}:second") }
                    try await eventually("the load runs") { load.count > 500 }
                    let slot = try cluster.slot(of: "{0}")
                    for _ in 0..<2 {
                        let primary = try cluster.primary(ofSlot: slot)
                        try await cluster.failOver(to: try cluster.replica(of: primary))
                        let before = load.count
                        try await eventually("the load runs on") { load.count > before + 500 }
                        try await cluster.untilAgreed()
                    }
                    for (key, count) in try await load.end() {
                        #expect(try await client.send(RedisCommand("GET", .string(key))).integer == count, "\(key)")
                    }
                    #expect(load.errors == [])
                }
            }
        }

        @Test("after the SIGKILL of a primary its slots answer within 5 s, the others all the time, and nothing is answered wrongly")
        func killed() async throws {
            try await withTemporaryRedisCluster { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: { $0.scripts = [CountingScripts.addBoth] }) { client in
                    var events = client.connectEvents().makeAsyncIterator()
                    let victim = try cluster.primary(of: "{a}")
                    let other = try #require(try ["{b}", "{c}", "{d}", "{e}"].first { try cluster.primary(of: $0) != victim })
                    let load = Load(client)
                    load.start(other, other + ":second")
                    try await eventually("the load runs") { load.count > 50 }
                    victim.server.kill()
                    try await eventually("the loss is seen") { !client.isConnected }
                    #expect(client.isConnected(to: other) && !client.isConnected(to: "{a}"))
                    let start = ContinuousClock.now
                    var codes: Set<RedisError.Code> = []
                    while true {
                        do throws(RedisError) {
                            _ = try await client.send(RedisCommand("INCR", "{a}"))
                            break
                        } catch {
                            codes.insert(error.code)
                        }
                        try await Task.sleep(for: .milliseconds(10))
                    }
                    #expect(start.duration(to: .now) < .seconds(5))
                    // The deadline is 30 s, so a command that waited for the new primary would be answered.
                    #expect(codes == [.notConnected], "commands for a node that is known to be away fail at once")
                    let event = await events.next()
                    #expect(event?.isReconnect == true)
                    try await eventually("all slots can be reached") { client.isConnected }
                    #expect(client.isConnected(to: "{a}"))
                    for (key, count) in try await load.end() {
                        #expect(try await client.send(RedisCommand("GET", .string(key))).integer == count)
                    }
                    #expect(load.errors == [])
                }
            }
        }

        @Test("a repeatable command whose node is killed is answered by the node that serves its slot then")
        func repeatable() async throws {
            try await withTemporaryRedisCluster { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: Self.configure) { client in
                    let victim = try cluster.primary(of: "k")
                    _ = try await client.send(RedisCommand("SET", "k", "v"))
                    #expect(try victim.server.isReplicated())
                    victim.server.pause()
                    async let read = client.send(RedisCommand("GET", "k", isRepeatable: true))
                    async let write = outcome { () async throws(RedisError) in try await client.send(RedisCommand("INCR", "k")) }
                    try await eventually("both are sent") { client.statistics.pending == 2 }
                    victim.server.kill()
                    #expect(await write == .failure(.unknownOutcome))
                    #expect(try await read.string == "v")
                }
            }
        }

        @Test("a client that starts before its cluster finds it when it comes, and says why it had no connection")
        func startsFirst() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                for node in cluster.nodes { node.server.kill() }
                let lines = LogLines()
                let endpoint = try RedisEndpoint(url: cluster.url)
                try await withClient(endpoint, waitsForConnection: false, logger: lines.logger()) { client in
                    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("GET", "k")) }
                    #expect(error?.code == .notConnected && error?.cause != nil)
                    #expect(
                        await outcome { () async throws(RedisError) in try await client.send(RedisCommand("PING")) }
                            == .failure(.notConnected))
                    await #expect(throws: RedisError.self) { try await client.primaries() }
                    #expect(!client.isConnected && !client.isConnected(to: "k"))
                    try await eventually("asked in vain several times") { lines.all.count { $0.contains("no connection to Redis") } > 3 }
                    for node in cluster.nodes { try await cluster.restart(node) }
                    try await eventually("connected") { client.isConnected }
                    #expect(try await client.send(RedisCommand("SET", "k", "v")) == .simple("OK"))
                }
            }
        }

        @Test("a node that has lost its data is asked like before, since its connections hold")
        func flushed() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url)) { client in
                    let keys = (0..<30).map { "\($0)" }
                    for key in keys { _ = try await client.send(RedisCommand("SET", .string(key), "x")) }
                    let node = try cluster.primaries()[0]
                    try cluster.flush(node)
                    for key in keys {
                        let isLost = try cluster.primary(of: key) == node
                        #expect(try await client.send(RedisCommand("GET", .string(key))).isNull == isLost)
                    }
                    #expect(client.statistics.reconnects == 0)
                }
            }
        }

        @Test("a node cut off from its clients leaves the others' slots usable, and its own come back with it")
        func cutOff() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0, behindProxies: true) { cluster in
                try await withClient(
                    try RedisEndpoint(url: cluster.url),
                    configure: { configuration in
                        configuration.commandDeadline = .milliseconds(300)
                        configuration.stallTimeout = .milliseconds(500)
                        configuration.connectTimeout = .milliseconds(500)
                    }
                ) { client in
                    let node = try cluster.primary(of: "a")
                    let other = try #require(try ["b", "c", "d", "e"].first { try cluster.primary(of: $0) != node })
                    _ = try await client.send(RedisCommand("SET", "a", "1"))
                    // Only the loop that sends learns that nothing comes back.
                    let connection = client.firstConnection
                    let read = RedisCommand("GET", "a")
                    node.proxy?.hold()
                    #expect(await outcome { () async throws(RedisError) in try await connection.send(read) } == .failure(.timedOut))
                    try await eventually("the silent connection is given up") { !connection.isConnected(to: "a") }
                    #expect(await outcome { () async throws(RedisError) in try await connection.send(read) } == .failure(.notConnected))
                    #expect(!connection.isConnected && connection.isConnected(to: other))
                    for _ in 0..<20 { #expect(try await connection.send(RedisCommand("INCR", .string(other))).integer != nil) }
                    node.proxy?.release()
                    try await eventually("connected again") { client.isConnected }
                    #expect(try await client.send(RedisCommand("GET", "a")).string == "1")
                }
            }
        }

        @Test("a primary that is stopped without closing its connections is replaced when its silence is noticed")
        func stopped() async throws {
            try await withTemporaryRedisCluster { cluster in
                try await withClient(
                    try RedisEndpoint(url: cluster.url),
                    configure: { configuration in
                        configuration.commandDeadline = .milliseconds(500)
                        configuration.stallTimeout = .minutes(5)
                        configuration.clusterRefreshInterval = .minutes(5)
                    }
                ) { client in
                    let victim = try cluster.primary(of: "k")
                    victim.server.pause()
                    try await eventually("its replica answers") {
                        if case .success = await outcome({ () async throws(RedisError) in try await client.send(RedisCommand("INCR", "k")) }
                        ) {
                            return true
                        }
                        return false
                    }
                    victim.server.resume()
                }
            }
        }

        @Test("while slots have no node, their commands wait until their deadline and then have not run")
        func clusterDown() async throws {
            try await withTemporaryRedisCluster(
                replicasEach: 0, arguments: ["--cluster-require-full-coverage", "yes"]
            ) { cluster in
                try await withClient(
                    try RedisEndpoint(url: cluster.url), configure: { $0.commandDeadline = .milliseconds(1500) }
                ) { client in
                    let victim = try cluster.primary(of: "{a}")
                    let other = try #require(try ["{b}", "{c}", "{d}", "{e}"].first { try cluster.primary(of: $0) != victim })
                    victim.server.kill()
                    let survivor = try cluster.primary(of: other).server
                    try await eventually("the cluster is down") { try survivor.cli("CLUSTER", "INFO").contains("cluster_state:fail") }
                    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("INCR", .string(other))) }
                    #expect(error?.code == .notConnected)
                    #expect((error?.cause as? RedisError)?.code == .server(.clusterDown))
                    async let waiting = client.send(RedisCommand("INCR", .string(other)))
                    try await eventually("it waits") { client.statistics.pending == 1 }
                    try survivor.cli("CONFIG", "SET", "cluster-require-full-coverage", "no")
                    #expect(try await waiting == .integer(1))
                }
            }
        }
    }
}
