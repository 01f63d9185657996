import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Redis

extension SteadyClusters {
    /// Against a real cluster of three primaries, each with a replica, on loopback.
    @Suite struct ClusterTests {
        @Test(
            "commands of many slots reach their nodes, from the nodes' own addresses or from a replica's alone", arguments: [false, true])
        func allSlots(replicaOnly: Bool) async throws {
            try await withTemporaryRedisCluster { cluster in
                let url =
                    replicaOnly ? "redis+cluster://127.0.0.1:\(try cluster.replica(of: try cluster.primaries()[0]).port)" : cluster.url
                try await withClient(try RedisEndpoint(url: url)) { client in
                    for number in 0..<300 {
                        #expect(try await client.send(RedisCommand("SET", "key:\(number)", .integer(Int64(number)))) == .simple("OK"))
                    }
                    let replies = try await client.pipeline((0..<300).map { RedisCommand("GET", "key:\($0)") })
                    #expect(replies.map(\.integer) == (0..<300).map { Int64($0) })
                    var sizes: [Int64] = []
                    for (_, answer) in try await client.sendToEveryPrimary(RedisCommand("DBSIZE")) {
                        sizes.append(try answer.get().integer ?? 0)
                    }
                    #expect(sizes.count == 3 && sizes.reduce(0, +) == 300 && sizes.allSatisfy { $0 > 50 })
                    #expect(client.statistics.pending == 0 && client.statistics.unknownOutcomes == 0)
                }
            }
        }

