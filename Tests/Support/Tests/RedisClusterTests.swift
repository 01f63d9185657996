import Foundation
import TestSupport
import Testing

/// What tests rely on in the clusters and Sentinels that they start.
@Suite("Temporary Redis clusters and Sentinels")
struct RedisClusterTests {
    @Test("a killed primary's slots and keys go to its replica, and it comes back as a replica")
    func failover() async throws {
        try await withTemporaryRedisCluster { cluster in
            let slot = try cluster.slot(of: "a{b}")
            let old = try cluster.primary(of: "b")
            #expect(try old.server.cli("SET", "a{b}", "1") == "OK")
            let replica = try cluster.replica(of: old)
            try await eventually("the replica has the key") { try replica.server.cli("DBSIZE") == "1" }
            old.server.kill()
            #expect(try cluster.currentPrimary(ofSlot: slot) == nil)
            try await cluster.untilPrimaryMoved(ofSlot: slot, from: old)
            #expect(try cluster.primary(ofSlot: slot) == replica)
            #expect(try replica.server.cli("GET", "a{b}") == "1")
            try await cluster.restart(old)
            try await cluster.untilAgreed()
            #expect(try cluster.replica(of: replica) == old)
            try await cluster.failOver(to: old)
            try await cluster.untilAgreed()
            #expect(try old.server.cli("GET", "a{b}") == "1")
        }
    }

    @Test("a failover loses what was written after the replication was cut")
    func lostWrites() async throws {
        try await withTemporaryRedisCluster { cluster in
            let old = try cluster.primary(of: "a")
            let slot = try cluster.slot(of: "a")
            #expect(try old.server.cli("SET", "a", "1") == "OK")
            #expect(try old.server.isReplicated())
            try old.server.cutReplication()
            #expect(try old.server.cli("SET", "a", "2") == "OK")
            old.server.kill()
            try await cluster.untilPrimaryMoved(ofSlot: slot, from: old)
            #expect(try cluster.primary(ofSlot: slot).server.cli("GET", "a") == "1")
        }
    }

    @Test("cut replication goes on once it is restored")
    func restoredReplication() async throws {
        try await withTemporaryRedisCluster { cluster in
            let primary = try cluster.primary(of: "a")
            let replica = try cluster.replica(of: primary)
            try primary.server.cutReplication()
            #expect(try primary.server.cli("SET", "a", "1") == "OK")
            #expect(try primary.server.cli("WAIT", "1", "1500") == "0")
            try primary.server.restoreReplication()
            try await eventually("the replica has the key") { try replica.server.cli("DBSIZE") == "1" }
        }
    }

    @Test("a slot moves with its keys, and half of it is asked for at its new primary")
    func movedSlot() async throws {
        try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
            let (slot, source) = (try cluster.slot(of: "{a}"), try cluster.primary(of: "{a}"))
            for number in 0..<250 { try source.server.cli("SET", "{a}\(number)", "\(number)") }
            let target = try #require(try cluster.primaries().first { $0 != source })
            try cluster.beginMove(slot: slot, from: source, to: target)
            #expect(try cluster.moveKeys(slot: slot, from: source, to: target) == 100)
            #expect(try source.server.cli("GET", "{a}none").hasPrefix("ASK \(slot) 127.0.0.1:\(target.port)"))
            try await cluster.move(slot: slot, to: target)
            try await cluster.untilAgreed()
            #expect(try cluster.primary(ofSlot: slot) == target)
            #expect(try target.server.cli("DBSIZE") == "250")
            try await cluster.move(slot: slot, to: source)
            #expect(try source.server.cli("DBSIZE") == "250")
        }
    }

    @Test("nodes behind proxies tell their clients the proxies' ports, and go on replicating")
    func proxies() async throws {
        try await withTemporaryRedisCluster(behindProxies: true) { cluster in
            let (here, there) = (try cluster.primary(of: "a"), try cluster.primary(of: "b"))
            #expect(try here.server.cli("GET", "b").contains(" 127.0.0.1:\(there.port)"))
            #expect(there.port != there.server.port)
            let output = try await ChildProcess.run(["redis-cli", "-p", "\(there.port)", "SET", "b", "1"])
            #expect(output.lines == ["OK"])
            #expect(try there.server.isReplicated())
        }
    }

    private func isRunning(_ pid: Int32) -> Bool {
        // An ended process whose parent has not waited for it is "pid (name) Z ..." (proc_pid_stat(5)).
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return !status.contains(") Z ")
    }

    @Test("nothing stays of a cluster that has ended, also of paused and killed nodes")
    func nothingStays() async throws {
        var (pids, folders): ([Int32], [String]) = ([], [])
        try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
            (pids, folders) = (cluster.nodes.compactMap(\.server.pid), cluster.nodes.map(\.server.directory))
            cluster.nodes[1].server.pause()
            cluster.nodes[2].server.kill()
        }
        #expect(pids.count == 3)
        for pid in pids { #expect(!isRunning(pid)) }
        for folder in folders { #expect(!FileManager.default.fileExists(atPath: folder)) }
    }

    @Test("Sentinels replace a killed primary, make it a replica when it returns, and fail over when they are told to")
    func sentinels() async throws {
        try await withTemporarySentinels { set in
            let old = try #require(try set.primary())
            #expect(old === set.servers[0])
            #expect(try old.cli("SET", "a", "1") == "OK")
            #expect(try old.isReplicated())
            old.kill()
            try await set.untilPrimaryMoved(from: old)
            let new = try #require(try set.primary())
            #expect(try new.cli("GET", "a") == "1")
            try await offPool { try old.start() }
            try await eventually("the old primary follows the new one") {
                try old.cli("INFO", "replication").contains("master_link_status:up")
            }
            try await set.failOver()
            #expect(try set.primary() === old)
        }
    }
}
