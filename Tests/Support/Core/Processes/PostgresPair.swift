/// A PostgreSQL and its synchronous standby, in folders of their own. Both end with this object or by ``end()``.
///
/// No commit of the primary is answered before the standby has it. The standby waits for nobody once it is promoted, because the primary
/// learns of its standby after the standby was copied from it.
package final class PostgresPair: Sendable {
    package let primary: TemporaryPostgres
    package let standby: TemporaryPostgres
    package let database = "store"

    /// - Parameter settings: those of both servers, which override the defaults of ``TemporaryPostgres``.
    package init(settings: [String: String] = [:]) throws {
        // A standby that has lost its primary asks for it often.
        let settings = ["wal_retrieve_retry_interval": "50ms"].merging(settings) { $1 }
        let primary = try TemporaryPostgres(settings: settings)
        try primary.sql("CREATE DATABASE \(database) TEMPLATE template0")
        let standby = try TemporaryPostgres(.standby(of: primary), settings: settings)
        try primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        try primary.sql("SELECT pg_reload_conf()")
        (self.primary, self.standby) = (primary, standby)
    }

    /// Whether the primary's commits wait for the standby, which follows.
    package var isSynchronous: Bool {
        get throws { try primary.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") == "1" }
    }

    /// Makes the standby a primary. Returns once it takes writes.
    package func promote() throws {
        guard try standby.sql("SELECT pg_promote(true, 600)") == "t" else {
            throw TemporaryPostgres.Failure(description: "the standby was not promoted:\n\(standby.log)")
        }
    }

    /// The URL of the store on whichever of the two takes writes, the first primary first.
    package var url: String {
        "postgresql:///\(database)?host=\(primary.folder.path),\(standby.folder.path)&user=\(primary.role)&target_session_attrs=read-write"
    }

    package func end() {
        standby.end()
        primary.end()
    }
}
