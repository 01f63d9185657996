package import Commerce
import GRDB

// Removal of old rows, in steps so small that they do not delay the requests between them.

extension TransactionalStore {
    /// Removes delivered events that happened before an instant, the oldest first, at most `limit`, and returns their number.
    ///
    /// Events are removed in the order of their ids: a waiting or parked event stays, and so do all after it. The newest event always
    /// stays, because the next id is counted from it. The events' units are removed too, so the scores of their days cannot be rebuilt.
    package func pruneEvents(before instant: Instant, limit: Int = 100) async throws(StoreError) -> Int {
        let candidates = try await read(.service) { db in
            let pruned = try db.prunedEvents()
            let next: [(id: EventID, mayGo: Bool)] = try db.all(
                "SELECT id, delivery = 1 AND occurred_at < ? FROM events WHERE id > ? ORDER BY id LIMIT ?",
                instant, pruned.through, limit + 1
            ) { ($0.id(0), $0.bool(1)) }
            return PruneEvents(events: next.dropLast().prefix { $0.mayGo }.map(\.id), pruned: pruned, instant: instant)
        }
        return candidates.events.isEmpty ? 0 : try await write(candidates)
    }

    /// Removes responses stored before an instant, the oldest first, at most `limit`, and returns their number.
    package func purgeStoredResponses(before instant: Instant, limit: Int = 100) async throws(StoreError) -> Int {
        let keys = try await read(.service) { db in
            try db.all("SELECT scope, key FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?", instant, limit) {
                IdempotencyKey(scope: $0.text(0), key: $0.text(1), fingerprint: [])
            }
        }
        return keys.isEmpty ? 0 : try await write(RemoveAnswers(keys: keys, instant: instant))
    }
}

/// Removes the first of the events, as long as each was delivered and happened before the instant.
struct PruneEvents: UseCase {
    /// The oldest events, in order and without the newest of all.
    let events: [EventID]
    /// How far events were removed when these were found.
    let pruned: PrunedEvents
    let instant: Instant

    var needs: Needs {
        var needs = Needs(events: events)
        needs.outboxBounds = true
        return needs
    }

    func decide(_ books: some Books) throws -> Outcome<Int> {
        guard try books.prunedEvents() == pruned else { return .done(0) }
        var (now, count) = (pruned, 0)
        for id in events {
            guard let event = try books.eventHead(id), event.delivery == .delivered, event.occurredAt < instant else { break }
            now.through = id
            if event.kind == .paid { now.payments += 1 } else { now.refunds += 1 }
            count += 1
        }
        if count > 0 { try books.pruneEvents(from: pruned, to: now) }
        return .done(count)
    }
}

/// Removes the responses that are stored under the keys since before the instant.
struct RemoveAnswers: UseCase {
    let keys: [IdempotencyKey]
    let instant: Instant

    var needs: Needs {
        var needs = Needs()
        needs.answers = keys
        return needs
    }

    func decide(_ books: some Books) throws -> Outcome<Int> {
        var count = 0
        for key in keys where try books.removeAnswer(under: key, storedBefore: instant) { count += 1 }
        return .done(count)
    }
}

/// Which events were removed: all up to `through`, those of the first `payments` payments and the first `refunds` refunds.
package struct PrunedEvents: Sendable, Equatable {
    package var through: EventID
    package var payments: Int64
    package var refunds: Int64

    package init(through: EventID, payments: Int64, refunds: Int64) {
        (self.through, self.payments, self.refunds) = (through, payments, refunds)
    }
}

/// What of an event decides whether it may be removed.
package struct EventHead: Sendable, Equatable {
    package let kind: OrderEvent.Kind
    package let delivery: OrderEvent.Delivery
    package let occurredAt: Instant

    package init(kind: OrderEvent.Kind, delivery: OrderEvent.Delivery, occurredAt: Instant) {
        (self.kind, self.delivery, self.occurredAt) = (kind, delivery, occurredAt)
    }
}
