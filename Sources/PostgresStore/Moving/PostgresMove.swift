import Commerce
import Postgres
import Store

/// Copies a store from a file to an empty database, in one transaction: after a failure the database is as empty as before.
///
/// Every row is compared with its original before the commit. Blocks its caller.
package struct PostgresMove {
    private let connection: PostgresConnection

    /// How many rows are sent and compared at a time.
    private static let rowsAtATime = 2_000
    /// How long a trip may take: the last one commits everything.
    private static let tripTime = Duration.seconds(600)

    /// How many rows of a table were copied or compared.
    package struct Progress: Sendable {
        package let table: String
        package let isComparing: Bool
        package let rows: Int64
    }

    /// - Returns: how many rows of each table were copied, and found equal.
    /// - Throws: `unavailable` where the database is not empty, or where a service runs on it; `internal` for a row that differs.
    package static func run(
        fromFile path: String, to configuration: PostgresStoreConfiguration, tokenKeys: [PostgresTokenKeys.Key], at now: Int64,
        progress: (Progress) -> Void = { _ in }
    ) throws -> [(table: String, rows: Int64)] {
        var session = configuration.primary
        session.session.applicationName = "moving a store"
        do {
            let connection = try PostgresConnection.open(session)
            defer { connection.close() }
            if !configuration.allowsUnsuitableServer {
                if case .unsuitable(let reason) = try PostgresSuitability.check(connection, within: configuration.tripTimeout) {
                    throw StoreError(.unavailable, "the server must not hold the store: \(reason)")
                }
            }
            _ = try PostgresSchema.prepare(connection, firstIncarnation: nil, within: tripTime)
            let move = PostgresMove(connection: connection)
            return try StoreRows.read(path: path) { rows in
                try move.begin()
                let counts = try move.copy(rows, progress)
                try move.finish(tokenKeys, at: now)
                try move.compare(rows, progress)
                try move.send { $0.commit() }
                return counts
            }
        } catch {
            throw StoreError(of: error)
        }
    }

    @discardableResult
    private func send(_ build: (inout PostgresBatch) -> Void) throws -> PostgresResults {
        try connection.send(within: Self.tripTime, build)
    }

    // MARK: Before and after the rows

    /// Tables that a new schema has rows of.
    private static let tablesOfTheSchema: Set = ["identity", "incarnations", "pruned_events"]

    /// Begins the transaction, refuses a database that has rows or is in use, and removes what the schema began with.
    private func begin() throws {
        let tables = StoreTable.all.filter { !Self.tablesOfTheSchema.contains($0.name) }
        let hasRows = tables.map { "EXISTS (SELECT FROM \($0.name))" }.joined(separator: " OR ")
        let found = try send { batch in
            batch.begin()
            // No service that starts meanwhile passes this.
            batch.execute(PostgresStatement(nil, "LOCK TABLE firstcome_schema IN ACCESS EXCLUSIVE MODE"))
            batch.execute(PostgresStatement(nil, "SELECT \(hasRows)"))
            batch.execute(
                PostgresStatement(
                    nil,
                    """
                    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'firstcome %')
                    """))
        }
        guard try !found[2].value(0, 0, as: Bool.self) else {
            throw StoreError(.unavailable, "the database has a store with rows already; name an empty database")
        }
        guard try !found[3].value(0, 0, as: Bool.self) else {
            throw StoreError(.unavailable, "a service runs on the database; stop it first")
        }
        try send { batch in
            for table in Self.tablesOfTheSchema.sorted() + ["token_keys"] {
                batch.execute(PostgresStatement(nil, "DELETE FROM \(table)"))
            }
        }
    }

    /// Sets what the engine keeps beside the rows: where ids and places go on, and the token keys.
    private func finish(_ tokenKeys: [PostgresTokenKeys.Key], at now: Int64) throws {
        let sequences = PostgresTables.sequences.map { name in
            "SELECT setval('\(name)', (SELECT coalesce(max(id), 0) + 1 FROM \(name.dropLast("_ids".count))s), false)"
        }
        let lastEvent =
            """
            greatest((SELECT max(id) FROM events), (SELECT max(event_base) FROM incarnations), (SELECT max(through) FROM pruned_events))
            """
        let insert = PostgresStatement(
            nil, "INSERT INTO token_keys (key, made_at, ends_at) VALUES ($1, $2, $3)", .bytea, .int8, .int8)
        try send { batch in
            for sequence in sequences { batch.execute(PostgresStatement(nil, sequence)) }
            batch.execute(
                PostgresStatement(
                    nil, "UPDATE counters SET last = (SELECT coalesce(max(id), 0) FROM users) WHERE name = 'users'"))
            batch.execute(
                PostgresStatement(
                    nil, "UPDATE counters SET last = (SELECT coalesce(max(id), 0) FROM admin_log) WHERE name = 'admin_log'"))
            batch.execute(PostgresStatement(nil, "UPDATE counters SET last = \(lastEvent) WHERE name = 'events'"))
            batch.execute(PostgresStatement(nil, "SELECT setval('event_ids', \(lastEvent) + 1, false)"))
            for key in tokenKeys {
                batch.execute(insert) {
                    $0.bytea(key.bytes)
                    $0.int8(now)
                    $0.int8(key.endsAt?.milliseconds)
                }
            }
        }
    }
}

