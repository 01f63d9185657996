import Foundation
import Services
import TestSupport

extension Environment {
    private var appendOnlyFolder: String { get throws { try redis.directory + "/appendonlydir" } }

    func killRedis() async throws {
        let redis = try redis
        try await offPool { redis.kill() }
    }

    func startRedis() async throws {
        let redis = try redis
        try await offPool { try redis.start() }
    }

    fileprivate func deleteFiles() throws {
        try FileManager.default.removeItem(atPath: try appendOnlyFolder)
    }

    /// Copies what Redis has written so far, as a backup of a running server does.
    fileprivate func copyFiles() throws -> String {
        let copy = try redis.directory + "/older"
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: try appendOnlyFolder, toPath: copy)
        return copy
    }

    fileprivate func restoreFiles(_ copy: String) throws {
        try deleteFiles()
        try FileManager.default.moveItem(atPath: copy, toPath: try appendOnlyFolder)
    }

    /// Fails over to a replica that lost its link to the primary some time before.
    fileprivate func failOver() async throws {
        let primary = try redis
        let replica = try await offPool { try TemporaryRedis(arguments: RedisServers.arguments, onTCP: true) }
        do {
            // Set at run time, not by an argument, so that it follows no primary when it is started again.
            _ = try await offPool { try replica.cli("REPLICAOF", "127.0.0.1", "\(primary.port ?? 0)") }
            // A link that is up transfers no writes until the replica has confirmed its snapshot, which it does once a second.
            _ = try await offPool { try primary.cli("SET", "probe", "1") }
            try await eventually("the replica follows") { try await offPool { try replica.cli("GET", "probe") } == "1" }
            try await pause(milliseconds: 100...400)
            _ = try await offPool { try replica.cli("REPLICAOF", "NO", "ONE") }
            try await pause(milliseconds: 50...600)
        } catch {
            replica.end()
            throw error
        }
        redisServers = .single(replica)
        for service in services {
            try connect(service)
            for proxy in service.redisProxies { proxy.cutConnections() }
        }
        // The old primary goes on for a while, so that a client that is still connected to it would be noticed.
        try await pause(milliseconds: 0...200)
        primary.end()
    }

    /// Deletes some of what the service keeps in Redis.
    func deleteKeys() async throws {
        let campaign = catalogue.currentCampaigns.randomElement(using: &random) ?? 1
        let day = try await command("KEYS", "ranking:{sales}:2*").split(separator: "\n").first.map(String.init)
        let choices = [
            ["coupon:{\(campaign)}"], ["coupon:{\(campaign)}:claims"], ["coupon:{\(campaign)}", "coupon:{\(campaign)}:claims"],
            ["ranking:{sales}:applied"], [day ?? "ranking:{sales}:applied"], ["ranking:{sales}:top:3d"],
        ]
        for _ in 0..<3 {
            guard let keys = choices.randomElement(using: &random) else { return }
            try await command(at: keys[0], ["DEL"] + keys)
            try await pause(milliseconds: 0...200)
        }
    }
}

extension Fault {
    static let redis = [
        Fault(
            "Redis: SIGKILL",
            inject: { environment in
                try await environment.killRedis()
                try await environment.pause(milliseconds: 0...1_000)
                try await environment.startRedis()
            }),
        Fault(
            "Redis: SIGKILL, files lost",
            inject: { environment in
                try await environment.killRedis()
                try environment.deleteFiles()
                try await environment.pause(milliseconds: 0...500)
                try await environment.startRedis()
            }),
        Fault(
            "Redis: older snapshot",
            inject: { environment in
                let copy = try environment.copyFiles()
                try await environment.pause(milliseconds: 100...600)
                try await environment.killRedis()
                try environment.restoreFiles(copy)
                try await environment.startRedis()
            }),
        Fault(
            "Redis: SIGSTOP for seconds",
            inject: { environment in
                try environment.redis.pause()
                try await environment.pause(milliseconds: 500...3_500)
                try environment.redis.resume()
            }),
        Fault(
            "Redis: FLUSHALL",
            inject: { environment in
                try await environment.command("FLUSHALL")
            }),
        Fault(
            "Redis: keys deleted",
            inject: { environment in
                try await environment.deleteKeys()
            }),
        Fault(
            "Redis: SCRIPT FLUSH",
            inject: { environment in
                try await environment.command("SCRIPT", "FLUSH")
            }),
        Fault(
            "Redis: failover, lagging",
            inject: { environment in
                try await environment.failOver()
            }),
        Fault(
            "Redis: memory full",
            inject: { environment in
                try await environment.command("CONFIG", "SET", "maxmemory", "1")
                try await environment.pause(milliseconds: 100...800)
                try await environment.command("CONFIG", "SET", "maxmemory", "0")
            }),
        Fault(
            "both: SIGKILL, Redis empty",
            inject: { environment in
                try await environment.killRedis()
                try await environment.killService()
                try environment.deleteFiles()
                try await environment.startRedis()
                try await environment.restartService()
            }),
        Fault(
            "private Redis: SIGKILL",
            prepare: { environment in
                // Its files are of the last round of this kind, so it starts far behind the store.
                try await environment.stopService()
                environment.usesPrivateRedis = true
                try await environment.startService()
            },
            inject: { environment in
                guard let pid = try PrivateRedis(dataFolder: environment.dataFolder).runningPID else {
                    throw NotReached(description: "no private redis-server runs")
                }
                kill(pid, SIGKILL)
                try await environment.pause(milliseconds: 300...800)
            },
            finish: { environment in
                try await environment.stopService()
                environment.usesPrivateRedis = false
                try await environment.startService()
            }),
    ]
}

// MARK: - Between a service and Redis

extension Fault {
    static let proxies = [
        Fault(
            "proxy: connection cut",
            inject: { environment in
                let proxies = environment.target.redisProxies
                for _ in 0..<4 {
                    for proxy in proxies { proxy.inject(.cut(afterReplyBytes: Int.random(in: 1...3_000, using: &environment.random))) }
                    try await environment.pause(milliseconds: 50...300)
                }
                for proxy in proxies { proxy.inject(.none) }
            }),
        Fault(
            "proxy: replies dropped",
            inject: { environment in
                for proxy in environment.target.redisProxies { proxy.swallowReplies() }
                // Longer than the command timeout, so that the service closes the connection.
                try await environment.pause(milliseconds: 2_200...3_000)
            }),
    ]
}
