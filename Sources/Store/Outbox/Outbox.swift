package import Commerce
import GRDB
package import TraceContext

/// A waiting event with what its delivery needs; the payload goes to the data platform or to the stream.
package struct OutgoingEvent: Sendable, Equatable {
    package let id: EventID
    package let kind: OrderEvent.Kind
    package let orderID: OrderID
    package let payload: String
    /// Attempts that failed.
    package let attempts: Int64
    /// When the next attempt is due, by the clock at the time of the last one.
    package let nextAttemptAt: Instant
    /// The trace of the request that caused the event; nil where it had none.
    package let trace: TraceParent?
}

/// The units that one event adds to the scores of its day.
package struct SalesMovement: Sendable, Equatable {
    package let eventID: EventID
    package let saleDay: BusinessDay
    package fileprivate(set) var units: [ProductUnits]
}

/// An event with how far its message to the data platform has come.
package struct EventRecord: Sendable, Equatable {
    package let event: OrderEvent
    package let delivery: OrderEvent.Delivery
    /// Attempts that failed.
    package let attempts: Int64
    package let nextAttemptAt: Instant
    /// Why the last attempt failed; `nil` before the first failure.
    package let lastError: String?
}

extension TransactionalStore {
    /// The units of the events after `id`, in order and without a gap, of at most `limit` events: what the relay counts.
    package func movements(after id: EventID, limit: Int) async throws(StoreError) -> [SalesMovement] {
        try await read(.service) { db in try db.movements(after: id, through: EventID(id.rawValue + Int64(limit))) }
    }

    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    package func lastEventID() async throws(StoreError) -> EventID {
        try await read(.service) { [options] in try $0.lastEventID(base: options.eventBase) }
    }

    /// Waiting events after `id`, in the order of their ids.
    ///
    /// A parked event holds back the later events of its order: they are left out until it is retried.
    package func waitingEvents(after id: EventID, limit: Int) async throws(StoreError) -> [OutgoingEvent] {
        try await read(.service) { db in try db.all(Outbox.waiting, id, limit, read: Outbox.outgoing) }
    }

    /// The waiting events among `ids`, in their order.
    package func waitingEvents(_ ids: [EventID]) async throws(StoreError) -> [OutgoingEvent] {
        try await read(.service) { db in
            try ids.compactMap { id in try db.first(Outbox.waitingByID, id, read: Outbox.outgoing) }
        }
    }

    /// Marks an event as delivered; returns false where it was already.
    @discardableResult
    package func markDelivered(_ id: EventID) async throws(StoreError) -> Bool {
        try await write(context: nil) { db in
            // Also a parked event: if its last attempt was accepted late, it needs no retry.
            try db.changes(Outbox.delivered, id) == 1
        }
    }

    /// Marks events as delivered in one write; those delivered before stay as they are.
    package func markDelivered(_ ids: [EventID]) async throws(StoreError) {
        try await write(context: nil) { db in
            for id in ids { try db.run(Outbox.delivered, id) }
        }
    }

    /// Notes a failed attempt that will be repeated; returns false for an event that is delivered or parked, which stays as it is.
    @discardableResult
    package func markFailed(_ id: EventID, nextAttemptAt: Instant, error: String) async throws(StoreError) -> Bool {
        try await write(context: nil) { db in
            try db.changes(
                "UPDATE events SET attempts = attempts + 1, next_attempt_at = ?, last_error = ? WHERE id = ? AND delivery = 0",
                nextAttemptAt, error, id) == 1
        }
    }

    /// Parks an event after its last failed attempt: it waits for an operator. Returns false where it was not waiting, and changes nothing.
    @discardableResult
    package func park(_ id: EventID, error: String) async throws(StoreError) -> Bool {
        try await write(context: nil) { db in
            try db.changes(
                "UPDATE events SET delivery = 2, attempts = attempts + 1, last_error = ? WHERE id = ? AND delivery = 0", error, id) == 1
        }
    }

