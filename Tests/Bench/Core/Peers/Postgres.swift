import Foundation
import TestSupport

/// A private PostgreSQL 15, on a unix socket in a temporary folder, with every commit as durable as the service's.
final class Postgres: Sendable {
    private let server: TemporaryPostgres
    private let pid: Int32

    static let role = "bench"

    static func program(_ name: String) -> String { TemporaryPostgres.program(name) }

    /// The settings for a machine with enough memory; none trades durability for speed.
    static let settings = [
        "max_connections": "100", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on",
        "shared_buffers": "1GB", "wal_buffers": "64MB", "wal_level": "minimal", "max_wal_senders": "0", "min_wal_size": "2GB",
        "max_wal_size": "8GB", "checkpoint_timeout": "1h", "random_page_cost": "1.1", "jit": "off",
    ]

    init(_ cleanup: CleanupStack) async throws {
        let server = try await offPool { try TemporaryPostgres(settings: Self.settings, role: Self.role, on: .disk) }
        cleanup.add { _ = try? await offPool { server.end() } }
        guard let pid = server.pid else { throw BenchFailure("PostgreSQL has ended: \(server.log)") }
        (self.server, self.pid) = (server, pid)
    }

    var folder: TemporaryFolder { server.folder }

    /// Every process of the server, those of ended sessions included.
    var watched: Watched { Watched(pid: pid, withChildren: true) }

    var connection: [String] { server.connection }

    /// The database that every new server has.
    var firstDatabase: PostgresDatabase { PostgresDatabase(server: self, name: "postgres") }

    /// Makes an empty database.
    func makeDatabase(_ name: String) async throws -> PostgresDatabase {
        try await firstDatabase.sql("CREATE DATABASE \(name) TEMPLATE template0")
        return PostgresDatabase(server: self, name: name)
    }

    fileprivate func sql(_ statements: String, in database: String) async throws -> String {
        try await offPool { [server] in try server.sql(statements, in: database) }
    }

    /// Waits until the sessions of the last load are gone, so that their CPU time is counted.
    func settle(children: Int) async {
        try? await eventually("PostgreSQL's sessions have ended", within: .seconds(5)) { watched.childCount <= children }
    }
}

/// One of the databases of a server.
struct PostgresDatabase: Sendable {
    let server: Postgres
    let name: String

    /// Where the service finds it: on the unix socket that pgbench uses too.
    var url: String { "postgresql:///\(name)?host=\(server.folder.path)&user=\(Postgres.role)" }

    /// Runs statements and returns their rows, with | between the fields.
    @discardableResult
    func sql(_ statements: String) async throws -> String { try await server.sql(statements, in: name) }

    /// Makes a database with the same tables and rows.
    func copy(to name: String) async throws -> PostgresDatabase {
        let copy = try await server.makeDatabase(name)
        let file = server.folder.path + "/copy.sql"
        try await Command.run([Postgres.program("pg_dump")] + server.connection + ["--no-owner", "-f", file, self.name])
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await Command.run(
            [Postgres.program("psql")] + server.connection + [
                "-d", name, "-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-f", file,
            ])
        return copy
    }
}
