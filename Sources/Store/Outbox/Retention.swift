package import Commerce
import GRDB

// Removal of old rows, in steps so small that they do not delay the requests between them.

extension TransactionalStore {
    /// Removes delivered events that happened before an instant, the oldest first, at most `limit`, and returns their number.
    ///
    /// Events are removed in the order of their ids: a waiting or parked event stays, and so do all after it. The newest event always
    /// stays, because the next id is counted from it. The events' units are removed too, so the scores of their days cannot be rebuilt.
    package func pruneEvents(before instant: Instant, limit: Int = 100) async throws(StoreError) -> Int {
        try await write(context: nil) { db in
            let pruned = try db.prunedEvents()
            let next: [(id: EventID, isSale: Bool, mayGo: Bool)] = try db.all(
                "SELECT id, kind, delivery = 1 AND occurred_at < ? FROM events WHERE id > ? ORDER BY id LIMIT ?",
                instant, pruned.through, limit + 1
            ) { ($0.id(0), $0.int(1) == 0, $0.bool(2)) }
            let old = next.dropLast().prefix { $0.mayGo }
            guard let last = old.last?.id else { return 0 }
            let sales = old.count { $0.isSale }
            try db.run("DELETE FROM event_units WHERE event_id > ? AND event_id <= ?", pruned.through, last)
            try db.run("DELETE FROM events WHERE id > ? AND id <= ?", pruned.through, last)
            try db.run(
                "UPDATE pruned_events SET through = ?, payments = payments + ?, refunds = refunds + ?", last, sales, old.count - sales)
            return old.count
        }
    }

    /// Removes responses stored before an instant, the oldest first, at most `limit`, and returns their number.
    package func purgeStoredResponses(before: Instant, limit: Int = 100) async throws(StoreError) -> Int {
        try await write(context: nil) { db in
            try db.changes(
                """
                DELETE FROM idempotency WHERE (scope, key) IN
                (SELECT scope, key FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?)
                """, before, limit)
        }
    }
}

/// Which events were removed: all up to `through`, those of the first `payments` payments and the first `refunds` refunds.
struct PrunedEvents: Equatable {
    let through: EventID
    let payments: Int64
    let refunds: Int64
}

extension Database {
    func prunedEvents() throws -> PrunedEvents {
        try first("SELECT through, payments, refunds FROM pruned_events") {
            PrunedEvents(through: $0.id(0), payments: $0.int(1), refunds: $0.int(2))
        } ?? PrunedEvents(through: EventID(0), payments: 0, refunds: 0)
    }
}
