import Foundation
import GRDB
import GRDBSQLite

/// The mark of a file that `firstcome backup` made.
///
/// If a backup is copied over a store's file by hand, the write-ahead log that a crash left beside that file may still be there. SQLite
/// cannot know that the log belongs to another state, and replays it into the backup. So no service opens a marked file; a restore removes
/// the mark.
enum BackupMark {
    /// Marks a copy and takes it out of WAL mode: opening a copy in WAL mode would create two more files beside it.
    static func set(_ path: String) throws(StoreError) {
        do {
            let copy = try DatabaseQueue(path: path)
            try copy.writeWithoutTransaction { db in
                // A store from before there were identities has no place for the mark; it can be restored all the same.
                guard try db.tableExists("identity") else { return }
                try db.execute(sql: "PRAGMA journal_mode = DELETE")
                try db.execute(sql: "UPDATE identity SET is_backup = 1")
            }
            try copy.close()
        } catch {
            throw StoreError(classifying: error)
        }
    }

    /// Whether the file itself is marked, whatever a write-ahead log beside it holds; false for a file that cannot be read.
    ///
    /// The file is opened as immutable: so SQLite does not read the log, and does not copy it back into the file on closing.
    static func isSet(_ path: String) -> Bool {
        var characters = CharacterSet.urlPathAllowed
        characters.remove("?")
        guard FileManager.default.fileExists(atPath: path), let name = path.addingPercentEncoding(withAllowedCharacters: characters) else {
            return false
        }
        var connection: OpaquePointer?
        defer { sqlite3_close_v2(connection) }
        guard sqlite3_open_v2("file:\(name)?immutable=1", &connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nil) == SQLITE_OK else {
            return false
        }
        var statement: OpaquePointer?
        defer { sqlite3_finalize(statement) }
        guard sqlite3_prepare_v2(connection, "SELECT is_backup FROM identity", -1, &statement, nil) == SQLITE_OK else { return false }
        return sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) != 0
    }
}
