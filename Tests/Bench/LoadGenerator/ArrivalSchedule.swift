package import NIOCore

/// When each request of a run is due: evenly spaced, whatever becomes of the ones before it.
///
/// The line of requests that are due and not yet sent needs no memory: it is the indices between the next to send and now.
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
