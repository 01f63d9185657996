import Synchronization

/// Computes the ranking again and again: no more often than asked for, and so that Redis is left alone for at least nineteen times as
/// long as a union takes. The shortest of the last eight counts, for a busy machine only ever makes one look longer.
final class RankingRefresh: Sendable {
    /// The least time between two unions.
    let interval: Duration
    private let ranking: Ranking
    /// How long the last unions took.
    private let latest = Mutex<[Duration]>([])

    init(ranking: Ranking, interval: Duration) { (self.ranking, self.interval) = (ranking, interval) }

    /// Computes it once, and returns when Redis was left alone for long enough.
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
