import Foundation
import Glibc
package import Logging
package import Redis
import Subprocess

/// The Redis server of one data folder: on a unix socket in it, with an append-only file and without eviction.
///
/// It runs as a daemon of its own, so that it outlives a killed service; the next start finds it by its socket. Whoever asks
/// the socket learns the server's pid from the kernel (`SO_PEERCRED`), so nobody ever signals another process.
package struct PrivateRedis: Sendable {
    private let folder: String
    package let socketPath: String

    /// How long a start may take, reading an append-only file included.
    private static let startTimeout: Duration = .seconds(30)
    private static let stopTimeout: Duration = .seconds(10)
    /// How long a server on a full disk, where it cannot say what is wrong, may take until its socket listens.
    private static let silentStart: Duration = .seconds(3)
    /// `sockaddr_un.sun_path` on Linux, less its final NUL.
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

    /// Whether the server has read its files: until then it answers every command that it is loading them.
    private var isReady: Bool {
        let answer: String? = connected { descriptor in
            // A server that is busy reading its files answers between two of its own steps.
            var patience = timeval(tv_sec: 0, tv_usec: 250_000)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
            guard send(descriptor, "PING\r\n", 6, Int32(MSG_NOSIGNAL)) == 6 else { return nil }
            var reply = [UInt8](repeating: 0, count: 128)
            let count = recv(descriptor, &reply, reply.count, 0)
            return count > 0 ? String(decoding: reply[..<count], as: UTF8.self) : nil
        }
        return answer.map { !$0.hasPrefix("-LOADING") } ?? false
    }

    /// What `body` makes of a connection to the socket; `nil` where nobody listens.
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

    /// Makes sure that the server runs: finds a running one, or starts it. Two calls at once, of two processes too, start one.
    ///
    /// - Returns: whether this call started it.
    /// - Throws: `ServiceError` with code `privateRedis` where `redis-server` is missing or does not come up.
    @discardableResult
    package func ensureRunning(logger: Logger) async throws -> Bool {
        if runningPID != nil { return false }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let lock = try await lockStarts()
        // Closing gives the lock back, as does the end of the process.
        defer { close(lock) }
        if runningPID != nil { return false }
        switch try await start() {
        case .running: return true
        case .failed: throw notComingUp
        case .damagedFile: break
        }
        // An append-only file that cannot be read is worth less than the store: set it aside and begin anew.
        let damaged = "appendonlydir.damaged-\(Int(Date().timeIntervalSince1970))"
        guard (try? FileManager.default.moveItem(atPath: folder + "/appendonlydir", toPath: folder + "/" + damaged)) != nil else {
            throw notComingUp
        }
        logger.warning("the private redis-server could not read its append-only file, which was set aside", metadata: ["as": "\(damaged)"])
        guard try await start() == .running else { throw notComingUp }
        return true
    }

    private var notComingUp: ServiceError {
        let reason = isDiskFull ? "the disk that holds \(folder) is full" : "see \(folder)/redis.log"
        return ServiceError(.privateRedis, "the private redis-server does not come up; \(reason)")
    }

    private var isDiskFull: Bool {
        var status = statvfs()
        return statvfs(folder, &status) == 0 && status.f_bavail == 0
    }

    /// Waits for its turn to start the server: two servers on one append-only file would ruin it.
    ///
    /// - Returns: a file descriptor that holds the lock until it is closed. The server does not inherit it.
    private func lockStarts() async throws -> Int32 {
        let descriptor = open(folder + "/start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ServiceError(.privateRedis, "\(folder) cannot be written: error \(errno)") }
        let deadline = ContinuousClock.now + Self.startTimeout * 2
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            do {
                guard ContinuousClock.now < deadline else { throw notComingUp }
                try await Task.sleep(for: .milliseconds(10))
            } catch {
                close(descriptor)
                throw error
            }
        }
        return descriptor
    }

    /// Ends the server in good order: it writes what it has to disk first.
    package func stop() async {
        guard let pid = runningPID else { return }
        kill(pid, SIGTERM)
        let deadline = ContinuousClock.now + Self.stopTimeout
        while isAlive(pid), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Whether the process still runs; one that is dead and waits for its parent to notice does not.
    private func isAlive(_ pid: Int32) -> Bool {
        guard kill(pid, 0) == 0 else { return false }
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
        // "pid (name) state ...", and the name may hold anything (proc_pid_stat(5)).
        return status[(status.lastIndex(of: ")") ?? status.startIndex)...].dropFirst(2).first != "Z"
    }

    private enum Start: Equatable {
        case running
        /// The server was set up and ended while it read its files.
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
            // The log is no sign of a good start: on a full disk there is none.
            if isReady { return .running }
            // A daemon that fails after its fork says so nowhere else. The socket listens before the files are read.
            let said = log(since: logged)
            if let pid = Self.pid(in: said), !isAlive(pid) {
                // Read anew: it may have gone on, and ended, since it named its pid.
                return log(since: logged).contains("Server initialized") ? .damagedFile : .failed
            }
            if said.isEmpty, runningPID == nil, ContinuousClock.now > began + Self.silentStart, isDiskFull { return .failed }
            try await Task.sleep(for: .milliseconds(10))
        }
        // One that still reads comes up later, and clients wait for it.
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

    /// What the server has logged since the log had that size.
    private func log(since size: UInt64) -> String {
        guard let file = FileHandle(forReadingAtPath: logPath) else { return "" }
        defer { try? file.close() }
        guard (try? file.seek(toOffset: size)) != nil, let bytes = try? file.readToEnd() else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Runs `redis-server` until it has become a daemon; false where it failed before that.
    private func launch() async throws -> Bool {
        let arguments: Arguments = [
            "--port", "0", "--unixsocket", socketPath, "--unixsocketperm", "700", "--daemonize", "yes",
            "--dir", folder, "--pidfile", folder + "/redis.pid", "--logfile", logPath,
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
            // Once a second, not ten times: nothing here needs it more often, and an idle server takes a tenth.
            "--hz", "1",
        ]
        do {
            let result = try await run(.name("redis-server"), arguments: arguments, output: .discarded, error: .discarded)
            return result.terminationStatus.isSuccess
        } catch let error as SubprocessError where error.code == .executableNotFound {
            throw ServiceError(.privateRedis, "redis-server is not installed (on Debian: apt-get install redis-server)")
        } catch {
            throw ServiceError(.privateRedis, "redis-server cannot be started", cause: error)
        }
    }
}