        @Test("a pipeline over many slots answers in order, with errors in their places")
        func pipeline() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url)) { client in
                    let commands = (0..<400).flatMap { number -> [RedisCommand] in
                        let key = RedisArgument.string("{\(number)}")
                        return [RedisCommand("SET", key, "x\(number)"), RedisCommand("INCR", key), RedisCommand("GET", key)]
                    }
                    let replies = try await client.pipeline(commands)
                    #expect(replies.count == 1200)
                    for number in 0..<400 {
                        #expect(replies[3 * number] == .simple("OK"))
                        #expect(replies[3 * number + 1] == .error(RedisServerError(message: "ERR value is not an integer or out of range")))
                        #expect(replies[3 * number + 2].string == "x\(number)")
                    }
                }
            }
        }

        @Test("a command sent beside a key reaches that key's node, and a command to one primary no other")
        func beside() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url)) { client in
                    let keys = ["a", "b", "c", "d", "e", "f"]
                    for key in keys {
                        let info = try await client.send(RedisCommand("INFO", "server").beside(key)).string ?? ""
                        #expect(RedisInfo(text: info)["tcp_port"] == "\(try cluster.primary(of: key).server.port ?? 0)")
                    }
                    let primaries = try await client.primaries()
                    #expect(Set(primaries.map(\.description)) == Set(cluster.nodes.map { "127.0.0.1:\($0.port)" }))
                    for primary in primaries {
                        let info = try await client.send(RedisCommand("INFO", "server"), to: primary).string ?? ""
                        #expect(primary.description == "127.0.0.1:" + (RedisInfo(text: info)["tcp_port"] ?? ""))
                    }
                    let elsewhere = try #require(
                        primaries.first { $0.description != "127.0.0.1:\((try? cluster.primary(of: "a").port) ?? 0)" })
                    let refused = await outcome { () async throws(RedisError) in
                        try await client.send(RedisCommand("GET", "a"), to: elsewhere)
                    }
                    #expect(refused == .failure(.server(.moved)))
                }
            }
        }

        @Test("a script that one node forgot runs there all the same, once per call")
        func scripts() async throws {
            try await withTemporaryRedisCluster { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: { $0.scripts = [CountingScripts.addOne] }) { client in
                    let keys = (0..<60).map { RedisArgument.string("n\($0)") }
                    for key in keys { #expect(try await client.evaluate(CountingScripts.addOne, keys: [key]) == .integer(1)) }
                    for primary in try cluster.primaries() { #expect(try primary.server.calls(of: "eval") == 0, "each handshake loads it") }
                    let forgetful = try cluster.primaries()[1].server
                    try forgetful.cli("SCRIPT", "FLUSH")
                    let replies = try await client.pipeline(keys.map { RedisCommand(CountingScripts.addOne, keys: [$0]) })
                    #expect(replies == keys.map { _ in .integer(2) })
                    #expect(try forgetful.calls(of: "eval") > 0)
                }
            }
        }

        @Test("a slot moves there and back under load without an error, and no count is lost or doubled")
        func resharding() async throws {
            try await withTemporaryRedisCluster { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: { $0.scripts = [CountingScripts.addBoth] }) { client in
                    let slot = try cluster.slot(of: "{moving}")
                    let source = try cluster.primary(ofSlot: slot)
                    let target = try #require(try cluster.primaries().first { $0 != source })
                    // The slot holds many keys, so that moving them takes a while.
                    for number in 0..<2_000 { _ = try await client.send(RedisCommand("SET", "{moving}:\(number)", "x")) }
                    var events = client.connectEvents().makeAsyncIterator()
                    let load = Load(client)
                    for number in 0..<8 { load.start("{moving}:count:\(number)", "{moving}:second:\(number)") }
                    for number in 0..<8 { load.start("{other\(number)}", "{other\(number)}:second") }
                    try await eventually("the load runs") { load.count > 500 }
                    for destination in [target, source, target] {
                        try await cluster.move(slot: slot, to: destination)
                        let before = load.count
                        try await eventually("the load runs on") { load.count > before + 500 }
                    }
                    let counts = try await load.end()
                    for (key, count) in counts {
                        #expect(try await client.send(RedisCommand("GET", .string(key))).integer == count, "\(key)")
                    }
                    #expect(load.errors == [])
                    #expect(client.statistics.reconnects == 0)
                    // A marker, because an event that never comes cannot be awaited.
                    client.reconnect(because: RedisError(.notConnected, "marker"))
                    _ = await events.next()
                    try await eventually("connected again") { client.isConnected }
                    #expect((1...6).contains(client.statistics.reconnects), "no other reconnect than those of the marker")
                }
            }
        }

        @Test("a key that has been moved ahead of its slot is found, also by a script that its new node never saw")
        func asking() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: { $0.scripts = [CountingScripts.addOne] }) { client in
                    let slot = try cluster.slot(of: "k")
                    let source = try cluster.primary(ofSlot: slot)
                    let target = try #require(try cluster.primaries().first { $0 != source })
                    #expect(try await client.evaluate(CountingScripts.addOne, keys: ["k"]) == .integer(1))
                    try cluster.beginMove(slot: slot, from: source, to: target)
                    try cluster.moveKeys(slot: slot, from: source, to: target)
                    try target.server.cli("SCRIPT", "FLUSH")
                    for count in 2...10 {
                        #expect(try await client.evaluate(CountingScripts.addOne, keys: ["k"]) == .integer(Int64(count)))
                    }
                    #expect(try source.server.cli("CLUSTER", "COUNTKEYSINSLOT", "\(slot)") == "0")
                    try cluster.endMove(slot: slot, from: source, to: target)
                    #expect(try await client.evaluate(CountingScripts.addOne, keys: ["k"]) == .integer(11))
                }
            }
        }

        @Test("a script whose keys are halfway between two nodes runs when they have arrived")
        func tryAgain() async throws {
            try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
                try await withClient(try RedisEndpoint(url: cluster.url), configure: { $0.scripts = [CountingScripts.addBoth] }) { client in
                    let slot = try cluster.slot(of: "{k}")
                    let source = try cluster.primary(ofSlot: slot)
                    let target = try #require(try cluster.primaries().first { $0 != source })
                    let call = RedisCommand(CountingScripts.addBoth, keys: ["{k}1", "{k}2"])
                    #expect(try await client.send(call) == .integer(1))
                    try cluster.beginMove(slot: slot, from: source, to: target)
                    try cluster.moveKeys(slot: slot, from: source, to: target, count: 1)
                    async let reply = client.send(call)
                    try await eventually("it is refused") { try source.server.cli("INFO", "errorstats").contains("errorstat_TRYAGAIN") }
                    try cluster.moveKeys(slot: slot, from: source, to: target)
                    #expect(try await reply == .integer(2))
                    try cluster.endMove(slot: slot, from: source, to: target)
                }
            }
        }
    }
}
