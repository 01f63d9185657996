import Synchronization

/// A PostgreSQL and its synchronous standby, in folders of their own. Both end with this object or by ``end()``.
///
/// No commit of the primary is answered before the standby has it. The standby waits for nobody once it is promoted, because the primary
/// learns of its standby after the standby was copied from it.
package final class PostgresPair: Sendable {
    private struct Servers {
        /// In their places in ``url``.
        var both: [TemporaryPostgres]
        var primary = 0
    }

    private let servers: Mutex<Servers>
    private let settings: [String: String]
    package let database = "store"

    /// - Parameter settings: those of both servers, which override the defaults of ``TemporaryPostgres``.
    package init(settings: [String: String] = [:]) throws {
        // A standby that has lost its primary asks for it often.
        self.settings = ["wal_retrieve_retry_interval": "50ms"].merging(settings) { $1 }
        let primary = try TemporaryPostgres(settings: self.settings)
        try primary.sql("CREATE DATABASE \(database) TEMPLATE template0")
        servers = Mutex(Servers(both: [primary, try Self.standby(of: primary, self.settings)]))
    }

    private static func standby(of primary: TemporaryPostgres, _ settings: [String: String]) throws -> TemporaryPostgres {
        let standby = try TemporaryPostgres(.standby(of: primary), settings: settings)
        try primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
        try primary.sql("SELECT pg_reload_conf()")
        return standby
    }

    /// Both, in their places in ``url``.
    package var both: [TemporaryPostgres] { servers.withLock { $0.both } }
    package var primary: TemporaryPostgres { servers.withLock { $0.both[$0.primary] } }
    /// The promoted server is still called so until ``makeNewStandby()``.
    package var standby: TemporaryPostgres { servers.withLock { $0.both[1 - $0.primary] } }

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

    /// After a promotion: ends the former primary, and puts a synchronous standby of the new one in its place.
    package func makeNewStandby() throws {
        let (former, primary) = (primary, standby)
        former.end()
        let standby = try Self.standby(of: primary, settings)
        servers.withLock { servers in
            servers.both[servers.primary] = standby
            servers.primary = 1 - servers.primary
        }
    }

    /// The URL of the store on whichever of the two takes writes, the first of ``both`` first.
    package var url: String { url(folders: both.map(\.folder.path)) }

    /// - Parameter folders: those of the sockets, for example of proxies.
    package func url(folders: [String]) -> String {
        "postgresql:///\(database)?host=\(folders.joined(separator: ","))&user=\(primary.role)&target_session_attrs=read-write"
    }

    package func end() {
        let both = both
        for server in both.reversed() { server.end() }
    }
}
