import Commerce
import Postgres
import Store

/// Creates and migrates the store's schema, and reads which store it is.
///
/// `firstcome_schema.made` is how many migrations were made. `version` is how many a program must know to use the store, so that services
/// of the release before run and start beside those of this one; the first releases know only that column, and `made` is NULL where they
/// made the schema.
enum PostgresSchema {
    /// Between two instances that create the schema at once, the later one meets the tables of the other.
    private static let attempts = 5

    /// Creates or migrates the schema where needed, and returns the store's identity. Several instances may do it at once.
    ///
    /// - Parameter firstIncarnation: the number of a new store's first incarnation; nil for the present time.
    /// - Throws: `newerVersion` for a schema that this program may not use; `corrupt` for a database with tables of another program.
    static func prepare(
        _ connection: PostgresConnection, firstIncarnation: Int64?, within time: Duration
    ) throws(StoreError) -> StoreIdentity {
        var attempt = 1
        while true {
            do {
                try migrate(connection, firstIncarnation: firstIncarnation ?? StoreIdentity.now, time)
                return try identity(connection, time)
            } catch let error as PostgresError where attempt < attempts && isCollision(error) {
                attempt += 1
                try rollBack(connection, time)
            } catch {
                try rollBack(connection, time)
                throw StoreError(of: error)
            }
        }
    }

    /// Reads the identity of a store whose schema has what this program needs, and changes nothing.
    static func identity(of connection: PostgresConnection, within time: Duration) throws(StoreError) -> StoreIdentity {
        do {
            let found = try connection.send(within: time) { $0.execute(hasVersion) }[0]
            guard try found.value(0, 0, as: Bool.self) else { throw notSetUp }
            let version = try connection.send(within: time) { $0.execute(readVersion) }[0]
            try refuseNewer(try version.value(0, 0))
            guard try version.value(0, 1, as: Int.self) >= PostgresTables.migrations.count else { throw notSetUp }
            return try identity(connection, time)
        } catch {
            throw StoreError(of: error)
        }
    }

    private static let notSetUp = StoreError(.unavailable, "the store was not set up by this version yet; start the service once")

    /// - Parameter leastKnown: how many migrations a program must know to use the store.
    private static func refuseNewer(_ leastKnown: Int) throws {
        guard leastKnown > PostgresTables.migrations.count else { return }
        throw StoreError(.newerVersion, "the store was written by a newer version of this program; use that version or a backup")
    }

    /// Two transactions that create the same table: the later one fails on a unique key of the catalogue, or finds the table there, or the
    /// type of its rows (42710).
    private static func isCollision(_ error: PostgresError) -> Bool {
        if error.sqlState?.code == "42710" { return true }
        return switch error.kind {
        case .uniqueViolation, .duplicateTable, .serializationFailure, .deadlockDetected: true
        default: false
        }
    }

    private static func rollBack(_ connection: PostgresConnection, _ time: Duration) throws(StoreError) {
        guard connection.isOpen else { return }
        do {
            try connection.rollBack(within: time)
        } catch {
            throw StoreError(of: error)
        }
    }

    private static let hasVersion = PostgresStatement(nil, "SELECT to_regclass('firstcome_schema') IS NOT NULL")
    private static let readVersion = PostgresStatement(nil, "SELECT \(versions) FROM firstcome_schema s")
    /// How many migrations a program must know, and how many were made; the column of the latter may be missing.
    private static let versions = "version, coalesce((to_jsonb(s) ->> 'made')::bigint, version)"
    /// Whether the schema is there, whether it has the column `made`, and whether any table is where the store's tables would be made. One
    /// statement, because another
    /// instance may create the schema meanwhile: then it sees the schema at least as soon as a table of it.
    private static let look = PostgresStatement(
        nil,
        """
        SELECT to_regclass('firstcome_schema') IS NOT NULL,
            EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('firstcome_schema') AND attname = 'made'),
            EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p'))
        """)
    private static let createVersion = PostgresStatement(
        nil, "CREATE TABLE firstcome_schema (id bigint PRIMARY KEY CHECK (id = 1), version bigint NOT NULL, made bigint)")
    private static let insertVersion = PostgresStatement(nil, "INSERT INTO firstcome_schema VALUES (1, 0, 0)")
    private static let addMade = PostgresStatement(nil, "ALTER TABLE firstcome_schema ADD COLUMN IF NOT EXISTS made bigint")
    /// Another instance that migrates waits here until this transaction has ended.
    private static let lockVersion = PostgresStatement(nil, "SELECT \(versions) FROM firstcome_schema s FOR UPDATE")
    private static let setVersion = PostgresStatement(nil, "UPDATE firstcome_schema SET version = $1, made = $2", .int8, .int8)

