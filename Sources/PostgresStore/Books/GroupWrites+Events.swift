import Commerce
import Postgres
import Store
import TraceContext

extension GroupWrites {
    private static let updateEvents = PostgresStatement(
        "update_events",
        """
        UPDATE events SET delivery = n.delivery, attempts = n.attempts, next_attempt_at = n.next_attempt_at, last_error = n.last_error
        FROM unnest($1, $2, $3, $4, $5) AS n (id, delivery, attempts, next_attempt_at, last_error) WHERE events.id = n.id
        """, .int8Array, .int8Array, .int8Array, .int8Array, .textArray)
    private static let pruneUnits = PostgresStatement(
        "prune_units",
        """
        DELETE FROM event_units u USING events e WHERE e.id > $1 AND e.id <= $2 AND e.delivery = 1 AND u.event_id = e.id
        """, .int8, .int8)
    private static let pruneEvents = PostgresStatement(
        "prune_events", "DELETE FROM events WHERE id > $1 AND id <= $2 AND delivery = 1", .int8, .int8)
    /// The service that delivers reads the events again when this has risen.
    private static let countRetries = PostgresStatement("count_retries", "UPDATE counters SET last = last + 1 WHERE name = 'retries'")
    private static let notePruning = PostgresStatement(
        "note_pruning", "UPDATE pruned_events SET through = $1, payments = $2, refunds = $3", .int8, .int8, .int8)
    private static let insertUnits = PostgresStatement(
        "insert_units", "INSERT INTO event_units (event_id, product_id, units) SELECT * FROM unnest($1, $2, $3)", .int8Array, .int8Array,
        .int8Array)
    private static let insertEvents = PostgresStatement(
        "insert_events",
        """
        WITH counter AS (UPDATE counters SET last = last + $1 WHERE name = 'events' RETURNING last)
        INSERT INTO events (place, id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at, traceparent)
        SELECT counter.last - $1 + n.ordinal, n.id, n.kind, n.order_id, n.occurred_at, n.sale_day, n.payload, n.next_attempt_at, n.trace
        FROM counter, unnest($2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY
            AS n (id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at, trace, ordinal)
        """, .int8, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .textArray, .int8Array, .textArray)

    func changeEvents(_ batch: inout PostgresBatch) {
        let changed = books.held.events.changes
        if !changed.isEmpty {
            batch.execute(Self.updateEvents) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.delivery.rawValue))
                $0.int8Array(changed.map(\.row.attempts))
                $0.int8Array(changed.map(\.row.nextAttemptAt.milliseconds))
                $0.textArray(changed.map(\.row.lastError))
            }
        }
        if books.retriesEvents { batch.execute(Self.countRetries) }
        guard let pruning = books.pruning else { return }
        for statement in [Self.pruneUnits, Self.pruneEvents] {
            batch.execute(statement) {
                $0.int8(pruning.from.through.rawValue)
                $0.int8(pruning.to.through.rawValue)
            }
        }
        batch.execute(Self.notePruning) {
            $0.int8(pruning.to.through.rawValue)
            $0.int8(pruning.to.payments)
            $0.int8(pruning.to.refunds)
        }
    }

    func addUnits(_ batch: inout PostgresBatch) {
        let added = books.held.events.additions
        guard !added.isEmpty else { return }
        let units = added.flatMap { event in event.row.units.map { (event: event.id, units: $0) } }
        batch.execute(Self.insertUnits) {
            $0.int8Array(units.map(\.event))
            $0.int8Array(units.map(\.units.productID.rawValue))
            $0.int8Array(units.map(\.units.units))
        }
    }

    func appendEvents(_ batch: inout PostgresBatch) {
        let added = books.held.events.additions
        guard !added.isEmpty else { return }
        batch.execute(Self.insertEvents) {
            $0.int8(Int64(added.count))
            $0.int8Array(added.map(\.id))
            $0.int8Array(added.map { $0.row.kind == .paid ? 0 : 1 })
            $0.int8Array(added.map(\.row.order.rawValue))
            $0.int8Array(added.map(\.row.occurredAt.milliseconds))
            $0.int8Array(added.map(\.row.saleDay.number))
            $0.textArray(added.map(\.row.payload))
            $0.int8Array(added.map(\.row.nextAttemptAt.milliseconds))
            $0.textArray(added.map { $0.row.trace?.description })
        }
    }
}
