import Foundation
import GRDB
import GRDBSQLite

/// The mark of a file that `firstcome backup` made.
///
/// A backup that is copied over a store's file by hand meets the write-ahead log that a crash has left beside that file. SQLite cannot tell
/// and replays the log, which mixes two states. So no service opens a marked file: a restore takes the mark away.
enum BackupMark {
    /// Marks a copy, and has it stand alone: with the journal mode of a service, opening the copy would make two more files beside it.
    static func set(_ path: String) throws(StoreError) {
        do {
            let copy = try DatabaseQueue(path: path)
            try copy.writeWithoutTransaction { db in
                // A store that this version never migrated has no identity yet, and is restored like one that has.
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
    /// An immutable file is read without its log, and closing it does not copy the log back into it.
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
