/// The line that the script prints at the end.
package struct WrkOutput: Sendable, Equatable {
    package let requests: Int
    package let seconds: Double
    package let p50: Double
    package let p99: Double
    package let p999: Double
    /// Answers with a status of 400 or above.
    package let refused: Int
    /// Requests without an answer: connections that failed, and timeouts.
    package let broken: Int

    package init?(parsing text: String) {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RESULT ") }) else { return nil }
        var values: [Substring: Int] = [:]
        for word in line.split(separator: " ").dropFirst() {
            let parts = word.split(separator: "=")
            guard parts.count == 2, let value = Int(parts[1]) else { return nil }
            values[parts[0]] = value
        }
        guard let requests = values["requests"], let microseconds = values["microseconds"], let p50 = values["p50"],
            let p99 = values["p99"], let p999 = values["p999"], let refused = values["refused"], let broken = values["broken"]
        else { return nil }
        (self.requests, self.refused, self.broken) = (requests, refused, broken)
        seconds = Double(microseconds) / 1e6
        (self.p50, self.p99, self.p999) = (Double(p50), Double(p99), Double(p999))
    }

    /// What generators that ran at the same time have measured together: the sum of their requests, the time of the last one to end, and
    /// of each latency the longest. Nil for none.
    init?(of outputs: [WrkOutput]) {
        func sum(_ value: (WrkOutput) -> Int) -> Int { outputs.map(value).reduce(0, +) }
        func longest(_ value: (WrkOutput) -> Double) -> Double { outputs.map(value).max() ?? 0 }
        guard !outputs.isEmpty else { return nil }
        (requests, refused, broken) = (sum(\.requests), sum(\.refused), sum(\.broken))
        (seconds, p50, p99, p999) = (longest(\.seconds), longest(\.p50), longest(\.p99), longest(\.p999))
    }
}
