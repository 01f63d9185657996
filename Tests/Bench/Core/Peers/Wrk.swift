import Foundation
import TestSupport

/// wrk, the load generator: one thread, and connections that each wait for an answer before the next request. Where there are several
/// ports, each has a wrk of its own with its share of connections and requests.
struct Wrk: Sendable {
    let folder: TemporaryFolder
    private let script: String

    /// The connections of every row, of all generators together.
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
    ///
    /// - Parameter ports: of 127.0.0.1, one for each generator; a port may be there more than once.
    func load(
        ports: [Int], _ file: RequestFile, _ amount: Amount, server: Watched, database: Watched? = nil, redis: Watched? = nil,
        connections: Int = Wrk.connections
    ) async throws -> (sample: Sample, output: WrkOutput) {
        let ports = ports.prefix(connections)
        let commands = ports.enumerated().map { index, port in
            let share = WrkShare(index: index, count: ports.count)
            let (seconds, total, own) = (amount.seconds, share.of(amount.total), share.of(connections))
            return [
                "wrk", "-t1", "-c\(own)", "-d\(seconds)s", "--timeout", "20s", "-s", script, "http://127.0.0.1:\(port)", file.path,
                String(total), String(own), String(share.index), String(share.count),
            ]
        }
        let meter = try Meter(server: server, database: database, redis: redis)
        let outputs = try await withThrowingTaskGroup { group in
            for words in commands { group.addTask { try await Self.run(words) } }
            return try await group.reduce(into: [WrkOutput]()) { $0.append($1) }
        }
        guard let output = WrkOutput(of: outputs) else { throw BenchFailure("there is no port to send requests to") }
        var sample = Sample(requests: output.requests, seconds: output.seconds)
        try meter.read(into: &sample)
        (sample.p50, sample.p99, sample.p999) = (output.p50, output.p99, output.p999)
        sample.command = commands.map { $0.joined(separator: " ") }.joined(separator: " & ").replacing(folder.path, with: "TMP")
        if case .requests(let total) = amount, output.requests < total {
            sample.problems.append("\(output.requests) of \(total) requests were answered in time")
        }
        return (sample, output)
    }

    private static func run(_ words: [String]) async throws -> WrkOutput {
        let printed = try await Command.run(words)
        guard let output = WrkOutput(parsing: printed) else { throw BenchFailure("wrk printed: \(printed)") }
        return output
    }
}

/// The part of a load that one of several generators makes.
struct WrkShare {
    let index: Int
    let count: Int

    /// Its part of a number; all parts together are the number, and none is more than one larger than another.
    func of(_ whole: Int) -> Int { whole / count + (index < whole % count ? 1 : 0) }
}

extension Wrk.Amount {
    /// The time limit of a load with an exact number of requests, in seconds; requests without an answer by then are reported.
    private static let longest = 300

    fileprivate var seconds: Int {
        switch self {
        case .seconds(let seconds): seconds
        case .requests: Self.longest
        }
    }

    /// How many requests are sent; 0 for as many as the time allows.
    fileprivate var total: Int {
        switch self {
        case .seconds: 0
        case .requests(let total): total
        }
    }
}
