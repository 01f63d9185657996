import GRDB
import GRDBSQLite

/// A connection for reads of one thread, each of which can be ended while it runs.
///
/// SQLite's progress handler asks every thousand steps of a statement whether to go on. Unlike `sqlite3_interrupt`, it cannot come before
/// the statement begins, nor so late that it ends a statement of the next read.
///
/// Safety of `@unchecked Sendable`: `current` is touched only inside ``read(_:_:)``, which one thread calls, and by the progress
/// handler, which SQLite calls on that thread.
final class InterruptibleConnection: @unchecked Sendable {
    let queue: DatabaseQueue
    private var current: RunningRead?

    private static let stepsBetweenChecks: CInt = 1_000

    init(path: String, configuration: Configuration) throws {
        queue = try DatabaseQueue(path: path, configuration: configuration)
        // The pointer stays valid: the connection is closed, or never used again, before this object is freed, since the lane owns both.
        let this = Unmanaged.passUnretained(self).toOpaque()
        queue.inDatabase { db in
            sqlite3_progress_handler(
                db.sqliteConnection, Self.stepsBetweenChecks,
                { this in
                    guard let this else { return 0 }
                    let connection = Unmanaged<InterruptibleConnection>.fromOpaque(this).takeUnretainedValue()
                    return connection.current.map { $0.ending == .none ? 0 : 1 } ?? 0
                }, this)
        }
    }

    /// Runs a read in one snapshot.
    func read<Value>(_ read: RunningRead, _ body: (Database) throws -> Value) throws -> Value {
        current = read
        defer { current = nil }
        try read.checkNotEnded()
        return try queue.read(body)
    }
}
