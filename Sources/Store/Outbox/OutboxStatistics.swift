package import Commerce
import GRDB

/// How many events of the outbox are not delivered.
package struct OutboxStatistics: Sendable, Equatable {
    /// Events that are to be delivered, including those that a parked event of their order holds back.
    package let waiting: Int64
    package let parked: Int64
    /// When the oldest waiting event happened; nil where none waits.
    package let oldestWaiting: Instant?

    package init(waiting: Int64, parked: Int64, oldestWaiting: Instant?) {
        (self.waiting, self.parked, self.oldestWaiting) = (waiting, parked, oldestWaiting)
    }
}

extension TransactionalStore {
    /// Counts the events that are not delivered, by indexes that contain no others.
    package func outboxStatistics() async throws(StoreError) -> OutboxStatistics {
        try await read(.service) { db in
            OutboxStatistics(
                waiting: try db.integer("SELECT count(*) FROM events INDEXED BY events_waiting WHERE delivery = 0"),
                parked: try db.integer("SELECT count(*) FROM events INDEXED BY events_parked WHERE delivery = 2"),
                oldestWaiting: try db.first(
                    "SELECT occurred_at FROM events INDEXED BY events_waiting WHERE delivery = 0 ORDER BY \(db.eventNumber) LIMIT 1"
                ) { $0.instant(0) })
        }
    }
}
