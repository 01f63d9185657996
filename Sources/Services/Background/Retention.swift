import Commerce
import Store

/// Removes old rows from the store: events that were delivered long ago, and answers whose idempotency keys have expired.
///
/// It removes 100 rows at a time, and then pauses for four times as long as that took. So no write waits for more than one such step,
/// and a backlog of a million rows is removed in minutes.
package struct Retention: Sendable {
    let store: TransactionalStore
    let clock: WallClock
    /// How long a delivered event is kept.
    let keepEvents: Duration

    /// The least value of ``keepEvents``: the ranking of the days that Redis keeps is rebuilt from their events.
    package static let leastKeepEvents: Duration = .seconds(86_400 * (RankingDays.kept + 2))

    /// Removes every row that is old enough.
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
