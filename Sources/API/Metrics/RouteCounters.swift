import Synchronization

/// What one event loop has counted of one route.
///
/// Only its loop writes it, so a plain load and store suffice where several writers would need an atomic addition. A scrape may
/// read it on any thread, and may see one request's numbers half added.
final class RouteCounters: Sendable {
    /// Upper bounds of the latency histogram in nanoseconds: claims take tens of microseconds, a durable write some milliseconds.
    static let bounds: InlineArray<8, Int64> = [
        100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 250_000_000, 1_000_000_000,
    ]
    /// The same bounds in seconds, as the text format requires.
    static let boundLabels = ["0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.25", "1"]

    /// Answers by status class: index 0 is 2xx, index 3 is 5xx.
    private let statusClasses = InlineArray<4, Atomic<Int64>> { _ in Atomic(0) }
    /// Requests per bucket, not accumulated; the last one holds what is above every bound.
    private let buckets = InlineArray<9, Atomic<Int64>> { _ in Atomic(0) }
    private let nanoseconds = Atomic<Int64>(0)

    /// Counts one answer. Only the loop that owns this may call it.
    func count(status: Int, nanoseconds duration: Int64) {
        RouteCounters.add(1, to: statusClasses[min(max(status / 100 - 2, 0), 3)])
        var bucket = 0
        while bucket < RouteCounters.bounds.count, duration > RouteCounters.bounds[bucket] { bucket += 1 }
        RouteCounters.add(1, to: buckets[bucket])
        RouteCounters.add(duration, to: nanoseconds)
    }

    private static func add(_ value: Int64, to counter: borrowing Atomic<Int64>) {
        counter.store(counter.load(ordering: .relaxed) &+ value, ordering: .relaxed)
    }

    /// What several loops counted of one route, added up.
    struct Total: Equatable, Sendable {
        var statusClasses: [Int64] = Array(repeating: 0, count: 4)
        var buckets: [Int64] = Array(repeating: 0, count: 9)
        var nanoseconds: Int64 = 0

        var requests: Int64 { buckets.reduce(0, +) }
    }

    func add(to total: inout Total) {
        for index in 0..<4 { total.statusClasses[index] += statusClasses[index].load(ordering: .relaxed) }
        for index in 0..<9 { total.buckets[index] += buckets[index].load(ordering: .relaxed) }
        total.nanoseconds += nanoseconds.load(ordering: .relaxed)
    }
}
