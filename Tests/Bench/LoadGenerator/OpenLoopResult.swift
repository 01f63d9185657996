import Histogram

/// The result of one open-loop run.
package struct OpenLoopResult: Sendable, Codable {
    /// Requests a second, as asked for.
    package var askedRate: Double
    /// Answers a second, from the first request's due instant to the last answer.
    package var achievedRate: Double
    /// How many requests were due.
    package var due: Int
    package var sent: Int
    package var answered: Int
    /// How many answers had each status.
    package var statuses: [Int: Int]
    package var errors: Errors
    /// Latency of answered requests, from the instant at which a request was due to the last byte of its answer.
    package var latency: Percentiles
    /// The same of the answers that were no refusal for overload, and of those that were.
    package var accepted = Percentiles()
    package var refused = Percentiles()
    package var generator: Generator

    /// Whether a status says that the service has too much to do.
    package static func isRefusal(_ status: Int) -> Bool { status == 429 || status == 503 }

    package struct Errors: Sendable, Codable, Equatable {
        /// Requests whose connection ended before their answer.
        package var closed = 0
        /// Answers that are not plain HTTP/1.1 with a `Content-Length`.
        package var malformed = 0
        /// Connections that could not be opened; each was tried again.
        package var connects = 0
        /// Connections that were opened in place of one that ended.
        package var replaced = 0
        /// Requests that were due, and neither answered nor lost, when the wait for answers ended.
        package var unanswered = 0

        package init(closed: Int = 0, malformed: Int = 0, connects: Int = 0, replaced: Int = 0, unanswered: Int = 0) {
            (self.closed, self.malformed, self.connects) = (closed, malformed, connects)
            (self.replaced, self.unanswered) = (replaced, unanswered)
        }

        package var isEmpty: Bool { self == Errors() }
    }

    /// How much the generator itself delayed the requests.
    package struct Generator: Sendable, Codable {
        /// The delay of requests from the instant at which one was due and a connection was free to the end of its write.
        package var lateness: Percentiles
        /// CPU time of the generator's thread, as a share of one core.
        package var cpuShare: Double

        /// Whether the generator sent in time and had CPU time left; where false, the latencies measure the generator, not the server.
        package var keptUp: Bool { lateness.p99 < 1_000 && cpuShare < 0.95 }
    }
}

/// Percentiles in microseconds.
package struct Percentiles: Sendable, Codable, Equatable {
    package var p50 = 0.0
    package var p90 = 0.0
    package var p99 = 0.0
    package var p999 = 0.0
    package var max = 0.0
}

extension Percentiles {
    init(nanoseconds histogram: Histogram<UInt64>) {
        func microseconds(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1_000 }
        (p50, p90, p99, p999, max) = (microseconds(50), microseconds(90), microseconds(99), microseconds(99.9), microseconds(100))
    }
}
