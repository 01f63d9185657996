import Foundation
import TestSupport

/// wrk, the load generator: one thread, and connections that each wait for an answer before the next request.
struct Wrk: Sendable {
    let folder: TemporaryFolder
    private let script: String

    /// The connections of every row.
    static let connections = 64

    init(in folder: TemporaryFolder) throws {
        self.folder = folder
        script = folder.path + "/requests.lua"
        try Data(WrkScript.text.utf8).write(to: URL(fileURLWithPath: script))
    }

    /// How much is sent.
    enum Amount: Sendable {
        case seconds(Int)
        /// Exactly this many requests.
        case requests(Int)
    }

    /// Sends the requests and measures what the watched server, its database and Redis use meanwhile.
    func load(
        port: Int, _ file: RequestFile, _ amount: Amount, server: Watched, database: Watched? = nil, redis: Watched? = nil,
        connections: Int = Wrk.connections
    ) async throws -> (sample: Sample, output: WrkOutput) {
        let (seconds, total) = amount.limits
        let words = [
            "wrk", "-t1", "-c\(connections)", "-d\(seconds)s", "--timeout", "20s", "-s", script, "http://127.0.0.1:\(port)",
            file.path, String(total), String(connections),
        ]
        let meter = try Meter(server: server, database: database, redis: redis)
        let printed = try await Command.run(words)
        guard let output = WrkOutput(parsing: printed) else { throw BenchFailure("wrk printed: \(printed)") }
        var sample = Sample(requests: output.requests, seconds: output.seconds)
        try meter.read(into: &sample)
        (sample.p50, sample.p99, sample.p999) = (output.p50, output.p99, output.p999)
        sample.command = words.map { $0.replacing(folder.path, with: "TMP") }.joined(separator: " ")
        if case .requests(let total) = amount, output.requests < total {
            sample.problems.append("\(output.requests) of \(total) requests were answered in time")
        }
        return (sample, output)
    }
}

extension Wrk.Amount {
    /// The time limit of a load with an exact number of requests, in seconds; requests without an answer by then are reported.
    private static let longest = 300

    fileprivate var limits: (seconds: Int, total: Int) {
        switch self {
        case .seconds(let seconds): (seconds, 0)
        case .requests(let total): (Self.longest, total)
        }
    }
}
