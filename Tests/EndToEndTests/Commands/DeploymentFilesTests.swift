import Foundation
import TestSupport
import Testing

extension EndToEnd {
    /// The files of proxies are run by `ProxyTests` and `SeveralServicesTests`.
    @Suite("The configuration files for PostgreSQL and Redis")
    struct DeploymentFilesTests {}
}

extension EndToEnd.DeploymentFilesTests {
    private static let folder = ShopBehindProxy.deployment

    @Test("a primary and a standby take every setting of postgresql.conf, commits wait for the standby, and a service has no warning")
    func postgres() async throws {
        // A copy that the server's account can read, wherever this repository is.
        let copy = TemporaryFolder()
        defer { copy.remove() }
        let file = copy.path + "/shipped.conf"
        try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: copy.path)
        try FileManager.default.copyItem(atPath: Self.folder + "/postgresql.conf", toPath: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
        let settings = ["include": file]
        let (primary, standby) = try await offPool {
            let primary = try TemporaryPostgres(settings: settings)
            return (primary, try TemporaryPostgres(.standby(of: primary), settings: settings))
        }
        defer {
            standby.end()
            primary.end()
        }
        try await offPool {
            for server in [primary, standby] {
                let read = "FROM pg_file_settings WHERE sourcefile = '\(file)'"
                #expect(try server.sql("SELECT name, error \(read) AND error IS NOT NULL") == "")
                #expect(try Int(server.sql("SELECT count(*) \(read)")) ?? 0 >= 20)
            }
            // Returns because the standby has it.
            try primary.sql("CREATE DATABASE shop TEMPLATE template0")
            #expect(try primary.sql("SELECT sync_state FROM pg_stat_replication") == "quorum")
        }
        try await withDataFolder { folder in
            let store = "postgresql:///shop?host=\(primary.folder.path)&user=\(primary.role)"
            try await withServe(folder, ["--port", "0", "--store", store]) { serve in
                let log = serve.standardError
                #expect(!log.contains(" warning "), "\(log)")
                let status = try await serve.end()
                #expect(status == 0)
            }
        }
    }

    @Test("Redis takes redis.conf and redis-cluster.conf, with every setting as it is written there", arguments: [false, true])
    func redis(isCluster: Bool) async throws {
        let files = ["redis.conf"] + (isCluster ? ["redis-cluster.conf"] : [])
        let text = try files.map { try String(contentsOfFile: "\(Self.folder)/\($0)", encoding: .utf8) }.joined(separator: "\n")
        try await offPool {
            let redis = try TemporaryRedis(arguments: files.flatMap { ["--include", "\(Self.folder)/\($0)"] })
            defer { redis.end() }
            var checked = 0
            for line in text.split(separator: "\n") where !line.hasPrefix("#") {
                let words = line.split(separator: " ").map(String.init)
                let answer = try redis.cli("CONFIG", "GET", words[0])
                let said = answer.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                try #require(said.count == 2, "\(line): \(said)")
                #expect(Self.value(words).allSatisfy(said[1].contains), "\(line): \(said[1])")
                checked += 1
            }
            #expect(checked >= (isCluster ? 12 : 8))
            #expect(try redis.cli("INFO", "cluster").contains("cluster_enabled:\(isCluster ? 1 : 0)"))
        }
    }

    /// The words of a directive's value as CONFIG GET shows them: sizes in bytes, nothing for an empty string.
    private static func value(_ words: [String]) -> [String] {
        words.dropFirst().compactMap { word in
            for (unit, factor) in [("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30)] {
                if let number = Int(word.dropLast(2)), word.hasSuffix(unit) { return String(number * factor) }
            }
            return word == "\"\"" ? nil : word
        }
    }

    @Test("three Sentinels with sentinel.conf find each other and can decide a failover")
    func sentinels() async throws {
        let folders = (0..<3).map { _ in TemporaryFolder() }
        defer { for folder in folders { folder.remove() } }
        let primary = try await offPool { try TemporaryRedis(arguments: ["--include", Self.folder + "/redis.conf"], onTCP: true) }
        defer { primary.end() }
        let example = try String(contentsOfFile: Self.folder + "/sentinel.conf", encoding: .utf8)
        let ports = try (0..<3).map { _ in try TemporaryRedis.freePort() }
        var sentinels: [ChildProcess] = []
        var failure: (any Error)?
        do {
            for (folder, port) in zip(folders, ports) {
                try #require(example.contains("10.0.0.41 6379") && example.contains("port 26379"))
                let text = example.replacing("10.0.0.41 6379", with: "127.0.0.1 \(primary.port ?? 0)")
                    .replacing("port 26379", with: "port \(port)")
                // Sentinel rewrites its file.
                let path = folder.path + "/sentinel.conf"
                try text.write(toFile: path, atomically: true, encoding: .utf8)
                sentinels.append(
                    try await ChildProcess.start(["redis-server", path, "--sentinel", "--bind", "127.0.0.1", "--dir", folder.path]))
            }
            for port in ports {
                try await eventually("Sentinel on \(port) sees the others") {
                    let said = try await Tool.run(program: ["redis-cli", "-p", "\(port)", "SENTINEL", "CKQUORUM", "firstcome"])
                    return said.standardOutput.hasPrefix("OK 3 usable Sentinels")
                }
            }
        } catch {
            failure = error
        }
        for sentinel in sentinels { await sentinel.end() }
        if let failure { throw failure }
    }
}
