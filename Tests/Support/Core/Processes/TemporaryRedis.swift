import Foundation
import NIOCore
import Synchronization

/// A real redis-server on a unix socket in a folder of its own, for one test or one suite.
///
/// Server and folder are removed with the last reference, or at the end of `withTemporaryRedis`, also when a test fails. A shell
/// runs the server and ends it when the pipe from this process closes, so that it also ends when the tests crash.
package final class TemporaryRedis: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }

        /// Whether the server did not start because another process has its port.
        fileprivate var isCollision: Bool { description.contains("Address already in use") }
    }

    /// The folder with the socket, the log and the server's files. Removed at the end.
    package let directory: String
    package let socketPath: String
    /// The port on 127.0.0.1; nil without `onTCP`.
    package let port: Int?
    private let arguments: [String]
    private let hasConfigurationFile: Bool
    private let server = Mutex<Server?>(nil)
    /// By ``pause()``.
    private let stopped = Mutex(false)

    private struct Server {
        /// The server's own process id, not the shell's.
        let pid: Int32
        let shell: BlockingChildProcess
        let lifeline: Pipe
    }

    package var url: String { "unix://\(socketPath)" }

    /// - Parameters:
    ///   - arguments: for example `["--requirepass", "secret"]`; they come last and override the defaults.
    ///   - onTCP: listen on a free port of 127.0.0.1 too.
    package convenience init(arguments: [String] = [], onTCP: Bool = false) throws {
        try self.init(arguments: arguments, port: onTCP ? Self.freePort() : nil)
    }

    /// - Parameters:
    ///   - port: the port of 127.0.0.1 that it listens on; nil for the unix socket alone.
    ///   - configuration: the lines of its configuration file, which a Sentinel must have; nil for none.
    /// - Throws: also where another process has taken the port.
    package init(arguments: [String] = [], port: Int?, configuration: String? = nil) throws {
        // Not the usual temporary folder: a unix socket's path holds 107 bytes at most (sun_path).
        directory = "/tmp/fc-\(UInt32.random(in: 0 ... .max))"
        socketPath = directory + "/redis.sock"
        self.port = port
        self.arguments = arguments
        hasConfigurationFile = configuration != nil
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        do {
            try configuration?.write(toFile: directory + "/redis.conf", atomically: true, encoding: .utf8)
            try start()
        } catch {
            end()
            throw error
        }
    }

    deinit { end() }

    /// The server's process, or nil while it is down.
    package var pid: Int32? { server.withLock { $0?.pid } }

    /// Starts the server again, with the same folder and arguments. Returns once it answers.
    package func start() throws {
        let (lifeline, output) = (Pipe(), Pipe())
        let script = #"redis-server "$@" >/dev/null 2>&1 & echo $!; read -r _ || rm -rf "$0"; kill -KILL $! 2>/dev/null"#
        let defaults = [
            "--port", "\(port ?? 0)", "--bind", "127.0.0.1", "--unixsocket", socketPath, "--dir", directory,
            "--logfile", directory + "/redis.log", "--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
        ]
        // A configuration file is the first argument.
        let file = hasConfigurationFile ? [directory + "/redis.conf"] : []
        let shell = try BlockingChildProcess(
            ["sh", "-c", script, directory] + file + defaults + arguments, input: lifeline, output: output, errors: false)
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let pid = Int32(line.filter(\.isNumber))
        else { throw Failure(description: "the shell did not start redis-server") }
        server.withLock { $0 = Server(pid: pid, shell: shell, lifeline: lifeline) }
        try waitUntilReady(pid)
    }

    /// Ends the server by SIGKILL, so that it saves nothing.
    package func kill() {
        server.withLock { server in
            guard let running = server else { return }
            _ = Foundation.kill(running.pid, SIGKILL)
            // A line tells the shell to keep the folder; a pipe that closes without one means that this process has died.
            try? running.lifeline.fileHandleForWriting.write(contentsOf: Data("\n".utf8))
            try? running.lifeline.fileHandleForWriting.close()
            Self.waitForEnd(of: running.pid)
            running.shell.wait()
            server = nil
        }
        stopped.withLock { $0 = false }
        try? FileManager.default.removeItem(atPath: socketPath)
    }

    /// Waits until a killed server, which is the shell's child, has ended.
    private static func waitForEnd(of pid: Int32) {
        let start = ContinuousClock.now
        while !hasEnded(pid), start.duration(to: .now) < hangLimit { usleep(1_000) }
    }

    private static func hasEnded(_ pid: Int32) -> Bool {
        // "pid (name) state ...": Z is an ended process that its parent has not waited for (proc_pid_stat(5)).
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
        return status.contains(") Z ")
    }

    package func restart() throws {
        kill()
        try start()
    }

    /// Ends the replication from this server: its later writes do not reach its replicas, and a failover loses them.
    package func cutReplication() throws {
        // The replicas ask for the data every second, and are refused.
        try cli("ACL", "SETUSER", "default", "-psync", "-sync")
        try cli("CLIENT", "KILL", "TYPE", "replica")
    }

    package func restoreReplication() throws { try cli("ACL", "SETUSER", "default", "+psync", "+sync") }

    /// Stops the server by SIGSTOP: it keeps its connections and answers nothing.
    package func pause() {
        stopped.withLock { $0 = true }
        signal(SIGSTOP)
    }

    package func resume() {
        signal(SIGCONT)
        stopped.withLock { $0 = false }
    }

    /// Whether it runs and answers: it is neither killed nor paused.
    package var isAnswering: Bool { pid != nil && !stopped.withLock { $0 } }

    /// Runs `redis-cli` with these arguments against the server and returns what it prints, without the last newline.
    @discardableResult
    package func cli(_ arguments: String...) throws -> String { try cli(arguments) }

    @discardableResult
    package func cli(_ arguments: [String]) throws -> String { try cli(arguments, lines: []) }

    /// Runs commands, a line each, on one connection.
    @discardableResult
    package func cli(lines: [String]) throws -> String { try cli([], lines: lines) }

    /// Waits until so many replicas have all that the server has written; returns whether they have within a minute.
    ///
    /// WAIT goes by the last command of its own connection, so it waits for nothing on a new one.
    package func isReplicated(to count: Int = 1) throws -> Bool {
        try cli(lines: ["PING", "WAIT \(count) 60000"]).split(separator: "\n").last.flatMap { Int($0) }.map { $0 >= count } ?? false
    }

    private func cli(_ arguments: [String], lines: [String]) throws -> String {
        let (input, output) = (lines.isEmpty ? nil : Pipe(), Pipe())
        let process = try BlockingChildProcess(["redis-cli", "-s", socketPath] + arguments, input: input, output: output)
        if let writing = input?.fileHandleForWriting {
            try writing.write(contentsOf: Data(lines.map { $0 + "\n" }.joined().utf8))
            try writing.close()
        }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.wait()
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// How many scripts the server has run by their digests.
    package func scriptCalls() throws -> Int {
        let statistics = try cli("INFO", "commandstats").split { $0.isNewline }
        guard let line = statistics.first(where: { $0.hasPrefix("cmdstat_evalsha:") }) else { return 0 }
        return Int(line.drop { $0 != "=" }.dropFirst().prefix { $0.isNumber }) ?? 0
    }

    /// The server's log, for the message of a failed test.
    package var log: String {
        (try? String(contentsOfFile: directory + "/redis.log", encoding: .utf8)) ?? ""
    }

    private func signal(_ number: Int32) {
        server.withLock { server in
            if let server { _ = Foundation.kill(server.pid, number) }
        }
    }

    /// Ends the server and removes its folder.
    package func end() {
        kill()
        try? FileManager.default.removeItem(atPath: directory)
    }
}

