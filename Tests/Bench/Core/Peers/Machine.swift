import Foundation
import TestSupport

/// The machine that the benchmark ran on.
package struct Machine: Codable, Sendable {
    package let processor: String
    package let cores: Int
    package let kernel: String
    package let memoryMegabytes: Int64
    /// The load average of the last minute before the benchmark began; above 0, other programs use the machine.
    package let loadBefore: Double

    static func look() -> Machine {
        let memory = line("/proc/meminfo", "MemTotal:").split(separator: " ").dropFirst().first.flatMap { Int64($0) } ?? 0
        let load = text("/proc/loadavg").split(separator: " ").first.flatMap { Double($0) } ?? 0
        return Machine(
            processor: String(line("/proc/cpuinfo", "model name").drop { $0 != ":" }.dropFirst(2)),
            cores: ProcessInfo.processInfo.activeProcessorCount,
            kernel: text("/proc/sys/kernel/osrelease").trimmingCharacters(in: .whitespacesAndNewlines),
            memoryMegabytes: memory / 1024, loadBefore: load)
    }

    private static func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

    private static func line(_ path: String, _ beginning: String) -> String {
        text(path).split(separator: "\n").first { $0.hasPrefix(beginning) }.map(String.init) ?? ""
    }
}

/// The versions of the programs that were measured, and of those that measured.
enum Versions {
    private static let commands: [(name: String, words: [String])] = [
        ("redis", ["redis-server", "--version"]), ("webdis", ["dpkg-query", "-W", "-f", "${Version}", "webdis"]),
        ("nginx", ["nginx", "-v"]), ("PostgreSQL", [Postgres.program("postgres"), "--version"]),
        ("wrk", ["dpkg-query", "-W", "-f", "${Version}", "wrk"]), ("swift", ["swift", "--version"]),
    ]

    static func all() async -> [String: String] {
        var versions: [String: String] = [:]
        for (name, words) in commands { versions[name] = await firstLine(words) }
        if let commit = await firstLine(["git", "describe", "--always", "--dirty"]) { versions["firstcome"] = commit }
        return versions
    }

    /// The first line that the program prints, on standard output or error; nil where there is no such program.
    private static func firstLine(_ words: [String]) async -> String? {
        guard let output = try? await Tool.run(program: words), output.status == 0 else { return nil }
        return (output.standardOutput + output.standardError).split(separator: "\n").first.map { $0.trimmingCharacters(in: .whitespaces) }
    }
}
