import Foundation
import Glibc
package import Logging
package import Redis
import Subprocess

/// The Redis server of one data folder: on a unix socket in it, with an append-only file and without eviction.
///
/// It runs as a daemon, so it survives a killed service, and the next start finds it by its socket. Its pid is read from the kernel by a
/// connection to the socket (`SO_PEERCRED`), so a stale pid file cannot make the service signal another process.
package struct PrivateRedis: Sendable {
    private let folder: String
    package let socketPath: String

    /// How long a start may take, including the time to read the append-only file.
    private static let startTimeout: Duration = .seconds(30)
    private static let stopTimeout: Duration = .seconds(10)
    /// How long to wait for the socket on a full disk, where a failing server cannot write to its log.
    private static let silentStartTimeout: Duration = .seconds(3)
    /// The size of `sockaddr_un.sun_path` on Linux, without the final NUL.
    static let longestSocketPath = 107

    package init(dataFolder: String) throws(ServiceError) {
        let absolute = URL(fileURLWithPath: dataFolder).standardizedFileURL.path
        folder = absolute + "/redis"
        socketPath = folder + "/redis.sock"
        guard socketPath.utf8.count <= Self.longestSocketPath else {
            throw ServiceError(
                .privateRedis,
                "the data folder's path is too long for a unix socket in it: \(socketPath.utf8.count) bytes, at most \(Self.longestSocketPath)"
            )
        }
    }

    package var endpoint: RedisEndpoint { .unix(path: socketPath) }

    /// The pid of the server that listens on the socket; `nil` where none does.
    package var runningPID: Int32? {
        connected { descriptor in
            var credentials: (pid: Int32, uid: UInt32, gid: UInt32) = (0, 0, 0)
            var size = socklen_t(MemoryLayout.size(ofValue: credentials))
            guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return nil }
            return credentials.pid
        }
    }

    /// Whether the server has read its files. Until then it answers every command with `-LOADING`.
    private var isReady: Bool {
        let answer: String? = connected { descriptor in
            // A server that is reading its files answers in between; no answer counts as not ready.
            var timeout = timeval(tv_sec: 0, tv_usec: 250_000)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
            guard send(descriptor, "PING\r\n", 6, Int32(MSG_NOSIGNAL)) == 6 else { return nil }
            var reply = [UInt8](repeating: 0, count: 128)
            let count = recv(descriptor, &reply, reply.count, 0)
            return count > 0 ? String(decoding: reply[..<count], as: UTF8.self) : nil
        }
        return answer.map { !$0.hasPrefix("-LOADING") } ?? false
    }

    /// Calls `body` with a connection to the socket; `nil` where no server listens.
    private func connected<Value>(_ body: (Int32) -> Value?) -> Value? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(socketPath.utf8)) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        return connected == 0 ? body(descriptor) : nil
    }

    /// Starts the server unless it runs already. Concurrent calls, also of several processes, start only one.
    ///
    /// - Returns: whether this call started it.
    /// - Throws: `ServiceError` with code `privateRedis` where `redis-server` is missing or does not come up.
    @discardableResult
    package func ensureRunning(logger: Logger) async throws -> Bool {
        if runningPID != nil { return false }
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw ServiceError(.privateRedis, "the folder \(folder) cannot be made: \(String(cString: strerror(errno)))")
        }
        guard access(folder, R_OK | W_OK | X_OK) == 0, !isFile(folder) else {
            throw ServiceError(
                .privateRedis, "\(folder) is no folder in which this account may write; move it away, or give it to this account")
        }
        let lock = try await lockStarts()
        // Closing the descriptor releases the lock, as does the end of the process.
        defer { close(lock) }
        if runningPID != nil { return false }
        switch try await start() {
        case .running: return true
        case .failed: throw startFailure
        case .damagedFile: break
        }
        // The store can rebuild what the unreadable append-only file held. Move it aside and start without it.
        let damaged = "appendonlydir.damaged-\(Int(Date().timeIntervalSince1970))"
        guard (try? FileManager.default.moveItem(atPath: folder + "/appendonlydir", toPath: folder + "/" + damaged)) != nil else {
            throw startFailure
        }
        logger.warning("the private redis-server could not read its append-only file, which was set aside", metadata: ["as": "\(damaged)"])
        guard try await start() == .running else { throw startFailure }
        return true
    }

    private var startFailure: ServiceError {
        if isDiskFull {
            return ServiceError(.privateRedis, "the private redis-server does not come up; the disk that holds \(folder) is full")
        }
        let last = log(since: max(logSize, 4_096) - 4_096).split(separator: "\n").last.map { "; the last line is: \($0)" } ?? ""
        return ServiceError(.privateRedis, "the private redis-server does not come up; see \(folder)/redis.log\(last)")
    }

    private func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    }

    private var isDiskFull: Bool {
        var status = statvfs()
        return statvfs(folder, &status) == 0 && status.f_bavail == 0
    }

    /// Locks the start of the server, because two servers would damage the append-only file.
    ///
    /// - Returns: a file descriptor that holds the lock until it is closed. The server's process does not inherit it.
    private func lockStarts() async throws -> Int32 {
        let descriptor = open(folder + "/start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ServiceError(.privateRedis, "\(folder) cannot be written: \(String(cString: strerror(errno)))") }
        let deadline = ContinuousClock.now + Self.startTimeout * 2
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            do {
                guard ContinuousClock.now < deadline else { throw startFailure }
                try await Task.sleep(for: .milliseconds(10))
            } catch {
                close(descriptor)
                throw error
            }
        }
        return descriptor
    }

    /// Ends the server by SIGTERM, on which it writes its data to the disk first, and waits up to 10 s.
    package func stop() async {
        guard let pid = runningPID else { return }
        kill(pid, SIGTERM)
        let deadline = ContinuousClock.now + Self.stopTimeout
        while isAlive(pid), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Whether the process still runs; a zombie does not.
    private func isAlive(_ pid: Int32) -> Bool {
        guard kill(pid, 0) == 0 else { return false }
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
        // The format is "pid (name) state ...", and the name may contain any character (proc_pid_stat(5)).
        return status[(status.lastIndex(of: ")") ?? status.startIndex)...].dropFirst(2).first != "Z"
    }

    private enum Start: Equatable {
        case running
        /// The server ended after its setup, while it read its files.
        case damagedFile
        case failed
    }

    /// Starts the daemon and waits until it has read its files.
    private func start() async throws -> Start {
        try? FileManager.default.removeItem(atPath: socketPath)
        let logged = logSize
        guard try await launch() else { return .failed }
        let began = ContinuousClock.now
        while ContinuousClock.now < began + Self.startTimeout {
            // The socket is asked, and not the log, because on a full disk there is no log.
            if isReady { return .running }
            // A daemon that fails after its fork reports that in its log only.
            let newLog = log(since: logged)
            if let pid = Self.pid(in: newLog), !isAlive(pid) {
                // Read the log again: the server may have written more before it ended.
                return log(since: logged).contains("Server initialized") ? .damagedFile : .failed
            }
            if newLog.isEmpty, runningPID == nil, ContinuousClock.now > began + Self.silentStartTimeout, isDiskFull { return .failed }
            try await Task.sleep(for: .milliseconds(10))
        }
        // A server that listens but still reads its files becomes ready later. Clients wait for it.
        return runningPID == nil ? .failed : .running
    }

    /// The pid in the line `Redis version=..., pid=123, just started`.
    private static func pid(in log: String) -> Int32? {
        guard let line = log.split(separator: "\n").last(where: { $0.hasSuffix("just started") }) else { return nil }
        return line.split(separator: " ").last { $0.hasPrefix("pid=") }.flatMap { Int32($0.dropFirst(4).dropLast()) }
    }

    private var logPath: String { folder + "/redis.log" }

    private var logSize: UInt64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: logPath)
        return (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
    }

    /// The part of the log that was written since it had that size.
    private func log(since size: UInt64) -> String {
        guard let file = FileHandle(forReadingAtPath: logPath) else { return "" }
        defer { try? file.close() }
        guard (try? file.seek(toOffset: size)) != nil, let bytes = try? file.readToEnd() else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What the server inherits: nothing that is meant for this service alone, such as secrets and the socket of a service manager.
    private static var environment: Environment {
        let own = ProcessInfo.processInfo.environment.filter { name, _ in
            !name.hasPrefix("FIRSTCOME_")
                && !["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY", "PGPASSWORD"].contains(name)
        }
        return .custom(Dictionary(uniqueKeysWithValues: own.map { (Environment.Key(stringLiteral: $0.key), $0.value) }))
    }

    /// Runs `redis-server` until it has forked its daemon; false where it failed before that.
    private func launch() async throws -> Bool {
        let arguments: Arguments = [
            "--port", "0", "--unixsocket", socketPath, "--unixsocketperm", "700", "--daemonize", "yes",
            "--dir", folder, "--pidfile", folder + "/redis.pid", "--logfile", logPath,
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
            // Timers once a second instead of ten times, which is enough here: an idle server then takes a tenth of the CPU time.
            "--hz", "1",
        ]
        do {
            let result = try await run(
                .name("redis-server"), arguments: arguments, environment: Self.environment, output: .discarded, error: .discarded)
            return result.terminationStatus.isSuccess
        } catch let error as SubprocessError where error.code == .executableNotFound {
            throw ServiceError(
                .privateRedis,
                "redis-server is not installed (on Debian: apt-get install redis-server); install it, or name a Redis by --redis")
        } catch {
            let reason = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
            throw ServiceError(.privateRedis, "redis-server cannot be started: \(reason)", cause: error)
        }
    }
}