// MARK: - Rows

extension PostgresMove {
    private func copy(_ rows: StoreRows, _ progress: (Progress) -> Void) throws -> [(table: String, rows: Int64)] {
        try StoreTable.all.map { table in
            let statement = Self.insert(into: table)
            var count: Int64 = 0
            try rows.forEach(of: table, atATime: Self.rowsAtATime) { rows in
                try send { batch in
                    batch.execute(statement) { parameters in
                        for index in table.columns.indices { Self.write(rows, index, table.columns[index].kind, &parameters) }
                    }
                }
                count += Int64(rows.count)
                progress(Progress(table: table.name, isComparing: false, rows: count))
            }
            return (table.name, count)
        }
    }

    private static func insert(into table: StoreTable) -> PostgresStatement {
        var names = table.columns.map { "\"\($0.name)\"" }
        var values = table.columns.map { $0.kind == .flag ? "\"\($0.name)\" <> 0" : "\"\($0.name)\"" }
        // An event's place is its id in a store in a file.
        if table.name == "events" {
            names.append("place")
            values.append("id")
        }
        let arrays = table.columns.enumerated().map { "$\($0.offset + 1)::\(Self.type(of: $0.element.kind))[]" }
        let columns = table.columns.map { "\"\($0.name)\"" }.joined(separator: ", ")
        return PostgresStatement(
            nil,
            """
            INSERT INTO \(table.name) (\(names.joined(separator: ", "))) SELECT \(values.joined(separator: ", "))
            FROM unnest(\(arrays.joined(separator: ", "))) AS rows (\(columns))
            """, types: table.columns.map { parameterType(of: $0.kind) })
    }

    private static func type(of kind: StoreTable.ColumnKind) -> String {
        switch kind {
        case .integer, .flag: "bigint"
        case .text: "text"
        case .bytes: "bytea"
        }
    }

    private static func parameterType(of kind: StoreTable.ColumnKind) -> PostgresType {
        switch kind {
        case .integer, .flag: .int8Array
        case .text: .textArray
        case .bytes: .byteaArray
        }
    }

    private static func write(
        _ rows: [[StoreValue]], _ index: Int, _ kind: StoreTable.ColumnKind, _ parameters: inout PostgresParameters
    ) {
        switch kind {
        case .integer, .flag: parameters.int8Array(rows.lazy.map { if case .integer(let value) = $0[index] { value } else { nil } })
        case .text: parameters.textArray(rows.lazy.map { if case .text(let value) = $0[index] { value } else { nil } })
        case .bytes: parameters.byteaArray(rows.lazy.map { if case .bytes(let value) = $0[index] { value } else { nil } })
        }
    }

    /// Compares each row of the file with that of the database; both are read in the order of the key.
    private func compare(_ rows: StoreRows, _ progress: (Progress) -> Void) throws {
        for table in StoreTable.all {
            let columns = table.columns.map { $0.kind == .flag ? "\"\($0.name)\"::integer::bigint" : "\"\($0.name)\"" }
            let key = table.key.map { name in
                // SQLite orders texts by their bytes.
                table.columns.contains { $0.name == name && $0.kind == .text } ? "\"\(name)\" COLLATE \"C\"" : "\"\(name)\""
            }
            try send { batch in
                batch.execute(
                    PostgresStatement(
                        nil,
                        """
                        DECLARE copied NO SCROLL CURSOR FOR SELECT \(columns.joined(separator: ", ")) FROM \(table.name)
                        ORDER BY \(key.joined(separator: ", "))
                        """))
            }
            let fetch = PostgresStatement(nil, "FETCH \(Self.rowsAtATime) FROM copied")
            var count: Int64 = 0
            try rows.forEach(of: table, atATime: Self.rowsAtATime) { originals in
                let copies = try send { $0.execute(fetch) }[0]
                guard copies.rowCount == originals.count else { throw Self.difference(table, after: count) }
                for (index, original) in originals.enumerated() {
                    guard try Self.row(index, of: copies, table) == original else {
                        throw Self.difference(table, after: count + Int64(index))
                    }
                }
                count += Int64(originals.count)
                progress(Progress(table: table.name, isComparing: true, rows: count))
            }
            let rest = try send { batch in
                batch.execute(fetch)
                batch.execute(PostgresStatement(nil, "CLOSE copied"))
            }
            guard rest[0].rowCount == 0 else { throw Self.difference(table, after: count) }
        }
    }

    private static func difference(_ table: StoreTable, after count: Int64) -> StoreError {
        StoreError(.internal, "the copy differs from the store in row \(count + 1) of the table \(table.name); nothing was kept")
    }

    private static func row(_ row: Int, of result: PostgresResult, _ table: StoreTable) throws -> [StoreValue] {
        try table.columns.indices.map { column in
            switch table.columns[column].kind {
            case .integer, .flag: try result.value(row, column, as: Int64?.self).map { .integer($0) } ?? .null
            case .text: try result.value(row, column, as: String?.self).map { .text($0) } ?? .null
            case .bytes: try result.value(row, column, as: [UInt8]?.self).map { .bytes($0) } ?? .null
            }
        }
    }
}
