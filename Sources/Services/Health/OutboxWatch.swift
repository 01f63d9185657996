import Store
import Synchronization

/// Keeps the state of the outbox in memory for `/metrics`, so that a scrape reads nothing from the store.
///
/// It looks when a commit has appended events or an operator has retried some, then about once a second for as long as events wait. It
/// counts by partial indexes of the events that are not delivered; in a long outage these may be many, so it rests nineteen times as long
/// as it has counted.
final class OutboxWatch: Sendable {
    /// Raised when events were appended or wait again.
    let wakeup = Wakeup()
    private let store: TransactionalStore
    private let latest = Mutex<OutboxStatistics?>(nil)

    /// The least time between two looks.
    static let pause: Duration = .seconds(1)

    init(store: TransactionalStore) { self.store = store }

    /// The outbox at most a few seconds ago; nil before the first look, while the store cannot be read, and where another service looks.
    var statistics: OutboxStatistics? { latest.withLock { $0 } }

    /// Makes the state unknown until the next look.
    func forget() { latest.withLock { $0 = nil } }

    /// Looks once.
    ///
    /// - Returns: the time after which to look again; nil where no event waits, so that nothing changes before a commit wakes this.
    func step() async throws -> Duration? {
        let start = ContinuousClock.now
        let statistics: OutboxStatistics
        do {
            statistics = try await store.outboxStatistics()
        } catch {
            latest.withLock { $0 = nil }
            throw error
        }
        latest.withLock { $0 = statistics }
        try await Task.sleep(for: (ContinuousClock.now - start) * 19)
        return statistics.waiting > 0 ? Self.pause : nil
    }
}
