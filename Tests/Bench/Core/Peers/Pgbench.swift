import Foundation
import TestSupport

/// pgbench, PostgreSQL's load generator: one thread, and clients that each wait for their answer.
struct Pgbench: Sendable {
    let database: PostgresDatabase

    /// - Parameters:
    ///   - script: the transaction in pgbench's language.
    ///   - variables: the variables of the script.
    func run(_ script: String, variables: [String: Int], clients: Int, seconds: Int) async throws -> Sample {
        let postgres = database.server
        let folder = postgres.folder
        let (file, log) = (folder.path + "/transaction.sql", folder.path + "/latency")
        try Data(script.utf8).write(to: URL(fileURLWithPath: file))
        let settings = variables.sorted { $0.key < $1.key }.flatMap { ["-D", "\($0.key)=\($0.value)"] }
        let words =
            [Postgres.program("pgbench")] + postgres.connection + ["-n", "-M", "prepared", "-j", "1", "-c", String(clients)]
            + ["-T", String(seconds), "-l", "--log-prefix", log, "-f", file] + settings + [database.name]
        let (meter, sessions) = (try Meter(server: postgres.watched), postgres.watched.childCount)
        let printed = try await Command.run(words)
        guard let output = PgbenchOutput(parsing: printed) else {
            throw BenchFailure("pgbench printed: \(printed)")
        }
        await postgres.settle(children: sessions)
        var sample = Sample(requests: output.transactions, seconds: Double(output.transactions) / output.perSecond)
        try meter.read(into: &sample)
        let latencies = try takeLatencies(log)
        (sample.p50, sample.p99, sample.p999) = (
            latencies.percentile(50), latencies.percentile(99), latencies.percentile(99.9)
        )
        sample.unexpected = output.failed
        if output.failed > 0 { sample.problems.append("\(output.failed) transactions failed") }
        sample.command = words.map { $0.replacing(folder.path, with: "TMP") }.joined(separator: " ") + " # \(script)"
        return sample
    }

    /// Reads pgbench's log of each transaction's latency, and removes the files.
    private func takeLatencies(_ prefix: String) throws -> Latencies {
        let folder = database.server.folder.path
        var latencies = Latencies()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where (folder + "/" + name).hasPrefix(prefix + ".") {
            let path = folder + "/" + name
            latencies.add(pgbenchLog: try String(contentsOfFile: path, encoding: .utf8))
            try FileManager.default.removeItem(atPath: path)
        }
        return latencies
    }
}

/// The summary that pgbench prints at its end.
package struct PgbenchOutput: Equatable, Sendable {
    package let transactions: Int
    package let failed: Int
    package let perSecond: Double

    package init?(parsing text: String) {
        func number(after beginning: String) -> Double? {
            let line = text.split(separator: "\n").first { $0.hasPrefix(beginning) }
            return line.flatMap { Double($0.dropFirst(beginning.count).prefix { $0.isNumber || $0 == "." }) }
        }
        guard let transactions = number(after: "number of transactions actually processed: "),
            let failed = number(after: "number of failed transactions: "), let perSecond = number(after: "tps = "), perSecond > 0
        else { return nil }
        (self.transactions, self.failed, self.perSecond) = (Int(transactions), Int(failed), perSecond)
    }
}

/// Single latencies in microseconds.
package struct Latencies: Sendable {
    private var values: [Double] = []

    package init() {}

    /// Adds a log of `pgbench -l`: each line is `client transaction microseconds script seconds microseconds`.
    package mutating func add(pgbenchLog text: String) {
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 3)
            if fields.count > 2, let value = Double(Substring(fields[2])) { values.append(value) }
        }
        values.sort()
    }

    /// The least value that this percentage of all values does not exceed; nil without values.
    package func percentile(_ share: Double) -> Double? {
        guard !values.isEmpty else { return nil }
        let rank = Int((share * Double(values.count) / 100).rounded(.up))
        return values[min(max(rank, 1), values.count) - 1]
    }
}
