package import NIOCore

/// When each request of a run is due: evenly spaced, whatever happens to earlier ones.
///
/// The queue of requests that are due and not yet sent takes no memory: it is the range of indices from the next to send up to now.
package struct ArrivalSchedule: Sendable {
    package let start: NIODeadline
    package let count: Int
    private let nanosecondsBetween: Double

    package init(start: NIODeadline, rate: Double, seconds: Double) {
        self.start = start
        count = Int((rate * seconds).rounded())
        nanosecondsBetween = 1e9 / rate
    }

    /// The instant at which the request of this index is due.
    package func due(_ index: Int) -> NIODeadline { start + .nanoseconds(Int64(Double(index) * nanosecondsBetween)) }
}
