import Synchronization

/// How many requests of a round had which outcome.
package struct RequestCounts: Sendable {
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

    package static func + (left: RequestCounts, right: RequestCounts) -> RequestCounts {
        var sum = left
        for field in [\RequestCounts.answers, \.unavailable, \.lostReplies, \.won, \.charged, \.ordered, \.paid, \.cancelled, \.refunded] {
            sum[keyPath: field] += right[keyPath: field]
        }
        return sum
    }
}

final class RequestCounter: Sendable {
    private let counts = Mutex(RequestCounts())

    func count(_ change: @Sendable (inout RequestCounts) -> Void) { counts.withLock { change(&$0) } }
    var current: RequestCounts { counts.withLock { $0 } }
    func take() -> RequestCounts {
        counts.withLock { counts in
            defer { counts = RequestCounts() }
            return counts
        }
    }
}
