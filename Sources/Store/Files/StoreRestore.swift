package import Commerce
import FaultPoints
import Foundation
import GRDB

/// Replaces a store that nobody has open by a backup.
///
/// The new file is copied, checked and made ready under a temporary name; the former store's write-ahead log is copied back into its file;
/// then one rename puts the new file in place. So a crash at any moment leaves one of the two stores, complete.
package enum StoreRestore {
    /// The result of a restore.
    package struct Report: Sendable {
        package let identity: StoreIdentity
        package let counts: StoreCounts
        /// The last event of the backup; nil where it has none.
        package let lastEvent: EventID?
        /// Where the former store was kept; nil where there was none.
        package let formerStore: String?
    }

    /// - Parameters:
    ///   - file: the backup; the content of a write-ahead log beside it is restored too.
    ///   - path: the store's file, whose folder exists and is locked by the caller.
    /// - Throws: `StoreError` where the file is no store, is damaged or was written by a newer version. The store is unchanged then.
    package static func run(file: String, to path: String) throws(StoreError) -> Report {
        let draft = path + draftSuffix
        do {
            try remove(draft)
            defer { try? remove(draft) }
            try copy(file, to: draft)
            FaultPoint.afterRestoreCopy.reached()
            let connection = try openChecked(draft, named: file)
            let former = settleFormerStore(path)
            let (identity, counts, lastEvent) = try makeReady(connection, after: former)
            try sync(draft)
            let kept = try putInPlace(draft, as: path)
            return Report(identity: identity, counts: counts, lastEvent: lastEvent, formerStore: kept)
        } catch {
            throw StoreError(classifying: error)
        }
    }

    private static let draftSuffix = ".restoring"
    /// What SQLite puts beside a database file.
    private static let companions = ["-wal", "-shm", "-journal"]
}

// MARK: - The new file

extension StoreRestore {
    private static func copy(_ file: String, to draft: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder), !isFolder.boolValue else {
            throw StoreError(.unavailable, "there is no file \(file)")
        }
        guard size(of: file + "-journal") == 0 else {
            throw StoreError(.corrupt, "\(file) is an incomplete backup: making it was interrupted and left \(file)-journal")
        }
        guard size(of: file + "-wal") > 0 else { return try copyAlone(file, to: draft) }
        guard !BackupMark.isSet(file) else {
            throw StoreError(.corrupt, "\(file) is a backup, and the write-ahead log beside it is of another file: remove \(file)-wal")
        }
        // The file was copied together with its log, or its store is in use: SQLite reads file and log together.
        let source = try DatabaseQueue(path: file, configuration: .reader())
        defer { try? source.close() }
        let copy = try DatabaseQueue(path: draft)
        try source.backup(to: copy)
        try copy.close()
    }

    private static func copyAlone(_ file: String, to draft: String) throws {
        do {
            try FileManager.default.copyItem(atPath: file, toPath: draft)
            // A backup may be on read-only media, or be readable by others.
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: draft)
        } catch {
            throw StoreError(.unavailable, "\(file) cannot be copied: \(error.localizedDescription)", cause: error)
        }
    }

    private static func openChecked(_ draft: String, named file: String) throws -> DatabaseQueue {
        do {
            let connection = try DatabaseQueue(path: draft, configuration: .writer(try options))
            try connection.read { db in try check(db, named: file) }
            return connection
        } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB || error.resultCode == .SQLITE_CORRUPT {
            throw StoreError(.corrupt, "\(file) is damaged or is no database", cause: error)
        }
    }

    /// Migrates the checked file, begins its new incarnation, and copies its log back so that the file alone is complete.
    private static func makeReady(
        _ connection: DatabaseQueue, after former: FormerStore?
    ) throws -> (StoreIdentity, StoreCounts, EventID?) {
        try connection.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        try Schema.migrator.migrate(connection)
        let result = try connection.write { db in
            let old = try db.identity()
            let lastEvent = max(try db.integer("SELECT max(id) FROM events"), try db.prunedEvents().through.rawValue)
            let number = try StoreIdentity.nextIncarnation(
                after: max(old.incarnation, former?.incarnation ?? 0), lastEvent: max(lastEvent, former?.lastEvent ?? 0))
            try db.beginIncarnation(number)
            try db.run("UPDATE identity SET is_backup = 0")
            // So the gates of earlier incarnations have an earlier epoch, and the store refuses the claims that they decide.
            try db.run("UPDATE campaigns SET epoch = max(epoch, ?)", number)
            return (try db.identity(), try QueryConnection(source: .sqlite(db)).storeCounts(), lastEvent == 0 ? nil : EventID(lastEvent))
        }
        try connection.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
        try connection.close()
        return result
    }

    private static func check(_ db: Database, named file: String) throws {
        for table in ["grdb_migrations", "users", "campaigns", "issued_coupons", "orders", "events"] {
            guard try db.tableExists(table) else { throw StoreError(.corrupt, "\(file) is no store of this program") }
        }
        try SQLiteEngine.refuseNewerVersion(db)
        let faults = try String.fetchAll(db, sql: "PRAGMA integrity_check(3)")
        guard faults == ["ok"] else { throw StoreError(.corrupt, "\(file) is damaged: \(faults.joined(separator: "; "))") }
        let orphans = try db.integer("SELECT count(*) FROM pragma_foreign_key_check")
        guard orphans == 0 else { throw StoreError(.corrupt, "\(file) is damaged: \(orphans) rows belong to rows that are missing") }
    }

    private static var options: StoreOptions {
        get throws {
            guard let calendar = BusinessCalendar(timeZoneIdentifier: "UTC") else {
                throw StoreError(.internal, "there is no time zone UTC")
            }
            return StoreOptions(calendar: calendar) { _ in "" }
        }
    }
}

