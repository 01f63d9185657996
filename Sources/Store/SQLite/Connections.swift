import GRDB

// How the store's connections are set up. Sizes are SQLite's: a negative cache_size counts KiB.

extension Configuration {
    /// The one connection that writes: every commit is fsynced before it returns.
    static func writer(_ options: StoreOptions) -> Configuration {
        var configuration = Configuration()
        configuration.label = "store-writer"
        configuration.journalMode = .wal
        // A foreign process may hold the lock for a moment; the writer's own process never does.
        configuration.busyMode = .timeout(Double(options.busyTimeoutMilliseconds) / 1000)
        // The writer's thread stays inside the connection for its whole life and ends every transaction it begins.
        configuration.allowsUnsafeTransactions = true
        let (checkpointPages, keptLogBytes) = (options.checkpointPages, LogBound.keptCheckpoints * options.checkpointBytes)
        configuration.prepareDatabase { db in
            // No memory map: a page that is mapped is looked for in the write-ahead log each time it is read, and one in the cache,
            // which nobody but the writer can make stale, is not.
            try db.execute(sql: "PRAGMA cache_size = -65536")
            try db.execute(sql: "PRAGMA mmap_size = 0")
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
            try db.execute(sql: "PRAGMA wal_autocheckpoint = \(checkpointPages)")
            try db.execute(sql: "PRAGMA journal_size_limit = \(keptLogBytes)")
        }
        return configuration
    }

    /// Connections for lists, snapshots and point reads.
    ///
    /// They map the database file. A read that comes to one of a million products takes a third longer without the map, for each
    /// commit outdates what such a connection has in its cache. SQLite shortens the file only when no reader can be in the part that
    /// goes; somebody else who does it while the store is open ends the process.
    static func reader() -> Configuration {
        var configuration = Configuration()
        configuration.label = "store-reader"
        configuration.readonly = true
        configuration.busyMode = .timeout(2)
        configuration.prepareDatabase { db in
            db.addAuditFunctions()
            try db.execute(sql: "PRAGMA cache_size = -16384")
            try db.execute(sql: "PRAGMA mmap_size = 268435456")
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
        }
        return configuration
    }
}

extension Database {
    /// What the rules of the audit call, on every connection that it may use.
    func addAuditFunctions() {
        for function in [NameIndex.nameMark, NameIndex.rowMark] { add(function: function) }
    }
}
