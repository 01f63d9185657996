import Synchronization

/// One term of the lease as its holder knows it. It ends by the holder's own clock, or when the holder gives it up.
package final class DutyTerm: Sendable {
    package let mark: DutyMark
    private let state: Mutex<(end: ContinuousClock.Instant, isGivenUp: Bool)>

    /// The term whose duties the present task does; nil in a task that does none, and where the store has one service alone.
    ///
    /// Writes that a former holder must not make take the mark from here and compare it in their transaction.
    @TaskLocal package static var current: DutyTerm?

    /// How long the holder believes in a renewal, from when it was sent: a second less than the lease lasts by the server's clock.
    package static let length: Duration = .seconds(4)

    /// - Parameter start: a time before the lease was asked for.
    package init(_ mark: DutyMark, since start: ContinuousClock.Instant) {
        self.mark = mark
        state = Mutex((start + Self.length, false))
    }

    /// Notes a renewal that succeeded.
    ///
    /// - Parameter start: a time before it was sent.
    package func renewed(since start: ContinuousClock.Instant) { state.withLock { $0.end = max($0.end, start + Self.length) } }

    /// Ends the term for new work. What is under way may go on for ``rest``.
    package func giveUp() { state.withLock { $0.isGivenUp = true } }

    /// Whether something new may be begun.
    package var isValid: Bool { state.withLock { !$0.isGivenUp && ContinuousClock.now < $0.end } }

    /// How long the lease is still believed in; zero or less after its end.
    package var rest: Duration { state.withLock { $0.end } - .now }

    /// Whether the present task may begin something new: always where it does no duty under a lease.
    package static var isCurrentValid: Bool { current?.isValid ?? true }
}
