import Foundation
import GRDB
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("What commands say on a terminal, and to a newer store")
    struct CommandOutputTests {}
}

extension EndToEnd.CommandOutputTests {
    /// Puts a command on a pseudo-terminal of its own; the command's status becomes that of `script`.
    private static func onTerminal(_ command: [String]) -> [String] {
        let words = command.map { "'" + $0.replacingOccurrences(of: "'", with: #"'\''"#) + "'" }
        return ["script", "--quiet", "--return", "--command", words.joined(separator: " "), "/dev/null"]
    }

    @Test("audit and rebuild show how far they are on a terminal, on one line that is gone in the end, and nothing where they are piped")
    func progress() async throws {
        try await withDataFolder { folder in
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            try await serveOnce(folder)
            for (command, progress) in [
                (["audit"], ["checking the store, rule 0 of", "checking gates in Redis", "checking sales in Redis"]),
                (["ranking", "rebuild"], ["day 1 of "]),
            ] {
                let piped = try await Tool.run(command + ["--data", folder])
                #expect(piped.status == 0 && piped.standardError.isEmpty, "\(command): \(piped)")
                let shown = try await Tool.run(command + ["--data", folder], wrapping: Self.onTerminal)
                #expect(shown.status == 0, "\(command): \(shown)")
                for text in progress {
                    #expect(shown.standardOutput.contains("\r\u{1B}[2K\(text)"), "\(command): \(shown.standardOutput.debugDescription)")
                    #expect(!piped.standardOutput.contains(text))
                }
                // What is left on the terminal is what was piped.
                let left = shown.standardOutput.components(separatedBy: "\u{1B}[2K").last?.replacingOccurrences(of: "\r\n", with: "\n")
                #expect(left == piped.standardOutput, "\(command)")
            }
        }
    }

    /// Every row of every table, a migration's too.
    private static func rows(_ path: String) throws -> [String] {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        return try queue.read { db in
            let tables = try String.fetchAll(db, sql: "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return try tables.flatMap { table in try Row.fetchAll(db, sql: "SELECT * FROM \(table)").map { "\(table) \($0)" } }
        }
    }

    @Test("a store of a newer version is refused by every command in one line, is left as it was, and no Redis is left running")
    func newerVersion() async throws {
        try await withDataFolder { folder in
            #expect(try await Tool.run("demo", "--data", folder).status == 0)
            let path = folder + "/store.sqlite"
            let queue = try DatabaseQueue(path: path)
            try await queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('v999')") }
            try queue.close()
            let before = try Self.rows(path)
            for command in [
                ["serve", "--port", "0"], ["demo"], ["audit"], ["audit", "--json"], ["ranking", "show"], ["ranking", "rebuild"],
                ["backup", folder + "/copy.sqlite"],
            ] {
                let refused = try await Tool.run(command + ["--data", folder])
                #expect(refused.status == 1 && refused.standardOutput.isEmpty, "\(command): \(refused)")
                #expect(refused.complaint.count == 1 && refused.standardError.contains("newer version"), "\(command): \(refused)")
                #expect(try PrivateRedis(dataFolder: folder).runningPID == nil, "\(command)")
            }
            #expect(try Self.rows(path) == before)
            #expect(!FileManager.default.fileExists(atPath: folder + "/copy.sqlite"))
        }
    }
}
