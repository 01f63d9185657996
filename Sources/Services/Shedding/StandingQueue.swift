/// Decides whether new work may join a queue: a queue that is long for a moment is a burst, one that stays long means that more work
/// arrives than is done.
///
/// The idea is that of CoDel (RFC 8289): what counts is the shortest wait within an interval. While the queue is above its target for less
/// than an interval, or is being worked off, all work is accepted. After that, work is accepted only while it would wait for less than
/// the target, until for a whole interval no work had to be refused. So a service that gets twice the work that it can do accepts what
/// it can do, and that is answered within the target.
///
/// A value without a clock; each event loop has its own.
package struct StandingQueue: Sendable {
    /// How long a queue may be above its target before work is refused, in nanoseconds.
    package let interval: Int64
    /// The wait that is accepted for good, in nanoseconds.
    package let target: Int64
    /// Whether the queue stands.
    package private(set) var isStanding = false
    /// Since when the queue has been above its target, and the wait then; nil while it is not.
    private var above: (since: Int64, wait: Int64)?
    /// The last instant at which the queue was seen above its target.
    private var lastAbove = Int64.min

    package init(interval: Int64, target: Int64) { (self.interval, self.target) = (interval, target) }

    /// Whether work that arrives now may join.
    ///
    /// - Parameters:
    ///   - wait: how long the work would wait, in nanoseconds.
    ///   - now: nanoseconds of a steady clock.
    package mutating func admits(wait: Int64, at now: Int64) -> Bool {
        // Nothing was seen for an interval, so nothing is known about the queue before this work.
        if lastAbove != .min, now - lastAbove >= interval { (above, isStanding) = (nil, false) }
        guard wait > target else {
            above = nil
            return true
        }
        lastAbove = now
        if isStanding { return false }
        guard let above else {
            self.above = (now, wait)
            return true
        }
        guard now - above.since >= interval else { return true }
        // A burst that is being worked off gets another interval: its wait falls by as much time as passes, less what arrives meanwhile.
        guard wait > above.wait - interval / 8 else {
            self.above = (now, wait)
            return true
        }
        isStanding = true
        return false
    }
}
