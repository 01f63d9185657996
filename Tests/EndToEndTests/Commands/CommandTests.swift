import Commerce
import Foundation
import GRDB
import JSON
import NIOCore
import Redis
import Services
import TestSupport
import Testing

@testable import App

extension EndToEnd {
    @Suite("The commands beside a service")
    struct CommandTests {}
}

extension EndToEnd.CommandTests {
    private static let commands = [
        "serve", "token", "key rotate", "key list", "demo", "audit", "ranking show", "ranking rebuild", "backup", "restore", "compact",
        "move",
        "redis show", "redis take",
    ]

    @Test("--help of each command names every flag, and each flag has its environment variable", arguments: commands)
    func help(command: String) async throws {
        let output = try await Tool.run(command.split(separator: " ").map(String.init) + ["--help"])
        #expect(output.status == 0)
        var flags = Set(output.standardOutput.matches(of: #/(?m)^  --([a-z-]+)/#).map { String($0.1) })
        flags.subtract(["help", "version"])
        let known = (EnvironmentFlags.values[command] ?? []) + (EnvironmentFlags.switches[command] ?? [])
        #expect(flags == Set(known))
        #expect(Set(EnvironmentFlags.values.keys) == Set(Self.commands))
    }

    @Test("the program itself lists its commands, and refuses what it does not know")
    func root() async throws {
        let help = try await Tool.run("--help")
        #expect(help.status == 0)
        for command in ["serve", "token", "key", "demo", "audit", "ranking", "backup", "restore", "compact", "move", "redis"] {
            #expect(help.standardOutput.contains("\n  \(command) "), "\(command)")
        }
        for arguments in [
            ["fly"], ["serve", "--port", "99999"], ["serve", "--port", "x"], ["token", "--data", "/tmp"], ["audit", "--colour"],
        ] {
            let output = try await Tool.run(arguments)
            #expect(output.status == 64 && output.standardOutput.isEmpty && !output.standardError.isEmpty, "\(arguments)")
        }
    }

    @Test(
        "the folder of a path",
        arguments: [
            ("d", "."), ("d/", "."), ("/", "/"), ("/d", "/"), ("/a/b", "/a"), ("/a/b//", "/a"), ("a//b", "a"), ("", "."), ("..", "."),
            ("가/나", "가"),
        ])
    func parents(path: String, folder: String) {
        #expect(parentFolder(of: path) == folder)
    }

    @Test("commands take a data folder whose name is one letter, in the present folder")
    func relative() async throws {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let script = #"""
            cd "$1" && "$0" token --data d --admin && "$0" demo --data d || exit
            "$0" serve --data d --port 0 > out & service=$!
            for try in $(seq 3000); do [ -s out ] && break; kill -0 $service || exit; sleep 0.02; done
            kill $service; wait $service
            """#
        let output = try await Tool.run(program: ["bash", "-c", script, try Tool.executable().path, folder.path])
        let said = (try? String(contentsOfFile: folder.path + "/out", encoding: .utf8)) ?? ""
        #expect(output.status == 0 && said.hasPrefix("firstcome listens on http://127.0.0.1:"), "\(output) \(said)")
    }

    @Test("token prints one token, or one a line in order, and makes the key once with mode 0600")
    func token() async throws {
        try await withDataFolder { folder in
            let single = try await Tool.run("token", "--data", folder, "--user", "7")
            #expect(single.status == 0 && single.lines.count == 1)
            #expect(try Self.claims(single.lines[0])["sub"]?.string == "7")
            let key = try FileManager.default.attributesOfItem(atPath: folder + "/token.key")
            #expect(key[.posixPermissions] as? Int == 0o600)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: folder + "/token.key"))
            #expect(bytes.count == 32)

            let range = try await Tool.run("token", "--data", folder, "--user", "5-14", "--ttl", "1h")
            #expect(try range.lines.map { try Self.claims($0)["sub"]?.string } == (5...14).map(String.init))
            let claims = try Self.claims(range.lines[0])
            let (issued, expires) = (claims["iat"]?.int ?? 0, claims["exp"]?.int ?? 0)
            #expect(expires - issued == 3_600)
            #expect(try Self.claims(try await Tool.run("token", "--data", folder, "--admin").lines[0])["role"]?.string == "admin")
            #expect(try Data(contentsOf: URL(fileURLWithPath: folder + "/token.key")) == bytes)
            for user in ["0", "-1", "x", "9-5", "1-2-3", "1-99999999"] {
                #expect(try await Tool.run("token", "--data", folder, "--user=\(user)").status == 64, "\(user)")
            }
            #expect(try await Tool.run("token", "--data", folder, "--user", "1", "--admin").status == 64)

            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder + "/token.key")
            let exposed = try await Tool.run("token", "--data", folder, "--admin")
            #expect(exposed.status != 0 && exposed.standardOutput.isEmpty && exposed.complaint.count == 1, "\(exposed)")
        }
    }

    private static func claims(_ token: String) throws -> JSONValue {
        let parts = token.split(separator: ".")
        #expect(parts.count == 3)
        var text = parts[1].replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        while text.count % 4 > 0 { text += "=" }
        return try JSONParser.parse(.init(bytes: try #require(Data(base64Encoded: text))))
    }

    @Test("demo fills an empty store and leaves a full one alone; audit, ranking and backup look at it without a service")
    func demoToBackup() async throws {
        try await withDataFolder { folder in
            for command in [["audit"], ["ranking", "show"], ["ranking", "rebuild"], ["backup", folder + "/copy.sqlite"]] {
                let output = try await Tool.run(command + ["--data", folder])
                #expect(output.status != 0 && output.complaint.count == 1, "\(command): \(output)")
            }
            let first = try await Tool.run("demo", "--data", folder)
            #expect(first.status == 0 && first.standardOutput.contains("curl -s -X POST $API/coupons/1/claims"), "\(first)")
            let rows = try Self.counts(folder)
            #expect(rows["users"] == 1_000 && rows["products"] == 12 && rows["campaigns"] == 2 && rows["payments"] == 11)
            let second = try await Tool.run("demo", "--data", folder)
            #expect(second.status == 0 && second.standardOutput.contains("not empty"))
            #expect(try Self.counts(folder) == rows)

            let lastEvent = try Self.database(folder) { try Int64.fetchOne($0, sql: "SELECT max(id) FROM events") ?? 0 }
            #expect(lastEvent > 1_000_000_000_000)
            let rebuilt = try await Tool.run("ranking", "rebuild", "--data", folder)
            #expect(rebuilt.status == 0 && rebuilt.standardOutput == "rebuilt from the store up to event \(lastEvent)\n", "\(rebuilt)")
            let show = try await Tool.run("ranking", "show", "--data", folder)
            #expect(show.status == 0, "\(show)")
            #expect(show.lines.dropFirst().map { $0.split(separator: " ")[0] } == ["1.", "2.", "3.", "4.", "5."])
            #expect(show.lines.dropFirst().first?.hasSuffix(": 21 sold") == true)

            let unserved = try await Tool.run("audit", "--data", folder)
            #expect(unserved.status == 1 && unserved.standardOutput.contains("missing"), "no service has opened a gate: \(unserved)")
            try await serveOnce(folder)
            try await auditFindsTampering(folder)
            try await backupIsWhole(folder, rows)
            // What the tools started for themselves is gone again.
            #expect(try PrivateRedis(dataFolder: folder).runningPID == nil)
        }
    }

    private func auditFindsTampering(_ folder: String) async throws {
        let clean = try await Tool.run("audit", "--data", folder)
        #expect(clean.status == 0 && clean.lines.last == "every invariant holds", "\(clean)")
        #expect(
            Set(clean.lines.compactMap { $0.firstMatch(of: #/^([1-8])  /#).map { String($0.1) } }).isSuperset(of: [
                "1", "3", "4", "5", "6", "7", "8",
            ]))
        let json = try await Tool.run("audit", "--data", folder, "--json")
        let report = try JSONParser.parse(.init(string: json.standardOutput.trimmingCharacters(in: .newlines)))
        #expect(report["clean"] == .bool(true))
        #expect(
            report["checks"]?.shape
                == "[{invariant: int, claim: string, verdict: string, rowsChecked: int, violationCount: int, violations: []}]")

        try Self.database(folder) { try $0.execute(sql: "UPDATE users SET balance = balance + 1 WHERE id = 1000") }
        let broken = try await Tool.run("audit", "--data", folder, "--json")
        #expect(broken.status == 1)
        let found = try JSONParser.parse(.init(string: broken.standardOutput.trimmingCharacters(in: .newlines)))
        #expect(found["clean"] == .bool(false))
        let violated = (found["checks"]?.elements ?? []).filter { $0["violationCount"]?.int != 0 }
        #expect(
            !violated.isEmpty
                && violated.allSatisfy { $0["invariant"]?.int == 4 && $0["violations"]?.elements?.first?.string?.contains("1000") == true })
        let table = try await Tool.run("audit", "--data", folder)
        #expect(table.status == 1 && table.standardOutput.contains("BROKEN"))
        try Self.database(folder) { try $0.execute(sql: "UPDATE users SET balance = balance - 1 WHERE id = 1000") }
        #expect(try await Tool.run("audit", "--data", folder).status == 0)
    }

    private func backupIsWhole(_ folder: String, _ rows: [String: Int]) async throws {
        let copy = folder + "/copy"
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        #expect(try await Tool.run("backup", "--data", folder, copy + "/store.sqlite").status == 0)
        #expect(try Self.counts(copy) == rows)
        let again = try await Tool.run("backup", "--data", folder, copy + "/store.sqlite")
        #expect(again.status != 0 && again.complaint.count == 1)
    }

    private static func database<Value>(_ folder: String, _ body: (Database) throws -> Value) throws -> Value {
        let queue = try storeConnection(in: folder)
        defer { try? queue.close() }
        return try queue.write(body)
    }

    private static func counts(_ folder: String) throws -> [String: Int] {
        try database(folder) { db in
            let tables = ["users", "products", "campaigns", "payments", "transfers", "events", "issued_coupons", "orders"]
            return try Dictionary(uniqueKeysWithValues: tables.map { ($0, try Int.fetchOne(db, sql: "SELECT count(*) FROM \($0)") ?? -1) })
        }
    }

    @Test("a flag given by the environment counts as given, a flag on the command line wins, and both are refused alike")
    func environment() async throws {
        try await withDataFolder { folder in
            let token = try await Tool.run(["token"], environment: ["FIRSTCOME_DATA": folder, "FIRSTCOME_USER": "3-4"])
            #expect(try token.lines.map { try Self.claims($0)["sub"]?.string } == ["3", "4"])
            let admin = try await Tool.run(["token"], environment: ["FIRSTCOME_DATA": folder, "FIRSTCOME_ADMIN": "true"])
            #expect(try Self.claims(try #require(admin.lines.first))["role"]?.string == "admin")
            let flag = try await Tool.run(
                ["token", "--user", "9"], environment: ["FIRSTCOME_DATA": folder, "FIRSTCOME_USER": "3", "FIRSTCOME_ADMIN": "1"])
            #expect(try flag.lines.map { try Self.claims($0)["sub"]?.string } == ["9"], "\(flag)")
            let bad = try await Tool.run(["serve", "--data", folder], environment: ["FIRSTCOME_PORT": "many"])
            #expect(bad.status == 64 && bad.standardError.contains("--port"))
        }
    }

    @Test("a server is suitable from 6.2 on, where it is no replica and evicts nothing")
    func suitability() {
        func fault(_ version: String, _ policy: String = "noeviction", _ role: String = "master") -> String? {
            RedisSuitability.fault(in: RedisInfo(text: "redis_version:\(version)\r\nrole:\(role)\r\nmaxmemory_policy:\(policy)\r\n"))
        }
        for version in ["6.2.0", "6.2.14", "7.0.15", "7.2.4", "8.0.1", "10.0.0", "6.10.0"] { #expect(fault(version) == nil, "\(version)") }
        for version in ["2.8.0", "5.0.14", "6.0.16", "6.1.99", ""] { #expect(fault(version) != nil, "\(version)") }
        for policy in ["allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-ttl", "allkeys-random"] {
            #expect(fault("7.0.15", policy)?.contains(policy) == true)
        }
        #expect(fault("7.0.15", "noeviction", "slave") != nil)
    }
}