    /// Has a parked event delivered again: it is due at once and has all its attempts.
    ///
    /// Refused: `eventNotFound`, `eventNotParked`.
    package func retryParked(
        _ id: EventID, at now: Instant, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<EventRecord> {
        let outcome = try await decide(context: context) { db throws -> Outcome<EventRecord> in
            guard let record = try db.event(id) else { return .refused(.eventNotFound) }
            guard record.delivery == .parked else { return .refused(.eventNotParked) }
            try db.run("UPDATE events SET delivery = 0, attempts = 0, next_attempt_at = ? WHERE id = ?", now, id)
            return .done(
                EventRecord(
                    event: record.event, delivery: .waiting, attempts: 0, nextAttemptAt: now, lastError: record.lastError))
        }
        if case .done = outcome { dueWork.tell(.retriedEvents) }
        return outcome
    }

    /// Has every parked event delivered again and returns their number. Each write changes at most `step` events, so that other writes
    /// run in between.
    package func retryAllParked(
        at now: Instant, step: Int = 500, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Int {
        // Only events up to the newest one of now: events that are appended and parked meanwhile do not prolong this.
        let last = try await lastEventID()
        var (retried, after) = (0, EventID(0))
        defer { if retried > 0 { dueWork.tell(.retriedEvents) } }
        while true {
            let start = after
            let ids: [EventID] = try await write(context: context) { db in
                let ids: [EventID] = try db.all(Outbox.parked, start, last, step) { $0.id(0) }
                for id in ids { try db.run(Outbox.retried, now, id) }
                return ids
            }
            retried += ids.count
            guard ids.count == step, let newest = ids.last else { return retried }
            after = newest
        }
    }

    /// Has delivered events after `id` delivered again, because their sink lost them: at most the newest `limit`. Returns their number.
    package func redeliver(after id: EventID, atMost limit: Int, at now: Instant, step: Int = 500) async throws(StoreError) -> Int {
        let last = try await lastEventID()
        // Below the oldest event there is nothing to write: in a new store that spares a commit for each step.
        let oldest = try await read(.service) { try $0.first("SELECT id FROM events ORDER BY id LIMIT 1") { $0.int(0) } }
        let first = max(id.rawValue, last.rawValue - Int64(limit), (oldest ?? last.rawValue + 1) - 1)
        var count = 0
        // From the newest down: if this ends early, the events that are left are still after `id`, and the next call finds them.
        var before = last.rawValue + 1
        while before > first + 1 {
            let range = max(first, before - 1 - Int64(step))..<before
            count += try await write(context: nil) { db in
                try db.changes(
                    """
                    UPDATE events SET delivery = 0, attempts = 0, next_attempt_at = ? WHERE id > ? AND id < ? AND delivery = 1
                    """, now, range.lowerBound, range.upperBound)
            }
            before = range.lowerBound + 1
        }
        if count > 0 { dueWork.tell(.retriedEvents) }
        return count
    }
}

enum Outbox {
    private static let columns = "id, kind, order_id, payload, attempts, next_attempt_at, traceparent"

    static let waiting = """
        SELECT \(columns) FROM events INDEXED BY events_waiting
        WHERE delivery = 0 AND id > ? AND NOT EXISTS (
            SELECT 1 FROM events earlier INDEXED BY events_undelivered_by_order
            WHERE earlier.order_id = events.order_id AND earlier.id < events.id AND earlier.delivery <> 1 AND earlier.delivery = 2)
        ORDER BY id LIMIT ?
        """

    static let waitingByID = "SELECT \(columns) FROM events WHERE id = ? AND delivery = 0"

    static func outgoing(_ row: Columns) -> OutgoingEvent {
        OutgoingEvent(
            id: row.id(0), kind: row.int(1) == 0 ? .paid : .refunded, orderID: row.id(2), payload: row.text(3), attempts: row.int(4),
            nextAttemptAt: row.instant(5), trace: row.optionalText(6).flatMap { TraceParent($0) })
    }

    static let parked = "SELECT id FROM events INDEXED BY events_parked WHERE delivery = 2 AND id > ? AND id <= ? ORDER BY id LIMIT ?"

    static let retried = "UPDATE events SET delivery = 0, attempts = 0, next_attempt_at = ? WHERE id = ? AND delivery = 2"

    static let delivered = "UPDATE events SET delivery = 1, last_error = NULL WHERE id = ? AND delivery <> 1"
}

extension Database {
    fileprivate func movements(after id: EventID, through last: EventID) throws -> [SalesMovement] {
        var movements: [SalesMovement] = []
        try forEach(
            """
            SELECT e.id, e.sale_day, u.product_id, u.units FROM events e JOIN event_units u ON u.event_id = e.id
            WHERE e.id > ? AND e.id <= ? ORDER BY e.id
            """, id, last
        ) { row in
            let (event, unit): (EventID, ProductUnits) = (row.id(0), ProductUnits(productID: row.id(2), units: row.int(3)))
            if movements.last?.eventID == event {
                movements[movements.count - 1].units.append(unit)
            } else {
                movements.append(SalesMovement(eventID: event, saleDay: row.day(1), units: [unit]))
            }
        }
        return movements
    }

    /// Writes an event with the next id; the single writer leaves no gap between the ids of an incarnation.
    func appendEvent(
        _ kind: OrderEvent.Kind, order: Order, saleDay: BusinessDay, units: [ProductUnits], options: StoreOptions, at now: Instant,
        trace: TraceParent?, payload: (EventID) -> String
    ) throws {
        let id = EventID(try lastEventID(base: options.eventBase).rawValue + 1)
        options.dueWork.noteEvent()
        try run(
            """
            INSERT INTO events (id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at, traceparent)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """, id, kind == .paid ? 0 : 1, order.id, now, saleDay, payload(id), now, Nullable(trace?.description))
        for unit in units {
            try run("INSERT INTO event_units (event_id, product_id, units) VALUES (?, ?, ?)", id, unit.productID, unit.units)
        }
    }

    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    func lastEventID(base: Int64) throws -> EventID {
        EventID(max(try integer("SELECT max(id) FROM events"), base))
    }

    func event(_ id: EventID) throws -> EventRecord? {
        try events("WHERE id = ?", [id]).first
    }

    /// Events with their units; `condition` is everything after FROM.
    func events(_ condition: String, _ arguments: [any StatementBinding]) throws -> [EventRecord] {
        let rows = try all(
            """
            SELECT id, kind, order_id, occurred_at, sale_day, payload, delivery, attempts, next_attempt_at, last_error
            FROM events \(condition)
            """, list: arguments, read: Self.eventRow)
        return try rows.map { record in try record.with(units: units(of: record.event.id)) }
    }

    private func units(of id: EventID) throws -> [ProductUnits] {
        try all("SELECT product_id, units FROM event_units WHERE event_id = ?", id) { row in
            ProductUnits(productID: row.id(0), units: row.int(1))
        }
    }

    private static func eventRow(_ row: Columns) throws -> EventRecord {
        guard let delivery = OrderEvent.Delivery(rawValue: row.int(6)) else {
            throw StoreError(.malformedRow, "event \(row.int(0)) has no valid delivery state")
        }
        let event = OrderEvent(
            id: row.id(0), kind: row.int(1) == 0 ? .paid : .refunded, orderID: row.id(2), occurredAt: row.instant(3), saleDay: row.day(4),
            units: [], payload: row.text(5))
        return EventRecord(
            event: event, delivery: delivery, attempts: row.int(7), nextAttemptAt: row.instant(8), lastError: row.optionalText(9))
    }
}

extension EventRecord {
    fileprivate func with(units: [ProductUnits]) -> EventRecord {
        EventRecord(
            event: OrderEvent(
                id: event.id, kind: event.kind, orderID: event.orderID, occurredAt: event.occurredAt, saleDay: event.saleDay,
                units: units, payload: event.payload),
            delivery: delivery, attempts: attempts, nextAttemptAt: nextAttemptAt, lastError: lastError)
    }
}
