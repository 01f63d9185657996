import TestSupport
import Testing

@testable import Bench

@Suite("The Redis of the benchmark's services")
struct RedisServersTests {
    @Test("a key is read from one server, and from whichever node of a cluster has it", .timeLimit(.minutes(5)))
    func values() async throws {
        try await withCleanupStack { cleanup in
            let one = try await RedisServers.one(cleanup, onTCP: true)
            #expect(try one.nodes[0].cli("SET", "key", "1") == "OK")
            #expect(try one.value(of: "key") == "1")
            #expect(one.url.hasPrefix("redis://127.0.0.1:"))
            let cluster = try await RedisServers.cluster(cleanup)
            #expect(cluster.nodes.count == 6 && cluster.watched.pids.count == 6)
            // One key for each third of the slots: 3,300, 7,365 and 11,298.
            for key in ["b", "c", "d"] {
                let takers = try cluster.nodes.filter { try $0.cli("SET", key, "of \(key)") == "OK" }
                #expect(takers.count == 1)
                #expect(try cluster.value(of: key) == "of \(key)")
            }
            #expect(try cluster.value(of: "none") == "")
        }
    }
}
