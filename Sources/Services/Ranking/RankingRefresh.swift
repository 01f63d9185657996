import Synchronization

/// Computes the ranking regularly, and limits the time that this takes from Redis to a twentieth.
///
/// After each computation it pauses for nineteen times as long as a union takes. The shortest of the last eight unions is the measure,
/// because a busy machine can only make one seem longer.
final class RankingRefresh: Sendable {
    /// The least time between two computations.
    let interval: Duration
    private let ranking: Ranking
    /// How long the last unions took.
    private let latest = Mutex<[Duration]>([])

    init(ranking: Ranking, interval: Duration) { (self.ranking, self.interval) = (ranking, interval) }

    /// Computes the ranking once, and returns after the pause.
    func step() async throws {
        let start = ContinuousClock.now
        try await ranking.refresh(sharing: interval)
        let shortest = latest.withLock { latest in
            latest = latest.suffix(7) + [ContinuousClock.now - start]
            return latest.min() ?? .zero
        }
        try await Task.sleep(for: shortest * 19)
    }
}
