import Commerce
import Foundation
import GRDB
import Logging
import Synchronization
import TestSupport
import Testing

@testable import Store

/// A store on a real file in a folder of its own, gone with this object.
final class TemporaryStore: Sendable {
    let folder: URL
    let store: TransactionalStore
    /// Where the store's rows are on PostgreSQL; nil for SQLite.
    let database: TemporaryDatabase?

    /// A store on a PostgreSQL database of its own.
    init(on database: TemporaryDatabase, _ configure: (inout StoreOptions) -> Void = { _ in }) throws {
        folder = TemporaryFolder(on: .memory).url
        self.database = database
        do {
            store = try Self.open(on: database, configure)
        } catch {
            try FileManager.default.removeItem(at: folder)
            throw error
        }
    }

    init(logger: Logger? = nil, _ configure: (inout StoreOptions) -> Void = { _ in }) throws {
        folder = TemporaryFolder(on: .memory).url
        database = nil
        do {
            store = try Self.open(folder, logger: logger, configure)
        } catch {
            try FileManager.default.removeItem(at: folder)
            throw error
        }
    }

    deinit { remove() }

    /// Closes the store and removes its folder.
    func remove() {
        store.close()
        try? FileManager.default.removeItem(at: folder)
    }

    /// That of the running test, in a ``StoreSuite``.
    @TaskLocal static var current: TemporaryStore?

    private let openReader = Mutex<PointReader?>(nil)

    /// One connection for point reads, opened at its first use.
    var reader: PointReader {
        get throws {
            try openReader.withLock { reader in
                let opened = try reader ?? store.makePointReader()
                reader = opened
                return opened
            }
        }
    }

    var path: String { folder.appending(path: "store.sqlite").path }

    static func open(_ folder: URL, logger: Logger? = nil, _ configure: (inout StoreOptions) -> Void = { _ in }) throws
        -> TransactionalStore
    {
        var options = try defaultOptions()
        configure(&options)
        var silent = Logger(label: "store-tests")
        silent.logLevel = .critical
        return try TransactionalStore.open(path: folder.appending(path: "store.sqlite").path, options: options, logger: logger ?? silent)
    }

    /// The store once more, by its own connections.
    func reopened() throws -> TransactionalStore { try database.map { try Self.open(on: $0) } ?? Self.open(folder) }

    static func defaultOptions() throws -> StoreOptions {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        var options = StoreOptions(calendar: calendar) { facts in
            "\(facts.id) \(facts.kind.rawValue) order \(facts.order.number) \(facts.order.storedStatus.rawValue) "
                + "paid \(facts.payment.amount) back \(facts.refund?.amount ?? .zero) items \(facts.refundedItems.count)"
        }
        // Event ids and epochs that a test can name.
        options.firstIncarnation = 0
        return options
    }

    /// A second connection of the test's own, such as another process would have.
    func foreign<Value>(_ body: (Database) throws -> Value) throws -> Value {
        let connection = try DatabaseQueue(path: path)
        defer { try? connection.close() }
        return try connection.writeWithoutTransaction(body)
    }

    /// Changes rows past every rule of the schema, to see whether the audit notices.
    func tamper(_ sql: String) throws {
        try foreign { db in
            try db.execute(sql: "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA legacy_alter_table = ON;" + sql)
        }
    }

    /// Every row of every table, as text.
    func dump() throws -> String {
        if let database { return try Self.dump(database) }
        return try foreign { db in
            let tables = try String.fetchAll(
                db, sql: "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
            return try tables.map { table in
                let rows = try Row.fetchAll(db, sql: "SELECT * FROM \(table)")
                return ([table] + rows.map { "\($0)" }.sorted()).joined(separator: "\n")
            }.joined(separator: "\n\n")
        }
    }

    func audit() async throws -> [AuditResult] {
        try await store.snapshot { snapshot throws(StoreError) in try snapshot.audit() }
    }

    /// Expects the write to be refused so, and no row of any table to differ afterwards.
    func expectRefused<Value: Equatable>(
        _ refusal: Refusal, sourceLocation: SourceLocation = #_sourceLocation,
        _ write: (TransactionalStore) async throws -> WriteResult<Value>
    ) async throws {
        let before = try dump()
        #expect(try await write(store) == .refused(refusal), sourceLocation: sourceLocation)
        #expect(try dump() == before, "a refusal changed something", sourceLocation: sourceLocation)
    }

    func expectRefused<Value: Equatable>(
        _ refusal: Refusal, sourceLocation: SourceLocation = #_sourceLocation, _ write: (TransactionalStore) async throws -> Outcome<Value>
    ) async throws {
        let before = try dump()
        #expect(try await write(store) == .refused(refusal), sourceLocation: sourceLocation)
        #expect(try dump() == before, "a refusal changed something", sourceLocation: sourceLocation)
    }
}

/// A write that should have been done was not.
struct NotDone: Error {
    let result: String
}

extension WriteResult {
    var value: Value {
        get throws {
            guard case .done(let value) = self else { throw NotDone(result: "\(self)") }
            return value
        }
    }

    var isDone: Bool { if case .done = self { true } else { false } }
}

extension Outcome {
    var value: Value {
        get throws {
            guard case .done(let value) = self else { throw NotDone(result: "\(self)") }
            return value
        }
    }
}

/// 2026-11-20T03:00:00Z: noon in Seoul.
let noon = Instant(milliseconds: 1_795_143_600_000)

func after(_ milliseconds: Int64) -> Instant { Instant(milliseconds: noon.milliseconds + milliseconds) }
