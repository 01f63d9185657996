import EventLoops
import Histograms

/// What one event loop has counted of one route. A scrape may see one request's numbers half added.
final class RouteCounters: Sendable {
    /// The bounds of ``HistogramBounds/times`` in place, because an array would be one more thing to fetch for each request.
    static let bounds: InlineArray<16, Int64> = [
        100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
        500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]

    /// Answers by the place of their status code, see ``AnswerCode``.
    private let codes = InlineArray<24, LoopCounter> { _ in LoopCounter() }
    /// Requests per bucket, not accumulated; the last one holds what is above every bound.
    private let buckets = InlineArray<17, LoopCounter> { _ in LoopCounter() }
    private let nanoseconds = LoopCounter()

    /// Counts one answer. Only the loop that owns this may call it.
    func count(status: Int, nanoseconds duration: Int64) {
        codes[AnswerCode.place(of: status)].add()
        // Most answers from memory are in the first bucket, so the search begins there.
        var bucket = 0
        while bucket < RouteCounters.bounds.count, duration > RouteCounters.bounds[bucket] { bucket += 1 }
        buckets[bucket].add()
        nanoseconds.add(Int(duration))
    }

    /// What several loops counted of one route, added up.
    struct Total: Equatable, Sendable {
        /// By the places of ``AnswerCode``.
        var codes: [Int] = Array(repeating: 0, count: AnswerCode.places)
        var latencies = HistogramSnapshot(.times)

        var requests: Int { latencies.count }
    }

    func add(to total: inout Total) {
        for place in 0..<AnswerCode.places { total.codes[place] += codes[place].value }
        total.latencies =
            total.latencies + HistogramSnapshot(bounds: .times, counts: (0..<17).map { buckets[$0].value }, sum: nanoseconds.value)
    }
}
