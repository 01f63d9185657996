import Commerce
import Foundation
import GRDB
import Logging
import Synchronization
import TestSupport
import Testing

@testable import Store

/// A group-commit writer on a small table, which can be stopped inside a job while others queue up behind it.
final class GatedWriter: Sendable {
    let folder: URL
    let writer: GroupCommitWriter
    private let gate = DispatchSemaphore(value: 0)

    init(_ configure: (inout StoreOptions) -> Void = { _ in }) throws {
        folder = TemporaryFolder(on: .memory).url
        var options = try TemporaryStore.defaultOptions()
        configure(&options)
        let connection = try DatabaseQueue(path: folder.appending(path: "file.sqlite").path, configuration: .writer(options))
        try connection.write { db in
            try db.execute(
                sql: """
                    CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT;
                    CREATE TABLE items (
                        id INTEGER PRIMARY KEY, value INTEGER NOT NULL CHECK (value >= 0), filling TEXT,
                        parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED) STRICT;
                    """)
        }
        var logger = Logger(label: "store-tests")
        logger.logLevel = .critical
        writer = GroupCommitWriter(connection: connection, options: options, logger: logger) { _ in 0 }
    }

    deinit {
        open()  // a job that a failed test left waiting must not keep the thread
        writer.close()
        try? FileManager.default.removeItem(at: folder)
    }

    /// Stops the writer inside a job and returns once it stands there.
    func shut() async throws {
        let flag = Flag()
        writer.submit(context: nil) { [gate] _ in
            flag.raise()
            gate.wait()
        } completion: { _ in
        }
        try await eventually("the writer stands in the gate") { flag.isRaised }
    }

    func open() {
        gate.signal()
    }

    /// Rows as another process sees them.
    func values() throws -> [Int64] {
        let connection = try DatabaseQueue(path: folder.appending(path: "file.sqlite").path)
        defer { try? connection.close() }
        return try connection.read { try Int64.fetchAll($0, sql: "SELECT value FROM items ORDER BY id") }
    }

    func foreign() throws -> DatabaseQueue {
        try DatabaseQueue(path: folder.appending(path: "file.sqlite").path)
    }

    static func insert(_ value: Int64) -> @Sendable (Database) throws -> Int64 {
        { db in
            try db.run("INSERT INTO items (value) VALUES (?)", value)
            return value
        }
    }
}

/// A Boolean that one thread raises and another looks at.
final class Flag: Sendable {
    private let raised = Atomic(false)
    func raise() { raised.store(true, ordering: .releasing) }
    var isRaised: Bool { raised.load(ordering: .acquiring) }
}

/// Results in the order in which they arrived.
final class Arrivals: Sendable {
    private let results = Mutex<[Result<Int64, StoreError>]>([])

    func add(_ result: Result<Int64, StoreError>) { results.withLock { $0.append(result) } }
    var all: [Result<Int64, StoreError>] { results.withLock { $0 } }
    var values: [Int64] { all.compactMap { try? $0.get() } }

    var codes: [StoreError.Code] {
        all.compactMap { result in
            if case .failure(let error) = result { error.code } else { nil }
        }
    }

    func wait(for count: Int) async throws -> [Result<Int64, StoreError>] {
        try await eventually("\(count) results arrive") { all.count == count }
        return all
    }
}

/// A loop of one thread, which counts how often it is woken.
final class CountingContext: DeliveryContext {
    private let queue = DispatchQueue(label: "context")
    private let count = Atomic(0)

    func deliver(_ work: @escaping @Sendable () -> Void) {
        count.add(1, ordering: .relaxed)
        queue.async(execute: work)
    }

    var deliveries: Int { count.load(ordering: .relaxed) }
}

extension GroupCommitWriter {
    /// A job that sees what those before it in the group have gathered.
    static func onDatabase<Value>(_ job: @escaping @Sendable (Database) throws -> Value) -> @Sendable (SQLiteBooks) throws -> Value {
        { books in
            try books.flush()
            return try job(books.db)
        }
    }

    /// Queues a job that may run any statement.
    func submit<Value: Sendable>(
        context: (any DeliveryContext)?, _ job: @escaping @Sendable (Database) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        submit(PendingWrite(weight: 1, context: context, job: Self.onDatabase(job), completion: completion))
    }
}

extension TransactionalStore {
    /// Runs a job on the writer's books.
    func onBooks<Value: Sendable>(_ job: @escaping @Sendable (SQLiteBooks) throws -> Value) async throws -> Value {
        guard case .sqlite(let engine) = engine, let writer = engine.writer else { throw NotDone(result: "a write without a writer") }
        return try await withCheckedContinuation { continuation in
            writer.submit(PendingWrite(weight: 1, context: nil, job: job) { continuation.resume(returning: $0) })
        }.get()
    }

    /// Runs a job that may run any statement.
    func write<Value: Sendable>(
        context: (any DeliveryContext)? = nil, _ job: @escaping @Sendable (Database) throws -> Value
    ) async throws -> Value {
        try await onBooks(GroupCommitWriter.onDatabase(job))
    }
}
