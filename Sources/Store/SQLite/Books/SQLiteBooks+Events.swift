import Commerce
import GRDB
import TraceContext

extension SQLiteBooks {
    func appendEvent(_ event: NewEvent, payload: (EventID) -> String) throws {
        let id = EventID(try lastEventID().rawValue + 1)
        gathered.lastEvent = id
        dueWork.noteEvent()
        guard gathers(.events) else {
            try run(
                .addEvent, id, event.kind == .paid ? 0 : 1, event.order, event.occurredAt, event.saleDay, payload(id), event.occurredAt,
                Nullable(event.trace?.description))
            for unit in event.units { try run(.addUnits, id, unit.productID, unit.units) }
            return noteFirst(.events, id.rawValue)
        }
        gather(
            .events, .integer(id.rawValue), .integer(event.kind == .paid ? 0 : 1), .integer(event.order.rawValue),
            .integer(event.occurredAt.milliseconds), .integer(event.saleDay.number), .text(payload(id)),
            .integer(event.occurredAt.milliseconds), .optional(event.trace?.description))
        for unit in event.units {
            gather(.eventUnits, .integer(id.rawValue), .integer(unit.productID.rawValue), .integer(unit.units))
        }
    }

    func event(_ id: EventID) throws -> EventRecord? {
        try flushInserts()
        return try db.event(id)
    }

    func eventHead(_ id: EventID) throws -> EventHead? {
        try flushInserts()
        return try db.first("SELECT kind, delivery, occurred_at FROM events WHERE id = ?", id) { row in
            guard let delivery = OrderEvent.Delivery(rawValue: row.int(1)) else {
                throw StoreError(.malformedRow, "event \(id) has no valid delivery state")
            }
            return EventHead(kind: row.int(0) == 0 ? .paid : .refunded, delivery: delivery, occurredAt: row.instant(2))
        }
    }

    func changeDelivery(of event: EventID, if states: DeliveryStates, to change: DeliveryChange) throws -> Bool {
        try flushInserts()
        let changed =
            switch change {
            case .delivered:
                try db.changes(
                    "UPDATE events SET delivery = 1, last_error = NULL WHERE id = ? AND (? >> delivery) & 1", event, states.rawValue)
            case .failed(let nextAttemptAt, let error):
                try db.changes(
                    """
                    UPDATE events SET attempts = attempts + 1, next_attempt_at = ?, last_error = ? WHERE id = ? AND (? >> delivery) & 1
                    """, nextAttemptAt, error, event, states.rawValue)
            case .parked(let error):
                try db.changes(
                    """
                    UPDATE events SET delivery = 2, attempts = attempts + 1, last_error = ? WHERE id = ? AND (? >> delivery) & 1
                    """, error, event, states.rawValue)
            case .again(let instant):
                try db.changes(
                    """
                    UPDATE events SET delivery = 0, attempts = 0, next_attempt_at = ? WHERE id = ? AND (? >> delivery) & 1
                    """, instant, event, states.rawValue)
            }
        return changed == 1
    }

    /// A file has one service, which does all duties without a lease.
    func isHeld(_ duty: DutyMark) -> Bool { true }

    func prunedEvents() throws -> PrunedEvents { try db.prunedEvents() }

    func pruneEvents(from old: PrunedEvents, to new: PrunedEvents) throws {
        try flushInserts()
        try db.run("DELETE FROM event_units WHERE event_id > ? AND event_id <= ?", old.through, new.through)
        try db.run("DELETE FROM events WHERE id > ? AND id <= ?", old.through, new.through)
        try db.run("UPDATE pruned_events SET through = ?, payments = ?, refunds = ?", new.through, new.payments, new.refunds)
    }
}

extension Database {
    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    func lastEventID(base: Int64) throws -> EventID {
        EventID(max(try integer("SELECT max(id) FROM events"), base))
    }

    func event(_ id: EventID) throws -> EventRecord? {
        try first("SELECT \(Self.eventColumns) FROM events WHERE id = ?", id, read: Self.eventRow).map { record in
            record.with(units: try all(Self.unitsByEvent, id) { ProductUnits(productID: $0.id(0), units: $0.int(1)) })
        }
    }

    static let eventColumns = "id, kind, order_id, occurred_at, sale_day, payload, delivery, attempts, next_attempt_at, last_error"
    static let unitsByEvent = "SELECT product_id, units FROM event_units WHERE event_id = ? ORDER BY product_id"

    /// An event without its units.
    static func eventRow(_ row: some RowColumns) throws -> EventRecord {
        guard let delivery = OrderEvent.Delivery(rawValue: row.int(6)) else {
            throw StoreError(.malformedRow, "event \(row.int(0)) has no valid delivery state")
        }
        let event = OrderEvent(
            id: row.id(0), kind: row.int(1) == 0 ? .paid : .refunded, orderID: row.id(2), occurredAt: row.instant(3), saleDay: row.day(4),
            units: [], payload: row.text(5))
        return EventRecord(
            event: event, delivery: delivery, attempts: row.int(7), nextAttemptAt: row.instant(8), lastError: row.optionalText(9))
    }

    func prunedEvents() throws -> PrunedEvents {
        try first(Self.prunedEventsQuery, read: Self.prunedEvents) ?? PrunedEvents(through: EventID(0), payments: 0, refunds: 0)
    }

    static let prunedEventsQuery = "SELECT through, payments, refunds FROM pruned_events"

    static func prunedEvents(_ row: some RowColumns) -> PrunedEvents {
        PrunedEvents(through: row.id(0), payments: row.int(1), refunds: row.int(2))
    }
}

extension EventRecord {
    func with(units: [ProductUnits]) -> EventRecord {
        EventRecord(
            event: OrderEvent(
                id: event.id, kind: event.kind, orderID: event.orderID, occurredAt: event.occurredAt, saleDay: event.saleDay,
                units: units, payload: event.payload),
            delivery: delivery, attempts: attempts, nextAttemptAt: nextAttemptAt, lastError: lastError)
    }
}
