import Foundation
import GRDB

/// Copies of the whole store at one moment, made beside a running service.
///
/// A snapshot keeps the write-ahead log from starting over, so it is held only while copying, about a second for a gigabyte: the copy is
/// not flushed to the disk meanwhile, and work that takes longer reads the copy.
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
            // An incomplete copy could be mistaken for a complete one.
            for file in [destination, destination + "-journal", destination + "-wal"] { unlink(file) }
            throw error
        }
    }

    /// Runs `body` on a temporary copy beside the store, which disappears even if the process is killed.
    static func withTemporary<Value>(of path: String, _ body: (Database) throws -> Value) throws -> Value {
        let name = "\(path).copy-\(getpid())-\(UInt64.random(in: .min ... .max))"
        let copy = try DatabaseQueue(path: name, configuration: .copy)
        // The unlinked file exists while it is open. SQLite may still create a log beside its name, with the mode of the file of that name:
        // so an empty file stands there.
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
    /// For a copy that nobody else opens before it is complete: without a journal, and without waiting for the disk.
    fileprivate static var copy: Configuration {
        var configuration = Configuration()
        configuration.label = "store-copy"
        configuration.prepareDatabase { db in
            db.addAuditFunctions()
            // Otherwise SQLite would create the files that several connections share.
            try db.execute(sql: "PRAGMA locking_mode = EXCLUSIVE")
            try db.execute(sql: "PRAGMA journal_mode = OFF")
            try db.execute(sql: "PRAGMA synchronous = OFF")
            try db.execute(sql: "PRAGMA cache_size = -65536")
        }
        return configuration
    }
}

extension TransactionalStore {
    /// Copies the store's present state to a new file, while it serves.
    package func backup(to destination: String) async throws(StoreError) {
        try await onThread { path in
            try StoreCopy.make(of: path, at: destination)
        }
    }

    /// Checks every rule of the audit that needs the store alone, see ``Snapshot/audit(progress:)``.
    ///
    /// The checks run on a temporary copy. Where the disk has no room for one, they run on the store itself, whose write-ahead log then
    /// grows for as long as they take.
    package func audit(progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }) async throws(StoreError)
        -> [AuditResult]
    {
        guard path != nil else { return try await snapshot { snapshot throws(StoreError) in try snapshot.audit(progress: progress) } }
        return try await onThread { path in
            let check = { (db: Database) in try Snapshot(db: db, read: RunningRead()).audit(progress: progress) }
            if StoreCopy.hasRoom(for: path) { return try StoreCopy.withTemporary(of: path, check) }
            return try DatabaseQueue(path: path, configuration: .reader()).read(check)
        }
    }

    /// Runs work that takes seconds on a thread of its own, so that it delays neither a read lane nor the cooperative pool.
    private func onThread<Value: Sendable>(_ work: @escaping @Sendable (String) throws -> Value) async throws(StoreError) -> Value {
        guard let path else { throw StoreError(.unavailable, "the store is not in a file; use the backup of its server instead") }
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
