import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Redis

extension ChangingClusters {
    /// Against three real Sentinels that watch a primary and its replica.
    @Suite struct SentinelTests {
        @Test("the primary that the Sentinels name is used, with one of them alive", arguments: [0, 2])
        func primary(dead: Int) async throws {
            try await withTemporarySentinels { sentinels in
                for sentinel in sentinels.sentinels.prefix(dead) { sentinel.kill() }
                try await withClient(try RedisEndpoint(url: sentinels.url)) { client in
                    for number in 0..<20 { _ = try await client.send(RedisCommand("SET", "key:\(number)", "x")) }
                    #expect(try sentinels.servers[0].cli("DBSIZE") == "20")
                    let answers = try await client.sendToEveryPrimary(RedisCommand("ROLE"))
                    #expect(answers.count == 1)
                    #expect(try answers[0].answer.get().array?.first?.string == "master")
                }
            }
        }

        @Test("after the SIGKILL of the primary the new one answers")
        func killed() async throws {
            try await withTemporarySentinels { sentinels in
                try await withClient(try RedisEndpoint(url: sentinels.url), configure: { $0.scripts = [CountingScripts.addBoth] }) {
                    client in
                    var events = client.connectEvents().makeAsyncIterator()
                    _ = try await client.send(RedisCommand("SET", "k", "v"))
                    let old = try #require(try sentinels.primary())
                    #expect(try old.isReplicated())
                    old.kill()
                    try await eventually("the new primary answers") {
                        await outcome { () async throws(RedisError) in try await client.send(RedisCommand("APPEND", "k", "w")) }
                            == .success(.integer(2))
                    }
                    #expect(try await client.send(RedisCommand("GET", "k")).string == "vw")
                    #expect(await events.next()?.isReconnect == true)
                    try await eventually("every loop is connected") { client.isConnected }
                }
            }
        }

        @Test("a failover by command is followed, and nothing is counted twice")
        func failover() async throws {
            try await withTemporarySentinels { sentinels in
                try await withClient(
                    try RedisEndpoint(url: sentinels.url),
                    configure: { configuration in
                        configuration.scripts = [CountingScripts.addBoth]
                        configuration.commandDeadline = .seconds(10)
                    }
                ) { client in
                    let load = Load(client)
                    load.start("a", "b")
                    try await eventually("the load runs") { load.count > 200 }
                    let old = try #require(try sentinels.primary())
                    try await sentinels.failOver()
                    try await sentinels.untilPrimaryMoved(from: old)
                    // Until then the old one takes writes, which are lost: Sentinels do not fence it.
                    try await eventually("the old primary is a replica") { try old.cli("ROLE").hasPrefix("slave") }
                    let before = load.count
                    try await eventually("the load runs on") { load.count > before + 200 }
                    let last = try await load.end()["a"]
                    let new = try #require(try sentinels.primary())
                    #expect(new.port != old.port)
                    #expect(try new.cli("GET", "a") == last.map(String.init))
                }
            }
        }

        @Test("a Sentinel that names a server that is gone is not believed for long")
        func stale() async throws {
            try await withTemporarySentinels { sentinels in
                let stale = sentinels.sentinels[0]
                try stale.cli("SENTINEL", "REMOVE", "shop")
                try stale.cli("SENTINEL", "MONITOR", "shop", "127.0.0.1", "\(try TemporaryRedis.freePort())", "2")
                try await withClient(try RedisEndpoint(url: sentinels.url)) { client in
                    let reply = try await client.send(RedisCommand("SET", "k", "v"))
                    #expect(reply == .simple("OK"))
                }
            }
        }

        @Test("a name that no Sentinel watches is the reason that there is no connection")
        func unknownName() async throws {
            try await withTemporarySentinels { sentinels in
                let url = sentinels.url.replacing("/shop", with: "/other")
                try await withClient(try RedisEndpoint(url: url), waitsForConnection: false) { client in
                    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
                    #expect(error?.code == .notConnected)
                    #expect((error?.cause as? RedisError)?.code == .misconfigured)
                }
            }
        }
    }
}