    private static func migrate(_ connection: PostgresConnection, firstIncarnation: Int64, _ time: Duration) throws {
        let found = try connection.send(within: time) { $0.execute(look) }[0]
        if try !found.value(0, 0, as: Bool.self) {
            if try found.value(0, 2, as: Bool.self) { throw StoreError(.corrupt, "the database has tables of another program") }
            _ = try connection.send(within: time) { batch in
                batch.execute(createVersion)
                batch.execute(insertVersion)
            }
        } else if try !found.value(0, 1, as: Bool.self) {
            // Before the row is locked: it waits for whoever uses the table.
            _ = try connection.send(within: time) { $0.execute(addMade) }
        }
        let locked = try connection.send(within: time) { batch in
            batch.begin()
            batch.execute(lockVersion)
        }
        let (leastKnown, made): (Int, Int) = (try locked[1].value(0, 0), try locked[1].value(0, 1))
        try refuseNewer(leastKnown)
        // A commit would wait for ever on an old primary, which a service that starts must be able to pass over.
        guard made < PostgresTables.migrations.count else { return try connection.rollBack(within: time) }
        let missing = PostgresTables.migrations[made...]
        _ = try connection.send(within: time) { batch in
            for migration in missing {
                for statement in migration.statements { batch.execute(PostgresStatement(nil, statement)) }
            }
            if made == 0 { makeIdentity(firstIncarnation, &batch) }
            batch.execute(setVersion) {
                $0.int8(Int64(missing.map(\.leastKnown).reduce(leastKnown, max)))
                $0.int8(Int64(PostgresTables.migrations.count))
            }
            batch.commit()
        }
    }

    private static let insertIdentity = PostgresStatement(
        nil, "INSERT INTO identity (id, store) VALUES (1, substr(replace(gen_random_uuid()::text, '-', ''), 1, 16))")
    private static let insertIncarnation = PostgresStatement(
        nil, "INSERT INTO incarnations (number, event_base) VALUES ($1, $2)", .int8, .int8)
    private static let insertCounters = PostgresStatement(
        nil, "INSERT INTO counters (name, last) VALUES ('users', 0), ('events', $1)", .int8)
    private static let setEventIDs = PostgresStatement(nil, "SELECT setval('event_ids', $1 + 1, false)", .int8)

    private static func makeIdentity(_ incarnation: Int64, _ batch: inout PostgresBatch) {
        let base = incarnation * StoreIdentity.eventsPerMillisecond
        batch.execute(insertIdentity)
        batch.execute(insertIncarnation) {
            $0.int8(incarnation)
            $0.int8(base)
        }
        batch.execute(insertCounters) { $0.int8(base) }
        batch.execute(setEventIDs) { $0.int8(base) }
    }

    private static let readIdentity = PostgresStatement(
        nil, "SELECT i.store, n.number, n.event_base FROM identity i, incarnations n ORDER BY n.number DESC LIMIT 1")

    private static func identity(_ connection: PostgresConnection, _ time: Duration) throws -> StoreIdentity {
        let found = try connection.send(within: time) { $0.execute(readIdentity) }[0]
        guard found.rowCount == 1 else { throw StoreError(.corrupt, "the store has no identity") }
        return StoreIdentity(store: try found.value(0, 0), incarnation: try found.value(0, 1), eventBase: try found.value(0, 2))
    }
}
