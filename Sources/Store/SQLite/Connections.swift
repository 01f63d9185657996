import GRDB

// How the store's connections are set up. Sizes are SQLite's: a negative cache_size counts KiB.

extension Configuration {
    /// The one connection that writes: every commit is fsynced before it returns.
    static func writer(_ options: StoreOptions) -> Configuration {
        var configuration = Configuration()
        configuration.label = "store-writer"
        configuration.journalMode = .wal
        // Another process may hold the write lock for a moment; nothing else in this process takes it.
        configuration.busyMode = .timeout(Double(options.busyTimeoutMilliseconds) / 1000)
        // The writer's thread stays inside the connection for its whole life and ends every transaction it begins.
        configuration.allowsUnsafeTransactions = true
        let (checkpointPages, keptLogBytes) = (options.checkpointPages, LogBound.keptCheckpoints * options.checkpointBytes)
        configuration.prepareDatabase { db in
            // No memory map: SQLite looks for a mapped page in the write-ahead log each time it is read, but not for a page in the
            // cache, which only the writer itself can make stale.
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
    /// They map the database file: each commit makes the cache of such a connection stale, so without the map a read by key takes a
    /// third longer among a million products. SQLite truncates the file only where no reader can be; another program that truncates
    /// it while the store is open ends the process by a signal.
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
    /// Adds the SQL functions that rules of the audit call; for every connection that the audit may use.
    func addAuditFunctions() {
        for function in [NameIndex.nameMark, NameIndex.rowMark] { add(function: function) }
    }
}
