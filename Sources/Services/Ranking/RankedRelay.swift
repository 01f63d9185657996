import Synchronization

/// Relays sales, and computes the ranking with each step until the relay has caught up for the first time: with a long
/// `--ranking-refresh` the next computation may be far.
final class RankedRelay: Sendable {
    private let relay: SalesRelay
    private let ranking: Ranking
    /// Whether the ranking was computed since the relay has caught up for the first time.
    private let isRankingCurrent = Atomic<Bool>(false)

    init(relay: SalesRelay, ranking: Ranking) { (self.relay, self.ranking) = (relay, ranking) }

    /// Counts what is new. Zero where it is due again at once.
    func step() async throws -> Duration? {
        let timesForgotten = relay.timesForgotten
        try await relay.step()
        if !isRankingCurrent.load(ordering: .relaxed) { try await ranking.refresh() }
        // Another Redis meanwhile: its scores were not looked at yet.
        guard relay.timesForgotten == timesForgotten else { return .zero }
        isRankingCurrent.store(true, ordering: .relaxed)
        return nil
    }
}
