import Foundation
import GRDB

/// Returns the space of removed rows to the disk; without it, SQLite reuses that space for later rows.
package enum StoreCompaction {
    /// Rewrites the store's file, which nobody else may have open. Needs as much free space on the disk as the store takes.
    ///
    /// - Returns: the sizes of the file in bytes before and after.
    /// - Throws: `StoreError`; the store is unchanged then.
    package static func run(_ path: String, options: StoreOptions) throws(StoreError) -> (before: Int64, after: Int64) {
        do {
            let connection = try DatabaseQueue(path: path, configuration: .writer(options))
            try connection.read { try SQLiteEngine.refuseNewerVersion($0) }
            try connection.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
            let before = size(of: path)
            try connection.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA synchronous = FULL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
            }
            try connection.close()
            return (before, size(of: path))
        } catch {
            throw StoreError(classifying: error)
        }
    }

    private static func size(of path: String) -> Int64 {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : 0
    }
}
