import Foundation
import TestSupport

/// A private PostgreSQL 15, on a unix socket in a temporary folder, with every commit as durable as the service's.
final class Postgres: Sendable {
    let folder: TemporaryFolder
    /// The user that the server runs as, because it refuses to run as root; nil for the present one.
    private let user: String?
    private let process: ChildProcess

    static let role = "bench"
    static let database = "postgres"

    /// The path of a PostgreSQL program, as Debian installs it.
    static func program(_ name: String) -> String { "/usr/lib/postgresql/15/bin/\(name)" }

    /// The settings for a machine with enough memory; none trades durability for speed.
    static let settings = [
        "listen_addresses": "", "max_connections": "100", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
        "shared_buffers": "1GB", "wal_buffers": "64MB", "wal_level": "minimal", "max_wal_senders": "0", "min_wal_size": "2GB",
        "max_wal_size": "8GB", "checkpoint_timeout": "1h", "random_page_cost": "1.1", "jit": "off",
        // Uses files in the data folder, because a killed server would leave files in /dev/shm.
        "dynamic_shared_memory_type": "mmap",
    ]

    init(_ cleanup: CleanupStack) async throws {
        let folder = TemporaryFolder()
        cleanup.add { folder.remove() }
        self.folder = folder
        user = geteuid() == 0 ? "postgres" : nil
        if let user { try await Command.run(["chown", user, folder.path]) }
        let data = folder.path + "/data"
        try await Command.run(
            [Self.program("initdb"), "-D", data, "-U", Self.role, "--auth", "trust", "--locale", "C", "--encoding", "UTF8", "--no-sync"],
            user: user)
        let flags = Self.settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
        let process = try await ChildProcess.start(
            [Self.program("postgres"), "-D", data, "-k", folder.path] + flags, user: user, errors: .file(folder.path + "/log"))
        // A fast shutdown: it ends the sessions and closes the database cleanly.
        cleanup.add { await process.end(SIGINT) }
        self.process = process
        try await eventually("PostgreSQL answers") {
            guard process.isRunning else { throw BenchFailure("PostgreSQL has ended: \(log)") }
            return (try? await sql("SELECT 1")) != nil
        }
    }

    /// Every process of the server, those of ended sessions included.
    var watched: Watched { Watched(pid: process.pid, withChildren: true) }

    private var log: String { (try? String(contentsOfFile: folder.path + "/log", encoding: .utf8)) ?? "" }

    var connection: [String] { ["-h", folder.path, "-U", Self.role] }

    /// Runs statements and returns their rows, with | between the fields.
    @discardableResult
    func sql(_ statements: String) async throws -> String {
        let words = [Self.program("psql")] + connection + ["-d", Self.database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c"]
        return try await Command.run(words + [statements]).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Waits until the sessions of the last load are gone, so that their CPU time is counted.
    func settle(children: Int) async {
        try? await eventually("PostgreSQL's sessions have ended", within: .seconds(5)) { watched.childCount <= children }
    }
}
