import Synchronization

/// Counts measurements in buckets, for a histogram of `/metrics`. One thread counts, any thread reads.
///
/// With one writer, a plain load and store replace the locked addition that several writers would need. A reader may see one measurement
/// half added.
package final class Histogram: Sendable {
    package let bounds: HistogramBounds
    /// Measurements per bucket, not accumulated; the one after the last bound holds what is above every bound.
    private let counts = InlineArray<17, Atomic<Int>> { _ in Atomic(0) }
    private let sum = Atomic<Int>(0)

    package init(_ bounds: HistogramBounds) {
        precondition(bounds.values.count < 17, "a histogram has room for 16 bounds")
        self.bounds = bounds
    }

    /// Adds one measurement, in the unit of the bounds. Only the thread that owns the histogram may call it.
    package func record(_ value: Int) {
        var bucket = 0
        while bucket < bounds.values.count, value > bounds.values[bucket] { bucket += 1 }
        counts[bucket].store(counts[bucket].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
        sum.store(sum.load(ordering: .relaxed) &+ value, ordering: .relaxed)
    }

    /// What was counted so far.
    package var snapshot: HistogramSnapshot {
        HistogramSnapshot(
            bounds: bounds, counts: (0...bounds.values.count).map { counts[$0].load(ordering: .relaxed) },
            sum: sum.load(ordering: .relaxed))
    }
}

/// The upper bounds of a histogram's buckets, and the unit of its measurements.
package struct HistogramBounds: Sendable, Equatable {
    package enum Unit: Sendable {
        /// Measured in nanoseconds, shown in seconds.
        case seconds
        /// Measured and shown as a number of things.
        case items
    }

    /// In rising order; at most 16.
    package let values: [Int]
    package let unit: Unit

    package init(_ values: [Int], _ unit: Unit) { (self.values, self.unit) = (values, unit) }

    /// From 100 us to 10 s in steps of 1, 2.5, 5 and 10: claims take tens of microseconds, a durable write some milliseconds.
    package static let times = HistogramBounds(
        [
            100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
            500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
        ], .seconds)

    /// The powers of two up to `greatest`.
    package static func powersOfTwo(through greatest: Int) -> HistogramBounds {
        HistogramBounds(Array(sequence(first: 1) { $0 < greatest ? $0 * 2 : nil }), .items)
    }

    /// A measurement, or a sum of measurements, in the unit that is shown.
    package func shown(_ value: Int) -> Double { unit == .seconds ? Double(value) / 1e9 : Double(value) }
}

/// What a histogram has counted at one moment.
package struct HistogramSnapshot: Sendable, Equatable {
    package let bounds: HistogramBounds
    /// Measurements per bucket, not accumulated; the last one holds what is above every bound.
    package private(set) var counts: [Int]
    /// The sum of all measurements, in the unit of the bounds.
    package private(set) var sum: Int

    /// Nothing counted yet.
    package init(_ bounds: HistogramBounds) { self.init(bounds: bounds, counts: bounds.values.map { _ in 0 } + [0], sum: 0) }

    /// - Parameter counts: one for each bound, and one for what is above all.
    package init(bounds: HistogramBounds, counts: [Int], sum: Int) {
        precondition(counts.count == bounds.values.count + 1, "a histogram has one bucket more than bounds")
        (self.bounds, self.counts, self.sum) = (bounds, counts, sum)
    }

    /// The number of measurements.
    package var count: Int { counts.reduce(0, +) }

    /// The measurements of both; they must have the same bounds.
    package static func + (left: Self, right: Self) -> Self {
        precondition(left.bounds == right.bounds, "only histograms of the same bounds add up")
        return Self(bounds: left.bounds, counts: zip(left.counts, right.counts).map(+), sum: left.sum + right.sum)
    }
}
