import TestSupport

/// `redis-benchmark`, which calls the script on Redis directly: the lower bound of the cost of a claim.
struct RedisBenchmark: Sendable {
    let redis: TemporaryRedis
    let folder: TemporaryFolder

    /// How many numbers `__rand_int__` may become; redis-benchmark reads this as a 32-bit integer.
    private static let keyspace = 2_000_000_000

    /// - Parameters:
    ///   - words: the command; `__rand_int__` becomes a random number in each call.
    ///   - pipeline: how many commands each connection sends before it waits.
    func run(_ words: [String], requests: Int, pipeline: Int) async throws -> Sample {
        guard let pid = redis.pid else { throw BenchFailure("Redis is not running") }
        let command =
            ["redis-benchmark", "-s", redis.socketPath, "-c", "64", "-n", String(requests), "-P", String(pipeline)]
            + ["-r", String(Self.keyspace), "--csv", "--precision", "3"] + words
        let meter = try Meter(server: Watched(pid: pid))
        let printed = try await Command.run(command)
        guard let output = RedisBenchmarkOutput(parsing: printed) else {
            throw BenchFailure("redis-benchmark printed: \(printed)")
        }
        var sample = Sample(requests: requests, seconds: Double(requests) / output.perSecond)
        try meter.read(into: &sample)
        (sample.p50, sample.p99) = (output.p50, output.p99)
        sample.command = command.map { $0.replacing(redis.directory, with: "TMP") }.joined(separator: " ")
        return sample
    }
}

/// One line of `redis-benchmark --csv`.
package struct RedisBenchmarkOutput: Equatable, Sendable {
    package let perSecond: Double
    /// In microseconds.
    package let p50: Double
    package let p99: Double

    package init?(parsing text: String) {
        let lines = text.split(separator: "\n").map { $0.split(separator: ",").map { $0.filter { $0 != "\"" } } }
        guard let header = lines.first(where: { $0.contains("rps") }), let values = lines.last, values.count >= header.count else {
            return nil
        }
        // The name of the test may contain commas; the numbers are at the end.
        let numbers = values.suffix(header.count)
        func value(_ name: String) -> Double? {
            header.firstIndex(of: name).flatMap { Double(numbers[numbers.startIndex + $0]) }
        }
        guard let perSecond = value("rps"), let p50 = value("p50_latency_ms"), let p99 = value("p99_latency_ms") else { return nil }
        (self.perSecond, self.p50, self.p99) = (perSecond, p50 * 1000, p99 * 1000)
    }
}