// MARK: - The former store

extension StoreRestore {
    private struct FormerStore {
        let incarnation: Int64
        let lastEvent: Int64
    }

    /// Copies the write-ahead log that a crash has left back into the former store's file, so that this file alone is that store.
    ///
    /// - Returns: nil where there is no former store, or where it cannot be read: it may be damaged, which is a reason to restore.
    private static func settleFormerStore(_ path: String) -> FormerStore? {
        // A marked file is a backup that was copied here by hand: the log beside it belongs to another state and must not get into it.
        guard FileManager.default.fileExists(atPath: path), !BackupMark.isSet(path) else { return nil }
        do {
            let connection = try DatabaseQueue(path: path, configuration: .writer(try options))
            defer { try? connection.close() }
            return try connection.writeWithoutTransaction { db in
                let lastEvent = try db.integer("SELECT max(id) FROM events")
                let incarnation = try db.tableExists("identity") ? try db.identity().incarnation : 0
                try db.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
                return FormerStore(incarnation: incarnation, lastEvent: lastEvent)
            }
        } catch {
            return nil
        }
    }

    /// - Returns: the name under which the former store was kept.
    private static func putInPlace(_ draft: String, as path: String) throws -> String? {
        var kept: String?
        if FileManager.default.fileExists(atPath: path) {
            let name = "\(path).before-\(StoreIdentity.now)"
            // A hard link keeps the former file under a second name when the rename below replaces the first.
            if link(path, name) != 0 { try FileManager.default.copyItem(atPath: path, toPath: name) }
            kept = name
        }
        FaultPoint.beforeRestoreRename.reached()
        // They are empty once the log was copied back. Those of a store that could not be read are moved to its new name.
        for companion in companions where FileManager.default.fileExists(atPath: path + companion) {
            if let kept, size(of: path + companion) > 0, companion != "-shm" {
                try FileManager.default.moveItem(atPath: path + companion, toPath: kept + companion)
            } else {
                try remove(path + companion)
            }
        }
        try syncFolder(of: path)
        guard rename(draft, path) == 0 else { throw failure("cannot be put in place", path) }
        FaultPoint.afterRestoreRename.reached()
        try syncFolder(of: path)
        return kept
    }
}

// MARK: - Files

extension StoreRestore {
    /// The file's size; 0 where there is none.
    private static func size(of path: String) -> Int64 {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : 0
    }

    /// Removes a file and what SQLite has put beside it, where they exist.
    private static func remove(_ path: String) throws {
        for name in [path] + companions.map({ path + $0 }) {
            guard unlink(name) == 0 || errno == ENOENT else { throw failure("cannot be removed", name) }
        }
    }

    private static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be opened", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("cannot be written to disk", path) }
    }

    private static func syncFolder(of path: String) throws {
        try sync(URL(fileURLWithPath: path).deletingLastPathComponent().path)
    }

    private static func failure(_ what: String, _ path: String) -> StoreError {
        StoreError(.unavailable, "\(path) \(what): \(String(cString: strerror(errno)))")
    }
}
