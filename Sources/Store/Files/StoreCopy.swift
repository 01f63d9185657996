import Foundation
import GRDB

/// Copies of the whole store at one moment, made beside a running service.
///
/// A snapshot keeps the write-ahead log from starting over, so it lasts only as long as the copying, about a second for a gigabyte:
/// nothing is flushed to the disk meanwhile, and work that takes longer reads the copy.
enum StoreCopy {
    /// Copies the store at `path` to a new file, which is marked as a backup and durable on return. A failure leaves no file.
    static func make(of path: String, at destination: String) throws {
        do {
            let copy = try DatabaseQueue(path: destination, configuration: .copy)
            try fill(copy, from: path)
            try copy.close()
            try BackupMark.set(destination)
            try flush(destination, isFolder: false)
            try flush(URL(fileURLWithPath: destination).deletingLastPathComponent().path, isFolder: true)
        } catch {
            // Half a copy would look like a whole one, and stand in the way of the next.
            for file in [destination, destination + "-journal", destination + "-wal"] { unlink(file) }
            throw error
        }
    }

    /// Runs `body` on a copy beside the store that is gone afterwards, however the process ends.
    static func withTemporary<Value>(of path: String, _ body: (Database) throws -> Value) throws -> Value {
        let name = "\(path).copy-\(getpid())-\(UInt64.random(in: .min ... .max))"
        let copy = try DatabaseQueue(path: name, configuration: .copy)
        // The file lives as long as it is open. SQLite looks by its name for a log, which gets the mode of the file of that name.
        unlink(name)
        defer { for file in [name, name + "-wal"] { unlink(file) } }
        guard FileManager.default.createFile(atPath: name, contents: nil, attributes: [.posixPermissions: 0o600]) else {
            throw StoreError(.unavailable, "no file can be made beside the store")
        }
        try fill(copy, from: path)
        let result = try copy.read(body)
        try copy.close()
        return result
    }

    /// Whether the disk of the store has room for a copy beside it, and for what the service writes meanwhile.
    static func hasRoom(for path: String) -> Bool {
        var (status, disk) = (stat(), statvfs())
        guard stat(path, &status) == 0, statvfs(URL(fileURLWithPath: path).deletingLastPathComponent().path, &disk) == 0 else {
            return false
        }
        let free = Int64(disk.f_bavail) * Int64(disk.f_frsize)
        return free > Int64(status.st_size) + WriteAheadLog(ofStoreAt: path).bytes + roomForOthers
    }

    private static let roomForOthers: Int64 = 1 << 30

    private static func fill(_ copy: DatabaseQueue, from path: String) throws {
        let source = try DatabaseQueue(path: path, configuration: .reader())
        try source.backup(to: copy)
        try source.close()
    }

    private static func flush(_ path: String, isFolder: Bool) throws {
        let descriptor = open(path, (isFolder ? O_RDONLY | O_DIRECTORY : O_RDWR) | O_CLOEXEC)
        guard descriptor >= 0 else { throw StoreError(.unavailable, "the copy cannot be opened: error \(errno)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StoreError(.unavailable, "the copy cannot be written to the disk: error \(errno)") }
    }
}

extension Configuration {
    /// A copy that nobody else looks at before it is complete: without a journal, and without a wait for the disk.
    fileprivate static var copy: Configuration {
        var configuration = Configuration()
        configuration.label = "store-copy"
        configuration.prepareDatabase { db in
            db.addAuditFunctions()
            // Without it, SQLite would make files for what several connections share.
            try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
            try db.execute(sql: "PRAGMA journal_mode = OFF")
            try db.execute(sql: "PRAGMA synchronous = OFF")
            try db.execute(sql: "PRAGMA cache_size = -65536")
        }
        return configuration
    }
}

extension TransactionalStore {
    /// Copies the store as it is now to a new file, while it serves.
    package func backup(to destination: String) async throws(StoreError) {
        try await onThread { path in
            try StoreCopy.make(of: path, at: destination)
        }
    }

    /// Checks every promise that the store can check alone, see ``Snapshot/audit(progress:)``: on a copy of its own, or where the disk has
    /// no room for one on the store itself, whose write-ahead log then grows as long as the check takes.
    package func audit(progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }) async throws(StoreError)
        -> [AuditResult]
    {
        try await onThread { path in
            let check = { (db: Database) in try Snapshot(db: db, read: RunningRead()).audit(progress: progress) }
            if StoreCopy.hasRoom(for: path) { return try StoreCopy.withTemporary(of: path, check) }
            return try DatabaseQueue(path: path, configuration: .reader()).read(check)
        }
    }

    /// Runs what takes seconds on a thread of its own: it may delay neither a lane nor the cooperative pool.
    private func onThread<Value: Sendable>(_ work: @escaping @Sendable (String) throws -> Value) async throws(StoreError) -> Value {
        let path = path
        let result: Result<Value, StoreError> = await withUnsafeContinuation { continuation in
            let thread = Thread {
                continuation.resume(returning: Result { try work(path) }.mapError(StoreError.init(classifying:)))
            }
            thread.name = "store-copy"
            thread.start()
        }
        return try result.get()
    }
}