// MARK: - Readiness

extension TemporaryRedis {
    /// How long a server may take to answer for the first time, in seconds; long enough for a busy machine.
    private static let startTimeout: TimeInterval = 120

    private func waitUntilReady(_ pid: Int32) throws {
        let deadline = Date(timeIntervalSinceNow: Self.startTimeout)
        while !answers() {
            guard Date() < deadline, !Self.hasEnded(pid) else {
                throw Failure(description: "redis-server does not answer on \(socketPath):\n\(log)")
            }
            usleep(2_000)
        }
    }

    /// Whether the server answers a PING, also with NOAUTH. While it loads its files it is not ready.
    private func answers() -> Bool {
        let socket = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socketPath.utf8) }
        let connected = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        var patience = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard connected == 0, send(socket, "PING\r\n", 6, Int32(MSG_NOSIGNAL)) == 6 else { return false }
        var reply = [UInt8](repeating: 0, count: 256)
        let count = recv(socket, &reply, reply.count, 0)
        guard count > 0 else { return false }
        let text = String(decoding: reply[..<count], as: UTF8.self)
        return text.hasPrefix("+PONG") || text.hasPrefix("-NOAUTH")
    }

    /// A port of 127.0.0.1 that is free now and outside the range of which the kernel assigns ports. A server that is restarted on it
    /// finds it free, however many connections were opened meanwhile.
    ///
    /// - Parameter busOffset: the port that lies so much higher is free too, as a node of a cluster needs it.
    package static func freePort(busOffset: Int? = nil) throws -> Int {
        // "32768	60999": the ports for outgoing connections (ip(7), ip_local_port_range).
        let range = try String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
        let lowest = range.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 32_768
        let offset = busOffset ?? 0
        let candidates = lowest > 12_000 + offset ? 10_000..<lowest - offset : 10_000..<65_536 - offset
        for _ in 0..<100 {
            let port = Int.random(in: candidates)
            if isFree(port), offset == 0 || isFree(port + offset) { return port }
        }
        throw Failure(description: "no free port")
    }

    /// How often a server is started on other ports because another process has taken one of them meanwhile.
    private static let attempts = 5

    /// Starts a server on ports that were free, and on others if another process has taken one of them meanwhile.
    package static func retryingOnCollision<Result>(_ start: () async throws -> Result) async throws -> Result {
        var attempt = 1
        while true {
            do {
                return try await start()
            } catch let failure as Failure where attempt < attempts && failure.isCollision {
                attempt += 1
            }
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        // By NIO's type, because in an optimized build two modules define sockaddr_in and its members are ambiguous.
        guard let address = try? SocketAddress(ipAddress: "127.0.0.1", port: port) else { return false }
        return address.withSockAddr { bind(socket, $0, socklen_t($1)) == 0 }
    }
}

/// Runs `body` with a server that ends with it, also when it throws.
package func withTemporaryRedis<Result>(
    arguments: [String] = [],
    onTCP: Bool = false,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (TemporaryRedis) async throws -> Result
) async throws -> Result {
    let redis = try TemporaryRedis(arguments: arguments, onTCP: onTCP)
    defer { redis.end() }
    return try await body(redis)
}
