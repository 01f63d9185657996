import Synchronization

/// Relays sales, and computes the ranking after each step until the relay has caught up for the first time.
///
/// Otherwise, with a long `--ranking-refresh`, the list would lack the caught-up sales until the next computation.
final class RankedRelay: Sendable {
    private let relay: SalesRelay
    private let ranking: Ranking
    /// Whether the ranking was computed after the relay had caught up for the first time.
    private let isRankingCurrent = Atomic<Bool>(false)

    init(relay: SalesRelay, ranking: Ranking) { (self.relay, self.ranking) = (relay, ranking) }

    /// Counts new sales.
    ///
    /// - Returns: zero where a reconnect came in between, so that the next step follows after the least pause.
    func step() async throws -> Duration? {
        let invalidationCount = relay.invalidationCount
        try await relay.step()
        if !isRankingCurrent.load(ordering: .relaxed) { try await ranking.refresh() }
        // After a reconnect meanwhile, the scores of the Redis that answers now were not checked yet.
        guard relay.invalidationCount == invalidationCount else { return .zero }
        isRankingCurrent.store(true, ordering: .relaxed)
        return nil
    }
}
