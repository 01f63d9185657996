import Commerce
import Postgres
import Store

/// Writes what a group has changed. One statement writes the rows of most tables, however many there are.
///
/// What depends on another statement has one of its own. The events come last, with the counter that numbers their places: every group
/// that appends events waits there for the commit of the one before it, and this lock is held for no round trip.
struct GroupWrites {
    let books: PostgresBooks

    func add(to batch: inout PostgresBatch) {
        batch.executeAsOne { batch in
            addUsers(&batch)
            addProducts(&batch)
            addCampaigns(&batch)
            addCoupons(&batch)
            addOrders(&batch)
            addPayments(&batch)
            addUnits(&batch)
        }
        renameProducts(&batch)
        addAnswers(&batch)
        addGrants(&batch)
        changeEvents(&batch)
        addAdminLog(&batch)
        appendEvents(&batch)
    }
}

// MARK: - Stored responses

extension GroupWrites {
    private static let deleteAnswers = PostgresStatement(
        "delete_answers",
        """
        DELETE FROM idempotency i USING unnest($1, $2, $3) AS k (scope, key, before)
        WHERE i.scope = k.scope AND i.key = k.key AND i.created_at < k.before
        """, .textArray, .textArray, .int8Array)
    /// Raises where another instance has stored a response under the key meanwhile: with ON CONFLICT, the request would take effect twice.
    private static let insertAnswers = PostgresStatement(
        "insert_answers",
        "INSERT INTO idempotency (scope, key, fingerprint, status, body, created_at) SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
        .textArray, .textArray, .byteaArray, .int8Array, .byteaArray, .int8Array)

    private func addAnswers(_ batch: inout PostgresBatch) {
        // Sorted, so that two groups with the same keys cannot wait for each other.
        let removed = books.removedAnswers.sorted { ($0.key.scope, $0.key.key) < ($1.key.scope, $1.key.key) }
        if !removed.isEmpty {
            batch.execute(Self.deleteAnswers) {
                $0.textArray(removed.map(\.key.scope))
                $0.textArray(removed.map(\.key.key))
                $0.int8Array(removed.map(\.value.milliseconds))
            }
        }
        let added = books.newAnswers.sorted { ($0.key.scope, $0.key.key) < ($1.key.scope, $1.key.key) }
        if !added.isEmpty {
            batch.execute(Self.insertAnswers) {
                $0.textArray(added.map(\.key.scope))
                $0.textArray(added.map(\.key.key))
                $0.byteaArray(added.map(\.value.fingerprint))
                $0.int8Array(added.map(\.value.status))
                $0.byteaArray(added.map(\.value.body))
                $0.int8Array(added.map(\.value.createdAt.milliseconds))
            }
        }
    }
}

// MARK: - Admin log

extension GroupWrites {
    /// A counter numbers the entries, and not a sequence: so there is no gap, and ids rise in the order of the commits.
    private static let insertAdminLog = PostgresStatement(
        "insert_admin_log",
        """
        WITH counter AS (UPDATE counters SET last = last + $1 WHERE name = 'admin_log' RETURNING last)
        INSERT INTO admin_log (id, at, actor, action, object, request_id, details)
        SELECT counter.last - $1 + n.ordinal, n.at, n.actor, n.action, n.object, n.request_id, n.details
        FROM counter, unnest($2, $3, $4, $5, $6, $7) WITH ORDINALITY AS n (at, actor, action, object, request_id, details, ordinal)
        """, .int8, .int8Array, .textArray, .textArray, .textArray, .textArray, .textArray)

    private func addAdminLog(_ batch: inout PostgresBatch) {
        let added = books.adminLog
        guard !added.isEmpty else { return }
        batch.execute(Self.insertAdminLog) {
            $0.int8(Int64(added.count))
            $0.int8Array(added.map(\.at.milliseconds))
            $0.textArray(added.map(\.actor))
            $0.textArray(added.map(\.action.name))
            $0.textArray(added.map(\.action.object))
            $0.textArray(added.map(\.requestID))
            $0.textArray(added.map(\.action.details))
        }
    }
}
