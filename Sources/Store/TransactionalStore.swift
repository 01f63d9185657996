import CSQLiteSettings
package import Commerce
import GRDB
package import Logging
import Synchronization

/// The source of truth for everything that a user owns: balances, orders, payments, issued coupons; and for the outbox of events.
///
/// One SQLite file in WAL mode. Writes go through the group-commit writer and are durable when they are answered; reads have
/// connections of their own and never wait for a write.
package final class TransactionalStore: Sendable {
    let options: StoreOptions
    /// Which store this is, as it was when it was opened.
    package let identity: StoreIdentity
    let path: String
    private let writer: GroupCommitWriter?
    private let lanes: ReadLanes
    private let newestUser: Atomic<Int64>
    /// The versions of cached rows; in a store that was opened for reading, they never rise.
    package let rowVersions: RowVersions
    var dueWork: DueWorkListeners { options.dueWork }

    private init(
        path: String, options: StoreOptions, identity: StoreIdentity, writer: GroupCommitWriter?, lanes: ReadLanes, userCount: Int64
    ) {
        self.path = path
        self.options = options
        self.identity = identity
        self.writer = writer
        self.lanes = lanes
        newestUser = Atomic(userCount)
        rowVersions = writer?.rowVersions ?? RowVersions()
    }

    /// Opens the store in the file at `path`, and creates or migrates it where needed.
    ///
    /// The caller must keep a second service off the file, and must call `close()`: the store's threads run until then.
    package static func open(path: String, options: StoreOptions, logger: Logger) throws(StoreError) -> TransactionalStore {
        _ = Self.settings
        do {
            let connection = options.isReadOnly ? nil : try openForWriting(path, options, logger)
            let (userCount, identity) = try DatabaseQueue(path: path, configuration: .reader()).read { db in
                try refuseOtherVersion(db)
                return (try db.integer("SELECT max(id) FROM users"), try db.identity())
            }
            var options = options
            options.eventBase = identity.eventBase
            options.dueWork = DueWorkListeners()
            let lanes = try ReadLanes(path: path, options: options, logger: logger)
            let writer = connection.map { connection in
                GroupCommitWriter(connection: connection, options: options, logger: logger) { lanes.endReads(begunBefore: $0) }
            }
            return TransactionalStore(path: path, options: options, identity: identity, writer: writer, lanes: lanes, userCount: userCount)
        } catch {
            throw StoreError(classifying: error)
        }
    }

    /// Applied before the first connection of the process; if SQLite is in use already, its own setting stays.
    private static let settings = csqlite_disable_memory_statistics()

    private static func openForWriting(_ path: String, _ options: StoreOptions, _ logger: Logger) throws -> DatabaseQueue {
        guard !BackupMark.isSet(path) else {
            throw StoreError(
                .unavailable, "the store is a backup that was copied here by hand; put it in place with `firstcome restore` instead")
        }
        let connection = try DatabaseQueue(path: path, configuration: .writer(options))
        // Before anything is written: a newer store stays as it is.
        try connection.read { db in
            try refuseNewerVersion(db)
            try refuseForeignDatabase(db)
        }
        // GRDB's setup of WAL mode chooses NORMAL, which may lose the last commits when the power fails.
        try connection.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        try Schema.migrator(firstIncarnation: options.firstIncarnation).migrate(connection)
        do {
            // Copies what a crash has left in the log into the file, so that the file alone has the identity. While a reader needs the
            // log, it stays.
            try connection.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
        } catch {
            // The disk may be too full for the file to grow; the store is opened all the same, to serve reads.
            logger.notice("the write-ahead log was not copied back", metadata: ["error": "\(StoreError(classifying: error))"])
        }
        return connection
    }

    /// For a store that is opened for reading, and so not migrated.
    private static func refuseOtherVersion(_ db: Database) throws {
        try refuseNewerVersion(db)
        guard try Schema.migrator.hasCompletedMigrations(db) else {
            throw StoreError(.unavailable, "the store was not set up by this version yet; start the service once")
        }
    }

    static func refuseNewerVersion(_ db: Database) throws {
        if try Schema.migrator.hasBeenSuperseded(db) {
            throw StoreError(.newerVersion, "the store was written by a newer version of this program; use that version or a backup")
        }
    }

    /// A database of another program has tables, and none of our migrations.
    private static func refuseForeignDatabase(_ db: Database) throws {
        guard try !db.tableExists("grdb_migrations"), try db.integer("SELECT count(*) FROM sqlite_master") > 0 else { return }
        throw StoreError(.corrupt, "the store's file is a database of another program")
    }

    /// Finishes the writes that were admitted, then closes; further work is refused. Blocks; closing twice does no harm.
    package func close() {
        lanes.close()
        writer?.close()
    }

    /// Counts since the store was opened, and its present state.
    package var statistics: StoreStatistics {
        var statistics = writer?.statistics ?? StoreStatistics()
        statistics.reads = lanes.statistics
        return statistics
    }

    /// How busy the writer is; nil in a store that was opened for reading.
    package var writerLoad: WriterLoad? { writer?.load }

    /// How long the oldest read that waits in a lane has waited, in nanoseconds; 0 without one.
    ///
    /// - Parameter now: nanoseconds of the machine's monotonic clock.
    package func age(of lane: ReadLane, at now: UInt64) -> Int64 { lanes[lane].age(at: now) }

    /// How many users there are; ids run from 1 to this without a gap.
    package var userCount: Int64 { newestUser.load(ordering: .acquiring) }

    /// Whether the user's creation has committed. Lock-free, because every claim asks it.
    package func userExists(_ id: UserID) -> Bool {
        id.rawValue >= 1 && id.rawValue <= userCount
    }

    /// Called by the writer after each commit that created a user, so in order of the ids.
    func userCreated(_ id: UserID) {
        newestUser.max(id.rawValue, ordering: .acquiringAndReleasing)
    }

    /// A connection for point reads; each event loop makes one.
    package func makePointReader() throws(StoreError) -> PointReader {
        try PointReader(path: path, options: options)
    }
}

