import Commerce
import Store

/// Removes what nobody needs any more: events that were delivered long ago, and answers whose idempotency keys have expired.
///
/// It works in steps of 100 rows, and pauses after each for four times as long as that took: no request waits longer than a step, and
/// a backlog of a million rows is gone in minutes.
package struct Retention: Sendable {
    let store: TransactionalStore
    let clock: WallClock
    /// How long a delivered event is kept.
    let keepEvents: Duration

    /// The least time that events have to be kept: a ranking is rebuilt from those of its days.
    package static let leastKeepEvents: Duration = .seconds(86_400 * (RankingDays.kept + 2))

    /// Removes what is due by now.
    func step() async throws {
        try await removeAll(olderThan: .milliseconds(StoredResponse.lifetimeMilliseconds)) { [store] in
            try await store.purgeStoredResponses(before: $0)
        }
        try await removeAll(olderThan: keepEvents) { [store] in try await store.pruneEvents(before: $0) }
    }

    private func removeAll(olderThan age: Duration, _ remove: (Instant) async throws -> Int) async throws {
        guard let limit = clock.now.advanced(byMilliseconds: -Int64(age / .milliseconds(1))) else { return }
        while true {
            let start = ContinuousClock.now
            guard try await remove(limit) > 0 else { return }
            try await Task.sleep(for: (ContinuousClock.now - start) * 4)
        }
    }
}
