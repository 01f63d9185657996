import EventLoops

/// What one event loop has counted of one route. A scrape may see one request's numbers half added.
final class RouteCounters: Sendable {
    /// Upper bounds of the latency histogram in nanoseconds: claims take tens of microseconds, a durable write some milliseconds.
    static let bounds: InlineArray<8, Int64> = [
        100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 250_000_000, 1_000_000_000,
    ]
    /// The same bounds in seconds, as the text format requires.
    static let boundLabels = ["0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.25", "1"]

    /// Answers by status class: index 0 is 2xx, index 3 is 5xx.
    private let statusClasses = InlineArray<4, LoopCounter> { _ in LoopCounter() }
    /// Requests per bucket, not accumulated; the last one holds what is above every bound.
    private let buckets = InlineArray<9, LoopCounter> { _ in LoopCounter() }
    private let nanoseconds = LoopCounter()

    /// Counts one answer. Only the loop that owns this may call it.
    func count(status: Int, nanoseconds duration: Int64) {
        statusClasses[min(max(status / 100 - 2, 0), 3)].add()
        var bucket = 0
        while bucket < RouteCounters.bounds.count, duration > RouteCounters.bounds[bucket] { bucket += 1 }
        buckets[bucket].add()
        nanoseconds.add(Int(duration))
    }

    /// What several loops counted of one route, added up.
    struct Total: Equatable, Sendable {
        var statusClasses: [Int64] = Array(repeating: 0, count: 4)
        var buckets: [Int64] = Array(repeating: 0, count: 9)
        var nanoseconds: Int64 = 0

        var requests: Int64 { buckets.reduce(0, +) }
    }

    func add(to total: inout Total) {
        for index in 0..<4 { total.statusClasses[index] += Int64(statusClasses[index].value) }
        for index in 0..<9 { total.buckets[index] += Int64(buckets[index].value) }
        total.nanoseconds += Int64(nanoseconds.value)
    }
}
