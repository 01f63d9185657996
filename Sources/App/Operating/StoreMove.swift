import API
package import Commerce
package import Logging
package import PostgresStore
import Store

/// Moves the store of a stopped service from its data folder to a PostgreSQL server.
package enum StoreMove {
    /// What was done, in lines for the operator.
    package struct Report: Sendable {
        package let tables: [(table: String, rows: Int64)]
        /// How many rules of the audit hold, in the folder's store and in its copy.
        package let rules: Int

        package var rows: Int64 { tables.reduce(0) { $0 + $1.rows } }
    }

    /// Audits the folder's store, copies it with its token keys, compares every row, and audits the copy. The folder keeps its store.
    ///
    /// - Parameter folder: must be locked by the caller.
    /// - Throws: `CommandError` where a rule is broken, or where the database is not empty. Nothing is in the database then, unless it is
    ///   the copy of which a rule is broken.
    package static func run(
        from folder: DataFolder, to server: PostgresStoreConfiguration, calendar: BusinessCalendar, now: Instant, logger: Logger,
        progress: @escaping @Sendable (String) -> Void
    ) async throws -> Report {
        // Opened for writing, so that a store of an earlier version is migrated and its log is complete.
        let source = try folder.openStore(calendar: calendar, logger: logger)
        let rules = try await audit(source, "the store of \(folder.path)", progress)
        source.close()
        let keys = try FolderTokenKeys(in: folder.path).keys(at: now).map {
            PostgresTokenKeys.Key(bytes: $0.key.bytes, endsAt: $0.endsAt)
        }
        let tables = try PostgresMove.run(
            fromFile: folder.storePath, to: server, tokenKeys: keys, at: now.milliseconds
        ) { done in progress("\(done.isComparing ? "comparing" : "copying") \(done.table): \(done.rows) rows") }
        let copy = try StorePlace.server(server).openForReading(calendar: calendar, logger: logger)
        defer { copy.close() }
        _ = try await audit(copy, "the copy in the database", progress)
        return Report(tables: tables, rules: rules)
    }

    private static func audit(
        _ store: TransactionalStore, _ name: String, _ progress: @escaping @Sendable (String) -> Void
    ) async throws -> Int {
        let results = try await store.audit { done, all in progress("auditing \(name): \(done) of \(all)") }
        if let broken = results.first(where: { !$0.holds }) {
            throw CommandError(
                "\(name) breaks a rule of the audit: \(broken.claim) (\(broken.violationCount) violations, such as \(broken.violations[0]))"
            )
        }
        return results.count
    }
}
