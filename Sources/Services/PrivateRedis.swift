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
    /// `sockaddr_un.sun_path` on Linux, less its final NUL.
    static let longestSocketPath = 107

    package init(dataFolder: String) throws(ServiceError) {
        let absolute = URL(fileURLWithPath: dataFolder).standardizedFileURL.path
        folder = absolute + "/redis"
        socketPath = folder + "/redis.sock"
        guard socketPath.utf8.count <= Self.longestSocketPath else {
            throw ServiceError(
                .privateRedis,
                "the data folder's path is too long for a unix socket in it: \(socketPath.utf8.count) bytes, at most \(Self.longestSocketPath)")
        }
    }

    package var endpoint: RedisEndpoint { .unix(path: socketPath) }

    /// The pid of the server that listens on the socket; `nil` where none does.
    package var runningPID: Int32? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(socketPath.utf8)) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard connected == 0 else { return nil }
        var credentials: (pid: Int32, uid: UInt32, gid: UInt32) = (0, 0, 0)
        var size = socklen_t(MemoryLayout.size(ofValue: credentials))
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else { return nil }
        return credentials.pid
    }

    /// Makes sure that the server runs: finds a running one, or starts it.
    ///
    /// - Returns: whether this call started it.
    /// - Throws: `ServiceError` with code `privateRedis` where `redis-server` is missing or does not come up.
    @discardableResult
    package func ensureRunning(logger: Logger) async throws -> Bool {
        if runningPID != nil { return false }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        if try await start() { return true }
        // An append-only file that cannot be read is worth less than the store: set it aside and begin anew.
        let damaged = "appendonlydir.damaged-\(Int(Date().timeIntervalSince1970))"
        guard (try? FileManager.default.moveItem(atPath: folder + "/appendonlydir", toPath: folder + "/" + damaged)) != nil else {
            throw ServiceError(.privateRedis, "the private redis-server does not come up; see \(folder)/redis.log")
        }
        logger.warning("the private redis-server could not read its append-only file, which was set aside", metadata: ["as": "\(damaged)"])
        guard try await start() else {
            throw ServiceError(.privateRedis, "the private redis-server does not come up; see \(folder)/redis.log")
        }
        return true
    }

    /// Ends the server in good order: it writes what it has to disk first.
    package func stop() async {
        guard let pid = runningPID else { return }
        kill(pid, SIGTERM)
        let deadline = ContinuousClock.now + Self.stopTimeout
        while kill(pid, 0) == 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Starts the daemon and waits for its socket; false when it does not come up.
    private func start() async throws -> Bool {
        try? FileManager.default.removeItem(atPath: socketPath)
        guard try await launch() else { return false }
        let deadline = ContinuousClock.now + Self.startTimeout
        while ContinuousClock.now < deadline {
            if runningPID != nil { return true }
            if hasGivenUp { return false }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// A daemon that failed after its fork says so only in its log.
    private var hasGivenUp: Bool {
        guard let log = try? String(contentsOfFile: folder + "/redis.log", encoding: .utf8) else { return false }
        let lastLines = log.split(separator: "\n").suffix(3)
        return lastLines.contains { $0.contains("Fatal error") || $0.contains("Bad file format") || $0.contains("Can't open or create") }
    }

    /// Runs `redis-server` until it has become a daemon; false where it failed before that.
    private func launch() async throws -> Bool {
        let arguments: Arguments = [
            "--port", "0", "--unixsocket", socketPath, "--unixsocketperm", "700", "--daemonize", "yes",
            "--dir", folder, "--pidfile", folder + "/redis.pid", "--logfile", folder + "/redis.log",
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
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
