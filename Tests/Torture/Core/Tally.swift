import Synchronization

/// What happened during a round, counted.
package struct Tally: Sendable {
    package var answers = 0
    package var unavailable = 0
    package var lostReplies = 0
    package var won = 0
    package var charged = 0
    package var ordered = 0
    package var paid = 0
    package var cancelled = 0
    package var refunded = 0

    /// Answers that reported a change.
    package var successes: Int { won + charged + ordered + paid + cancelled + refunded }

    package static func + (left: Tally, right: Tally) -> Tally {
        var sum = left
        for field in [\Tally.answers, \.unavailable, \.lostReplies, \.won, \.charged, \.ordered, \.paid, \.cancelled, \.refunded] {
            sum[keyPath: field] += right[keyPath: field]
        }
        return sum
    }
}

final class TallySheet: Sendable {
    private let tally = Mutex(Tally())

    func count(_ change: @Sendable (inout Tally) -> Void) { tally.withLock { change(&$0) } }
    var current: Tally { tally.withLock { $0 } }
    func take() -> Tally {
        tally.withLock { tally in
            defer { tally = Tally() }
            return tally
        }
    }
}
