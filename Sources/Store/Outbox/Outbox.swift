package import Commerce
import GRDB
package import TraceContext

/// A waiting event with what its delivery needs; the payload goes to the data platform or to the stream.
package struct OutgoingEvent: Sendable, Equatable {
    package let id: EventID
    package let place: EventPlace
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

/// What one look at the waiting events found.
package struct WaitingEvents: Sendable, Equatable {
    /// Those that may be sent, in the order of their places.
    package fileprivate(set) var events: [OutgoingEvent] = []
    /// Up to where the look went, past events that are held back too; nil where nothing waits there.
    package fileprivate(set) var through: EventPlace?
    /// Whether more events may wait after ``through``.
    package fileprivate(set) var mayHaveMore = false
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

    package init(
        event: OrderEvent, delivery: OrderEvent.Delivery, attempts: Int64, nextAttemptAt: Instant, lastError: String?
    ) {
        (self.event, self.delivery, self.attempts) = (event, delivery, attempts)
        (self.nextAttemptAt, self.lastError) = (nextAttemptAt, lastError)
    }
}

extension TransactionalStore {
    /// The units of the events after `id`, in order and without a gap, of at most `limit` events: what the relay counts.
    package func movements(after id: EventID, limit: Int) async throws(StoreError) -> [SalesMovement] {
        try await read(.service) { db in try db.movements(after: id, through: EventID(id.rawValue + Int64(limit))) }
    }

    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    package func lastEventID() async throws(StoreError) -> EventID {
        try await read(.service) { [identity] in try $0.lastEventID(base: identity.eventBase) }
    }

    /// The greatest id of an event, from which steps over all events begin.
    private func newestEvent() async throws(StoreError) -> EventID {
        try await read(.service) { [identity] db in EventID(max(try db.newestEvent().rawValue, identity.eventBase)) }
    }

    /// Looks at up to `limit` waiting events after `place`, in the order of their places.
    ///
    /// A parked event holds back the later events of its order: they are left out until it is retried. They count against the limit, so that
    /// a look has a bounded cost.
    package func waitingEvents(after place: EventPlace, limit: Int) async throws(StoreError) -> WaitingEvents {
        try await read(.service) { db in
            let sql = db.sqlite == nil ? Outbox.waitingByPlace : Outbox.waitingByID
            var (found, count) = (WaitingEvents(), 0)
            try db.forEach(sql, place, limit) { row in
                let event = Outbox.outgoing(row)
                if !row.bool(8) { found.events.append(event) }
                found.through = event.place
                count += 1
            }
            found.mayHaveMore = count == limit
            return found
        }
    }

    /// The place of an event; of one that the store does not have, that of the event with the next smaller id, or 0 where there is none.
    package func place(of id: EventID) async throws(StoreError) -> EventPlace {
        try await read(.service) { db in
            let place = try db.first("SELECT \(db.eventNumber) FROM events WHERE id <= ? ORDER BY id DESC LIMIT 1", id) { $0.int(0) }
            return EventPlace(place ?? 0)
        }
    }

    /// The waiting events among `ids`, in their order.
    package func waitingEvents(_ ids: [EventID]) async throws(StoreError) -> [OutgoingEvent] {
        try await read(.service) { db in
            let sql = "SELECT \(Outbox.columns(place: db.eventNumber)) FROM events WHERE id = ? AND delivery = 0"
            return try ids.compactMap { id in try db.first(sql, id, read: Outbox.outgoing) }
        }
    }

    /// Marks an event as delivered; returns false where it was already.
    @discardableResult
    package func markDelivered(_ id: EventID) async throws(StoreError) -> Bool {
        // Also a parked event: if its last attempt was accepted late, it needs no retry.
        try await change([id], [.waiting, .parked], to: .delivered) == 1
    }

    /// Marks events as delivered in one write; those delivered before stay as they are.
    package func markDelivered(_ ids: [EventID]) async throws(StoreError) {
        _ = try await change(ids, [.waiting, .parked], to: .delivered)
    }

    /// Notes a failed attempt that will be repeated; returns false for an event that is delivered or parked, which stays as it is.
    @discardableResult
    package func markFailed(_ id: EventID, nextAttemptAt: Instant, error: String) async throws(StoreError) -> Bool {
        try await change([id], .waiting, to: .failed(nextAttemptAt: nextAttemptAt, error: error)) == 1
    }

    /// Parks an event after its last failed attempt: it waits for an operator. Returns false where it was not waiting, and changes nothing.
    @discardableResult
    package func park(_ id: EventID, error: String) async throws(StoreError) -> Bool {
        try await change([id], .waiting, to: .parked(error: error)) == 1
    }

    /// Changes the delivery of those of the events that are in one of the states, in one write, and returns their number.
    ///
    /// - Throws: `unavailable` where the task does duties and another service has taken them over.
    private func change(
        _ ids: [EventID], _ states: DeliveryStates, to change: DeliveryChange, log: AdminLog<Int?>? = nil,
        context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Int {
        if ids.isEmpty { return 0 }
        let useCase = ChangeDelivery(events: ids, states: states, change: change, duty: DutyTerm.current?.mark)
        let changed =
            if let log { try await write(Logged(useCase: useCase, log: log), context: context) } else {
                try await write(useCase, context: context)
            }
        guard let count = changed else {
            throw StoreError(.unavailable, "another service does the background duties now")
        }
        return count
    }

    /// Has a parked event delivered again: it is due at once and has all its attempts.
    ///
    /// Refused: `eventNotFound`, `eventNotParked`.
    package func retryParked(
        _ id: EventID, at now: Instant, log: AdminLog<EventRecord>? = nil, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Outcome<EventRecord> {
        let outcome = try await decide(RetryParked(event: id, now: now), log: log, context: context)
        if case .done = outcome { dueWork.tell(.retriedEvents) }
        return outcome
    }

    /// Has every parked event delivered again and returns their number. Each write changes at most `step` events, so that other writes
    /// run in between.
    ///
    /// - Parameter log: one entry for all of them, from their number. It commits with the first events that are retried: whatever ends
    ///   this before its last write, no event was retried without an entry. So where there is more than one write, the number is how many
    ///   events were parked when this began; some of them may be delivered meanwhile, or not be reached.
    package func retryAllParked(
        at now: Instant, step: Int = 500, log: AdminLog<Int64>? = nil, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> Int {
        // Only events up to the newest one of now: events that are appended and parked meanwhile do not prolong this.
        let last = try await newestEvent()
        let parked = log == nil ? 0 : try await read(.service) { db in try db.integer(Outbox.parkedCount, last) }
        var log = log
        var (retried, after) = (0, EventID(0))
        defer { if retried > 0 { dueWork.tell(.retriedEvents) } }
        while true {
            let start = after
            let ids: [EventID] = try await read(.service) { db in try db.all(Outbox.parked, start, last, step) { $0.id(0) } }
            let isOnlyWrite = after.rawValue == 0 && ids.count < step
            let stepLog = log?.of { (count: Int?) in (count ?? 0) == 0 ? nil : isOnlyWrite ? Int64(count ?? 0) : parked }
            let count = try await change(ids, .parked, to: .again(at: now), log: stepLog, context: context)
            if count > 0 { log = nil }
            retried += count
            guard ids.count == step, let newest = ids.last else { return retried }
            after = newest
        }
    }

    /// Has delivered events after `place` delivered again, because their sink lost them: at most the newest `limit`. Returns their number.
    package func redeliver(after place: EventPlace, atMost limit: Int, at now: Instant, step: Int = 500) async throws(StoreError) -> Int {
        let last = try await lastEventID()
        // Below the oldest event there is nothing to write: in a new store that spares a look for each step.
        let oldest = try await read(.service) { db in
            try db.first("SELECT \(db.eventNumber) FROM events ORDER BY \(db.eventNumber) LIMIT 1") { $0.int(0) }
        }
        let first = max(place.rawValue, last.rawValue - Int64(limit), (oldest ?? last.rawValue + 1) - 1)
        var count = 0
        // From the newest down: if this ends early, the events that are left are still after `place`, and the next call finds them.
        var before = last.rawValue + 1
        while before > first + 1 {
            let range = max(first, before - 1 - Int64(step))..<before
            let ids: [EventID] = try await read(.service) { db in
                let number = db.eventNumber
                return try db.all(
                    "SELECT id FROM events WHERE \(number) > ? AND \(number) < ? AND delivery = 1 ORDER BY \(number)", range.lowerBound,
                    range.upperBound
                ) { $0.id(0) }
            }
            count += try await change(ids, .delivered, to: .again(at: now))
            before = range.lowerBound + 1
        }
        if count > 0 { dueWork.tell(.retriedEvents) }
        return count
    }
}

/// Changes the delivery of those of the events that are in one of the states; nil where the duty is another service's by now.
struct ChangeDelivery: UseCase {
    let events: [EventID]
    let states: DeliveryStates
    let change: DeliveryChange
    var duty: DutyMark?

    var needs: Needs {
        var needs = Needs(events: events)
        needs.duty = duty
        return needs
    }

    func decide(_ books: some Books) throws -> Outcome<Int?> {
        if let duty, try !books.isHeld(duty) { return .done(nil) }
        var count = 0
        for event in events where try books.changeDelivery(of: event, if: states, to: change) { count += 1 }
        return .done(count)
    }
}

/// See ``TransactionalStore/retryParked(_:at:log:context:)``.
struct RetryParked: UseCase {
    let event: EventID
    let now: Instant

    var needs: Needs { Needs(events: [event]) }

    func decide(_ books: some Books) throws -> Outcome<EventRecord> {
        guard let record = try books.event(event) else { return .refused(.eventNotFound) }
        guard try books.changeDelivery(of: event, if: .parked, to: .again(at: now)) else { return .refused(.eventNotParked) }
        return .done(
            EventRecord(event: record.event, delivery: .waiting, attempts: 0, nextAttemptAt: now, lastError: record.lastError))
    }
}

enum Outbox {
    /// - Parameter place: the column that has an event's place.
    static func columns(place: String) -> String { "id, \(place), kind, order_id, payload, attempts, next_attempt_at, traceparent" }

    /// Waiting events in the order of their places, and whether each is held back. There are few parked events, but one look for all of
    /// them per waiting event would be many: `+ 0` hides from PostgreSQL that their own index would do.
    private static func waiting(place: String, index: String) -> String {
        """
        SELECT \(columns(place: place)), EXISTS (
            SELECT 1 FROM events earlier INDEXED BY events_undelivered_by_order
            WHERE earlier.order_id = events.order_id AND earlier.id < events.id AND earlier.delivery <> 1 AND earlier.delivery + 0 = 2)
        FROM events INDEXED BY \(index) WHERE delivery = 0 AND \(place) > ? ORDER BY \(place) LIMIT ?
        """
    }

    static let waitingByID = waiting(place: "id", index: "events_waiting")
    static let waitingByPlace = waiting(place: "place", index: "events_waiting_by_place")

    static func outgoing(_ row: some RowColumns) -> OutgoingEvent {
        OutgoingEvent(
            id: row.id(0), place: row.id(1), kind: row.int(2) == 0 ? .paid : .refunded, orderID: row.id(3), payload: row.text(4),
            attempts: row.int(5), nextAttemptAt: row.instant(6), trace: row.optionalText(7).flatMap { TraceParent($0) })
    }

    static let parkedCount = "SELECT count(*) FROM events INDEXED BY events_parked WHERE delivery = 2 AND id <= ?"
    static let parked = "SELECT id FROM events INDEXED BY events_parked WHERE delivery = 2 AND id > ? AND id <= ? ORDER BY id LIMIT ?"
}

extension QueryConnection {
    fileprivate func movements(after id: EventID, through last: EventID) throws -> [SalesMovement] {
        var movements: [SalesMovement] = []
        try forEach(
            """
            SELECT e.\(eventNumber), e.sale_day, u.product_id, u.units FROM events e JOIN event_units u ON u.event_id = e.id
            WHERE e.\(eventNumber) > ? AND e.\(eventNumber) <= ? ORDER BY e.\(eventNumber)
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
}
