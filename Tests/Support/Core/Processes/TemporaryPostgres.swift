import Foundation
import Synchronization

/// A real PostgreSQL 15 on a unix socket in a folder of its own, and on TCP where asked for.
///
/// Server and folder are removed with the last reference or by ``end()``, also when a test fails. A shell runs the server and ends it when
/// the pipe from this process closes, so that it also ends when this process crashes or is killed.
package final class TemporaryPostgres: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// The role that may do everything, and whose password nobody asks for on the unix socket.
    package let role: String
    /// The folder with the socket, the log and the server's data.
    package let folder: TemporaryFolder
    /// The port on TCP and in the socket's name.
    package let port: Int
    private let server = Mutex<Server?>(nil)

    private struct Server {
        /// The postmaster's own process id, not the shell's.
        let pid: Int32
        let shell: BlockingChildProcess
        let lifeline: Pipe
    }

    /// Where the data of a new server comes from.
    package enum Origin: Sendable {
        case new
        /// A standby of that server, which follows it.
        case standby(of: TemporaryPostgres)
    }

    /// The path of a PostgreSQL program, as Debian installs it.
    package static func program(_ name: String) -> String { "/usr/lib/postgresql/15/bin/\(name)" }

    /// The user that the server runs as, because it refuses to run as root; nil for the present one.
    private static let user = geteuid() == 0 ? "postgres" : nil

    /// For tests of what a client sees: nothing is kept after a crash of the machine.
    private static let settings = [
        "max_connections": "200", "shared_buffers": "64MB", "fsync": "off", "jit": "off", "autovacuum": "off", "wal_level": "replica",
        "max_wal_senders": "10",
        // Uses files in the data folder, because a killed server would leave files in /dev/shm.
        "dynamic_shared_memory_type": "mmap",
    ]

    /// Starts a server and waits until it answers.
    ///
    /// - Parameters:
    ///   - settings: come last and override the defaults.
    ///   - addresses: listen on a free port of these addresses of the loopback device too.
    ///   - access: the lines of `pg_hba.conf`; without them, everybody on the unix socket and nobody else is let in.
    ///   - acceptsTLS: accept TLS too, with a certificate for `localhost` and 127.0.0.1 that signs itself: ``certificate``.
    package init(
        _ origin: Origin = .new, settings: [String: String] = [:], addresses: [String] = [], access: [String] = ["local all all trust"],
        acceptsTLS: Bool = false, role: String = "test", on place: TemporaryFolder.Place = .memory
    ) throws {
        (self.role, folder) = (role, TemporaryFolder(on: place))
        port = addresses.isEmpty ? 5432 : try TemporaryRedis.freePort()
        var all = Self.settings
        all["listen_addresses"] = addresses.joined(separator: ",")
        all["hba_file"] = folder.path + "/pg_hba.conf"
        if acceptsTLS { (all["ssl"], all["ssl_cert_file"], all["ssl_key_file"]) = ("on", certificate, folder.path + "/key.pem") }
        all.merge(settings) { $1 }
        do {
            try Self.own(folder.path)
            // A standby is allowed in as well.
            let lines = access + (access.contains { $0.contains("replication") } ? [] : ["local replication all trust"])
            try write(lines.joined(separator: "\n"), to: "pg_hba.conf")
            try write(Self.configuration(all), to: "settings")
            try write(creation(origin, acceptsTLS: acceptsTLS), to: "create.sh")
            try start()
        } catch {
            end()
            throw error
        }
    }

    deinit { end() }

    private var data: String { folder.path + "/data" }

    private var command: [String] { Self.asUser([Self.program("postgres"), "-D", data, "-k", folder.path, "-p", String(port)]) }

    /// The path of the server's certificate.
    package var certificate: String { folder.path + "/cert.pem" }

    /// The settings in the form of postgresql.conf, where `ALTER SYSTEM` comes before them and they come before those of a standby's
    /// primary.
    private static func configuration(_ settings: [String: String]) -> String {
        settings.sorted { $0.key < $1.key }.map { "\($0.key) = '\($0.value.replacing("'", with: "''"))'\n" }.joined()
    }

    /// The shell script that makes certificate and data. The shell runs it, and not this process, so that it also removes what a killed
    /// process has begun.
    private func creation(_ origin: Origin, acceptsTLS: Bool) -> String {
        let openssl = TestCertificate.command(certificate: certificate, key: folder.path + "/key.pem", days: 2)
        let making =
            switch origin {
            case .new:
                ["initdb", "-D", data, "-U", role, "--auth", "trust", "--locale", "C", "--encoding", "UTF8", "--no-sync"]
            case .standby(let primary):
                ["pg_basebackup", "-D", data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"] + primary.connection
            }
        let commands = (acceptsTLS ? [openssl] : []) + [[Self.program(making[0])] + making.dropFirst()]
        let lines = commands.map { Self.asUser($0).map { "'\($0)'" }.joined(separator: " ") }
        return "set -e\n" + lines.joined(separator: "\n") + "\ncat '\(folder.path)/settings' >>'\(data)/postgresql.conf'\n"
    }

    /// The postmaster's process, or nil while it is down.
    package var pid: Int32? { server.withLock { $0?.pid } }

    /// The server's log, for the message of a failed test.
    package var log: String { (try? String(contentsOfFile: folder.path + "/log", encoding: .utf8)) ?? "" }

    // MARK: Starting and stopping

    /// Starts the server with the same folder and settings. Returns once it answers.
    package func start() throws {
        let (lifeline, output) = (Pipe(), Pipe())
        let shell = try BlockingChildProcess(
            ["sh", "-c", Self.script, folder.path] + command, input: lifeline, output: output, errors: false)
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let pid = Int32(line.filter(\.isNumber)) else {
            shell.wait()
            throw Failure(description: "PostgreSQL was not started:\n\(log)")
        }
        server.withLock { $0 = Server(pid: pid, shell: shell, lifeline: lifeline) }
        let start = ContinuousClock.now
        while !answers() {
            guard start.duration(to: .now) < hangLimit, Self.isRunning(pid) else {
                throw Failure(description: "PostgreSQL does not answer in \(folder.path):\n\(log)")
            }
            usleep(5_000)
        }
    }

    /// Makes the server's data where they are missing, and runs the server until a line names the signal that ends it; the folder stays.
    /// When the pipe closes without a line, the process that started all this has ended: the server is ended and the folder removed. A
    /// server that was stopped by SIGSTOP goes on.
    ///
    /// SIGHUP is what the kernel sends to a process group whose parent has ended, if one of its processes is stopped (setpgid(2)).
    private static let script = #"""
        trap '' HUP
        if [ -f "$0/create.sh" ]; then
            sh "$0/create.sh" </dev/null >"$0/log" 2>&1 || exit 1
            rm "$0/create.sh"
        fi
        "$@" </dev/null >>"$0/log" 2>&1 &
        server=$!
        trap '' PIPE
        echo $server
        exec >/dev/null 2>&1
        read -r signal || { signal=QUIT; gone=yes; }
        kill -"$signal" $server
        kill -CONT $server $(cat /proc/$server/task/$server/children)
        waits=0
        while read -r _ _ state _ </proc/$server/stat && [ "$state" != Z ]; do
            waits=$((waits + 1))
            [ $waits -lt 3000 ] || kill -KILL $server
            sleep 0.01
        done
        wait $server
        [ -z "$gone" ] || rm -rf "$0"
        """#

    /// How a server ends.
    package enum Ending: String, Sendable {
        /// It ends the sessions and writes everything to its files.
        case fast = "INT"
        /// It ends at once and recovers when it starts again.
        case immediate = "QUIT"
        /// As when the kernel kills it.
        case killed = "KILL"
    }

    /// Ends the server and all its processes. The folder stays.
    package func stop(_ ending: Ending = .immediate) {
        server.withLock { server in
            guard let running = server else { return }
            let children = Self.children(of: running.pid)
            try? running.lifeline.fileHandleForWriting.write(contentsOf: Data("\(ending.rawValue)\n".utf8))
            try? running.lifeline.fileHandleForWriting.close()
            running.shell.wait()
            // After the end of a killed postmaster, its processes notice it and end.
            let start = ContinuousClock.now
            while children.contains(where: Self.isRunning), start.duration(to: .now) < hangLimit { usleep(1_000) }
            server = nil
        }
    }

    package func restart(_ ending: Ending = .immediate) throws {
        stop(ending)
        try start()
    }

    /// Stops all processes of the server by SIGSTOP: it keeps its connections and answers nothing, and accepts none.
    package func pause() { signal(SIGSTOP) }

    package func resume() { signal(SIGCONT) }

    private func signal(_ number: Int32) {
        server.withLock { server in
            guard let server else { return }
            for pid in [server.pid] + Self.children(of: server.pid) { kill(pid, number) }
        }
    }

    /// Ends the server and removes its folder.
    package func end() {
        resume()
        stop()
        removeSharedMemory()
        folder.remove()
    }

    /// Removes the segment of 56 bytes by which a killed server would still find its former processes. Only a server that was killed
    /// leaves the file that names it: seven lines, the last with the segment's key and id.
    private func removeSharedMemory() {
        guard let file = try? String(contentsOfFile: folder.path + "/data/postmaster.pid", encoding: .utf8) else { return }
        let lines = file.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 6, let id = lines[6].split(separator: " ").last else { return }
        _ = try? Self.run(["ipcrm", "--shmem-id", String(id)])
    }

    /// Closes the pipe to the shell, as the kernel does when this process is killed, and waits for the shell's end.
    package func abandon() {
        server.withLock { server in
            try? server?.lifeline.fileHandleForWriting.close()
            server?.shell.wait()
            server = nil
        }
    }

    // MARK: Programs

    /// The arguments by which a program finds the server.
    package var connection: [String] { ["-h", folder.path, "-p", String(port), "-U", role] }

    /// Runs statements by psql and returns their rows, with | between the fields.
    ///
    /// - Throws: ``Failure`` with what psql said, where one fails.
    @discardableResult
    package func sql(_ statements: String, in database: String = "postgres") throws -> String {
        // Without notices, which psql prints beside the rows.
        let words =
            [Self.program("psql")] + connection + ["-d", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
            + ["-c", "SET client_min_messages = error", "-c", statements]
        return try Self.run(words).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func answers() -> Bool { (try? Self.run([Self.program("pg_isready"), "-h", folder.path, "-p", String(port)])) != nil }

    @discardableResult
    private static func run(_ words: [String]) throws -> String {
        let output = Pipe()
        let process = try BlockingChildProcess(words, output: output)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        guard process.wait() else { throw Failure(description: "\(words.joined(separator: " ")) failed: \(text)") }
        return text
    }

    private static func asUser(_ words: [String]) -> [String] {
        guard let user else { return words }
        return ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--"] + words
    }

    private func write(_ text: String, to name: String) throws {
        let path = folder.path + "/" + name
        try Data(text.utf8).write(to: URL(filePath: path))
        try Self.own(path)
    }

    /// Gives a file to the server's user.
    private static func own(_ path: String) throws {
        guard let user else { return }
        guard let entry = getpwnam(user) else { throw Failure(description: "there is no user \(user); postgresql-15 is not installed") }
        guard chown(path, entry.pointee.pw_uid, entry.pointee.pw_gid) == 0 else {
            throw Failure(description: "\(path) cannot be given away")
        }
    }

    // MARK: Processes

    private static func children(of pid: Int32) -> [Int32] {
        let list = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
        return list.split(separator: " ").compactMap { Int32($0) }
    }

    /// Whether a process runs: "pid (name) state ...", where Z is an ended process that its parent has not waited for (proc_pid_stat(5)).
    private static func isRunning(_ pid: Int32) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return !status.contains(") Z ")
    }
}

// MARK: - One server for all tests of a process

extension TemporaryPostgres {
    /// Reachable on 127.0.0.1 and 127.0.0.2 too, with and without TLS, by roles that have a password.
    package static func shared() async throws -> SharedPostgres { try await sharedServer.value }

    /// Never ended by this process: when it ends, so does the server.
    private static let sharedServer = Task.detached {
        let server = try await offPool {
            try TemporaryPostgres(
                addresses: ["127.0.0.1", "127.0.0.2"], access: ["local all all trust", "host all all 127.0.0.0/8 scram-sha-256"],
                acceptsTLS: true)
        }
        return SharedPostgres(server: server, certificate: server.certificate)
    }
}

package struct SharedPostgres: Sendable {
    package let server: TemporaryPostgres
    /// The path of the server's certificate, which signs itself.
    package let certificate: String

    private static let databases = Mutex(0)

    /// Makes an empty database.
    package func makeDatabase() throws -> TemporaryDatabase {
        let number = Self.databases.withLock { count in
            count += 1
            return count
        }
        let name = "test_\(number)"
        try server.sql("CREATE DATABASE \(name) TEMPLATE template0")
        return TemporaryDatabase(server: server, name: name)
    }

    /// Runs `body` with a database of its own.
    package func withDatabase<Result>(_ body: (String) throws -> Result) throws -> Result {
        let name =
            "test_"
            + String(
                Self.databases.withLock { count in
                    count += 1
                    return count
                })
        try server.sql("CREATE DATABASE \(name) TEMPLATE template0")
        defer { _ = try? server.sql("DROP DATABASE \(name) WITH (FORCE)") }
        return try body(name)
    }
}

/// A database of its own on a server, until it is removed.
package struct TemporaryDatabase: Sendable {
    package let server: TemporaryPostgres
    package let name: String

    package init(server: TemporaryPostgres, name: String) { (self.server, self.name) = (server, name) }

    /// Runs statements by psql and returns their rows, with | between the fields.
    @discardableResult
    package func sql(_ statements: String) throws -> String { try server.sql(statements, in: name) }

    /// Ends all its sessions and removes it.
    package func remove() throws { try server.sql("DROP DATABASE \(name) WITH (FORCE)") }

    /// The tables of a store that say what happened. The others, `lanes` and `order_counters`, also change where nothing has.
    private static let storeTables = [
        "users", "transfers", "charges", "idempotency", "products", "campaigns", "issued_coupons", "orders", "order_lines", "payments",
        "refunds", "refund_lines", "events", "event_units", "pruned_events", "admin_log", "counters", "identity", "incarnations",
        "token_keys",
    ]

    /// All rows of these tables, one line each.
    package func dumpOfStore() throws -> String {
        // Wins are sealed in the background, moments after their requests.
        try sql(
            Self.storeTables.map { table in
                "COPY (SELECT '\(table)', to_jsonb(t) - '{sealed,sealed_count,chain_head}'::text[] FROM \(table) t ORDER BY t) TO STDOUT"
            }.joined(separator: ";"))
    }
}
