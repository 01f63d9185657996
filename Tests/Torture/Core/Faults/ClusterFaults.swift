import Foundation
import TestSupport

extension Environment {
    typealias Node = TemporaryRedisCluster.Node

    /// A key of the round: that of a campaign, or at times of the ranking.
    fileprivate func someKey() -> String {
        guard Int.random(in: 0..<4, using: &random) > 0, let campaign = catalogue.currentCampaigns.randomElement(using: &random) else {
            return "ranking:{sales}:applied"
        }
        return "coupon:{\(campaign)}"
    }

    /// Runs a step with the cluster and the primary of a key.
    fileprivate func withPrimary(
        of key: String, _ step: @escaping @Sendable (TemporaryRedisCluster, Node) async throws -> Void
    ) async throws {
        let cluster = try cluster
        // The cluster's functions wait for redis-cli.
        try await besidePool { try await step(cluster, cluster.primary(of: key)) }
    }

    /// Kills the primary of a campaign that only the probe claims from, and measures how long it takes until it has its coupon.
    ///
    /// - Parameter before: what happens before the primary is killed.
    fileprivate func killPrimary(
        before: @escaping @Sendable (TemporaryRedisCluster, Node) async throws -> Void = { _, _ in }
    ) async throws {
        let campaign = try await admin.makeCoupon(quantity: 1)
        let key = "coupon:{\(campaign)}"
        try await withPrimary(of: key) { try await before($0, $1) }
        try await pause(milliseconds: 200...800)
        try await withPrimary(of: key) { $0.kill($1) }
        try await measure(.seconds(5)) { await probe.claim(campaign) }
    }

    /// Ends the primary of a key by SIGKILL, changes its files, and starts it before its replica takes over.
    fileprivate func restartPrimary(
        of key: String, _ change: @escaping @Sendable (_ appendOnlyFolder: String) throws -> Void
    ) async throws {
        try await withPrimary(of: key) { cluster, node in
            cluster.kill(node)
            try change(node.server.directory + "/appendonlydir")
            try await cluster.restart(node)
        }
    }
}

extension TemporaryRedisCluster {
    fileprivate func kill(_ node: Node) { node.server.kill() }
}

extension Fault {
    /// What happens to the nodes of a Redis Cluster. A node that is down is started again at the end.
    static let cluster = [
        Fault("Redis primary: SIGKILL", inject: { try await $0.killPrimary() }),
        Fault(
            "Redis primary: SIGKILL, its last writes not replicated",
            inject: { try await $0.killPrimary(before: { try $0.cutReplication(of: $1) }) }),
        Fault(
            "Redis primary: SIGKILL, files lost, no failover",
            inject: { environment in
                try await environment.restartPrimary(of: environment.someKey()) { try FileManager.default.removeItem(atPath: $0) }
            }),
        Fault(
            "Redis primary: older snapshot, no failover",
            inject: { environment in
                let key = environment.someKey()
                try await environment.withPrimary(of: key) { _, node in
                    let folder = node.server.directory + "/appendonlydir"
                    try? FileManager.default.removeItem(atPath: folder + ".older")
                    try FileManager.default.copyItem(atPath: folder, toPath: folder + ".older")
                }
                try await environment.pause(milliseconds: 100...600)
                try await environment.restartPrimary(of: key) { folder in
                    try FileManager.default.removeItem(atPath: folder)
                    try FileManager.default.moveItem(atPath: folder + ".older", toPath: folder)
                }
            }),
        Fault(
            "Redis primary: SIGSTOP for seconds",
            inject: { environment in
                try await environment.withPrimary(of: environment.someKey()) { $1.server.pause() }
                try await environment.pause(milliseconds: 500...5_000)
            }),
        Fault(
            "Redis primary: FLUSHALL",
            inject: { environment in
                try await environment.withPrimary(of: environment.someKey()) { try $0.flush($1) }
            }),
        Fault(
            "Redis primary: memory full",
            inject: { environment in
                try await environment.withPrimary(of: environment.someKey()) { _ = try $1.server.cli("CONFIG", "SET", "maxmemory", "1") }
                try await environment.pause(milliseconds: 100...800)
            }),
        Fault(
            "Redis: CLUSTER FAILOVER",
            inject: { environment in
                try await environment.withPrimary(of: environment.someKey()) { cluster, node in
                    try await cluster.failOver(to: try cluster.replica(of: node))
                }
            }),
        Fault(
            "Redis: a slot moved and back",
            inject: { environment in
                let key = environment.someKey()
                for _ in 0..<2 {
                    try await environment.withPrimary(of: key) { cluster, node in
                        guard let other = try cluster.primaries().first(where: { $0 != node }) else { return }
                        try await cluster.move(slot: try cluster.slot(of: key), to: other)
                    }
                    try await environment.pause(milliseconds: 200...1_000)
                }
            }),
        Fault("Redis: keys deleted", inject: { try await $0.deleteKeys() }),
        Fault("Redis: SCRIPT FLUSH", inject: { try await $0.command("SCRIPT", "FLUSH") }),
        Fault(
            "service and Redis primary: SIGKILL",
            inject: { environment in
                try await environment.withPrimary(of: environment.someKey()) { $0.kill($1) }
                try await environment.killService()
                try await environment.pause(milliseconds: 0...500)
                try await environment.restartService()
            }),
    ]
}
