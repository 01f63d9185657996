/// Decides which part of the work of an event loop is refused while the loop is late.
///
/// A loop's lag is known only now and then, and late: refusing all work while it is too long and none while it is not would swing between
/// the two. So while the lag stands (see ``StandingQueue``), a share of the work is refused, which each measurement corrects by how far the
/// lag is from its target, as PIE does (RFC 8033).
///
/// A value without a clock; each event loop has its own.
package struct LateLoop: Sendable {
    private var queue: StandingQueue
    /// The share of the work that is refused.
    package private(set) var refusedShare = 0.0
    /// Refusals that are due; one is made whenever this reaches 1.
    private var due = 0.0
    private var lastMeasurement = Int64.min

    /// The share at first, and the most by which one measurement changes it.
    private static let (firstShare, greatestStep) = (0.25, 0.1)

    /// See ``StandingQueue/init(interval:target:)``.
    package init(interval: Int64, target: Int64) { queue = StandingQueue(interval: interval, target: target) }

    /// Whether work that arrives now may begin.
    ///
    /// - Parameters:
    ///   - lag: how late the loop is, in nanoseconds.
    ///   - measuredAt: when that was measured; the same number for the same measurement.
    ///   - now: nanoseconds of a steady clock.
    package mutating func admits(lag: Int64, measuredAt: Int64, at now: Int64) -> Bool {
        let stood = queue.isStanding
        _ = queue.admits(wait: lag, at: now)
        guard queue.isStanding else {
            refusedShare = 0
            return true
        }
        if !stood { refusedShare = Self.firstShare }
        if measuredAt != lastMeasurement {
            lastMeasurement = measuredAt
            let error = Double(lag) / Double(max(queue.target, 1)) - 1
            refusedShare = min(max(refusedShare + min(max(error, -1), 1) * Self.greatestStep, 0), 1)
        }
        due += refusedShare
        guard due >= 1 else { return true }
        due -= 1
        return false
    }
}