// MARK: - Writes and reads

extension TransactionalStore {
    /// Queues a job for the next commit group; the completion runs in the context once the commit is durable, or at once, on this
    /// thread, where the job is not admitted.
    ///
    /// The job may run twice, so it must have no effect but on the database. `weight` is how many writes it makes for its callers.
    func submit<Value: Sendable>(
        weight: Int, context: any DeliveryContext, _ job: @escaping @Sendable (Database) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        guard let writer else { return completion(.failure(Self.openedForReading)) }
        writer.submit(weight: weight, context: context, job, completion: completion)
    }

    private static let openedForReading = StoreError(.readOnly, "the store was opened for reading")

    /// Runs a job in the next commit group and returns its value once the commit is durable.
    ///
    /// The job may run twice, so it must have no effect but on the database.
    // Inlined, so that a caller's write is one asynchronous call less: measured, 1 % of a charge's instructions.
    @inline(__always)
    func write<Value: Sendable>(
        context: (any DeliveryContext)?, onCommit: (@Sendable (Value) -> Void)? = nil,
        _ job: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        guard let writer else { throw Self.openedForReading }
        let result: Result<Value, StoreError> = await withUnsafeContinuation { continuation in
            writer.submit(context: context, job, onCommit: onCommit) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Runs a job whose answer may be stored, see ``write(context:onCommit:_:)``.
    func write<Value: Sendable>(
        in context: WriteContext<Value>, onCommit: (@Sendable (WriteResult<Value>) -> Void)? = nil,
        _ job: @escaping @Sendable (Database, _ now: Instant) throws -> Outcome<Value>
    ) async throws(StoreError) -> WriteResult<Value> {
        try await write(context: context.delivery, onCommit: onCommit) { [now = context.time, idempotency = context.idempotency] db in
            try db.once(idempotency, at: now) { try job($0, now) }
        }
    }

    /// Runs a job that may be refused and whose answer is not stored, see ``write(context:onCommit:_:)``.
    func decide<Value: Sendable>(
        context: (any DeliveryContext)?, _ job: @escaping @Sendable (Database) throws -> Outcome<Value>
    ) async throws(StoreError) -> Outcome<Value> {
        try await write(context: context) { db in try db.deciding(job) }
    }

    /// Runs a read in its lane, in one consistent snapshot.
    func read<Value: Sendable>(
        _ lane: ReadLane, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        try await lanes.read(lane) { db, _ in try body(db) }
    }

    /// Runs reads in one consistent snapshot, in the lane `service`.
    ///
    /// A snapshot may be ended as `unavailable` when it keeps the write-ahead log from starting over for too long.
    package func snapshot<Value: Sendable>(
        _ body: @escaping @Sendable (Snapshot) throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        try await lanes.read(.service) { db, read in try body(Snapshot(db: db, read: read)) }
    }
}
