import CSQLiteSettings
import Commerce
import GRDB
import Logging

/// The store's rows in one SQLite file in WAL mode, in this process.
///
/// Writes go through the group-commit writer and are durable when they are answered; reads have connections of their own and never wait
/// for a write.
final class SQLiteEngine: StoreEngine {
    let path: String
    let identity: StoreIdentity
    private let eventBase: Int64
    /// Nil in a store that was opened for reading.
    let writer: GroupCommitWriter?
    private let lanes: ReadLanes
    private let users: UserCount
    /// In a store that was opened for reading, they never rise.
    let rowVersions: RowVersions
    let dueWork: DueWorkListeners

    /// Opens the store in the file at `path`, and creates or migrates it where needed.
    init(path: String, options: StoreOptions, logger: Logger) throws(StoreError) {
        _ = Self.settings
        do {
            let connection = options.isReadOnly ? nil : try Self.openForWriting(path, options, logger)
            let (userCount, identity) = try DatabaseQueue(path: path, configuration: .reader()).read { db in
                try Self.refuseOtherVersion(db)
                return (try db.integer("SELECT max(id) FROM users"), try db.identity())
            }
            let users = UserCount(userCount)
            let dueWork = DueWorkListeners()
            let lanes = try ReadLanes(path: path, options: options, logger: logger)
            writer = connection.map { connection in
                GroupCommitWriter(
                    connection: connection, options: options, eventBase: identity.eventBase, users: users, dueWork: dueWork, logger: logger
                ) { lanes.endReads(begunBefore: $0) }
            }
            (self.path, self.identity, eventBase) = (path, identity, identity.eventBase)
            (self.users, self.dueWork, self.lanes) = (users, dueWork, lanes)
            rowVersions = writer?.rowVersions ?? RowVersions()
        } catch {
            throw StoreError(classifying: error)
        }
    }

    /// Applied before the first connection of the process; if SQLite is in use already, its own setting stays.
    private static let settings = csqlite_disable_memory_statistics()

    func close() {
        lanes.close()
        writer?.close()
    }

    var userCount: Int64 { users.count }

    func userExists(_ id: UserID) -> Bool { users.contains(id) }

    var statistics: StoreStatistics {
        var statistics = writer?.statistics ?? StoreStatistics()
        statistics.reads = lanes.statistics
        return statistics
    }

    var writerLoad: WriterLoad? { writer?.load }

    func age(of lane: ReadLane, at now: UInt64) -> Int64 { lanes[lane].age(at: now) }

    func makeDutyLease() -> (any DutyLease)? { nil }

    func makePointReader() throws(StoreError) -> PointReader { try PointReader(path: path, eventBase: eventBase) }

    func read<Value: Sendable>(
        _ lane: ReadLane, _ body: @escaping @Sendable (Snapshot) throws -> Value
    ) async throws(StoreError) -> Value {
        try await lanes.read(lane) { db, read in try body(Snapshot(db: db, read: read)) }
    }
}

// MARK: - Writes

extension SQLiteEngine {
    // Inlined, so that the job is compiled for its use case: called through the generic function, each row that a use case reads and
    // writes would cost a call through the tables of two protocols.
    @inline(__always)
    func submit<Case: UseCase>(
        _ useCase: Case, storing idempotency: IdempotentWrite<Case.Value>?, at time: Instant, clock: WallClock?,
        context: (any DeliveryContext)?,
        completion: @escaping @Sendable (Result<WriteResult<Case.Value>, StoreError>) -> Void
    ) {
        submit(weight: useCase.weight, context: context, completion) { books in
            #if DEBUG
            try books.checked(useCase, and: idempotency?.key).run(useCase, storing: idempotency, at: time)
            #else
            try books.run(useCase, storing: idempotency, at: time)
            #endif
        }
    }

    /// Runs a use case that may be refused and whose response is not stored.
    @inline(__always)
    func submit<Case: UseCase>(
        _ useCase: Case, context: (any DeliveryContext)?, completion: @escaping @Sendable (Result<Outcome<Case.Value>, StoreError>) -> Void
    ) {
        submit(weight: useCase.weight, context: context, completion) { books in
            #if DEBUG
            try books.checked(useCase).decide(useCase)
            #else
            try books.decide(useCase)
            #endif
        }
    }

    /// Runs a use case that is never refused.
    @inline(__always)
    func submitAccepted<Case: UseCase>(
        _ useCase: Case, context: (any DeliveryContext)?, completion: @escaping @Sendable (Result<Case.Value, StoreError>) -> Void
    ) {
        submit(weight: useCase.weight, context: context, completion) { books in
            #if DEBUG
            try books.checked(useCase).decide(useCase).accepted
            #else
            try books.decide(useCase).accepted
            #endif
        }
    }

    @inline(__always)
    private func submit<Value: Sendable>(
        weight: Int, context: (any DeliveryContext)?, _ completion: @escaping @Sendable (Result<Value, StoreError>) -> Void,
        _ job: @escaping @Sendable (SQLiteBooks) throws -> Value
    ) {
        guard let writer else { return completion(.failure(Self.openedForReading)) }
        writer.submit(PendingWrite(weight: weight, context: context, job: job, completion: completion))
    }

    private static let openedForReading = StoreError(.readOnly, "the store was opened for reading")
}

extension Outcome {
    /// The value of a use case that is never refused.
    var accepted: Value {
        get throws {
            switch self {
            case .done(let value): return value
            case .refused(let refusal):
                throw StoreError(.internal, "a use case was refused that cannot be", cause: RefusedDecision(refusal))
            }
        }
    }
}

// MARK: - Opening

extension SQLiteEngine {
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
}
