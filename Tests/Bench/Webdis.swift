import Foundation
import TestSupport

/// webdis, which runs any Redis command from an HTTP request: the same work as a claim, without users, tokens or checks.
final class Webdis: Sendable {
    let port: Int
    private let process: ChildProcess

    var watched: Watched { Watched(pid: process.pid) }

    /// - Parameter redis: reached by its unix socket, as by the service.
    init(_ belongings: Belongings, redis: TemporaryRedis, in folder: TemporaryFolder) async throws {
        port = try TemporaryRedis.freePort()
        // One thread, as the service has one loop; nothing that would be logged.
        let settings = """
            {"redis_host": "\(redis.socketPath)", "redis_port": 0, "http_host": "127.0.0.1", "http_port": \(port), "threads": 1,
             "pool_size": 20, "daemonize": false, "websockets": false, "database": 0, "verbosity": 0, "logfile": "/dev/null"}
            """
        let file = folder.path + "/webdis.json"
        try Data(settings.utf8).write(to: URL(fileURLWithPath: file))
        let process = try await ChildProcess.start(["webdis", file])
        belongings.add { await process.end() }
        self.process = process
        try await Listening.wait(port: port, process)
    }

    /// The request that runs a script with two keys and one argument.
    static func evaluation(_ script: String, _ keys: (String, String), _ argument: String) -> RequestText {
        let words = [script, "2", keys.0, keys.1, argument].map { $0.replacing("{", with: "%7B").replacing("}", with: "%7D") }
        return RequestText(method: "GET", path: "/EVALSHA/\(words.joined(separator: "/"))")
    }
}

/// Waits for servers that say nowhere that they are ready.
enum Listening {
    static func wait(port: Int, _ process: ChildProcess) async throws {
        try await eventually("a server listens on port \(port)") {
            guard process.isRunning else { throw BenchFailure("the server for port \(port) has ended") }
            return (try? await offPool { RawHTTPClient.accepts(port: port) }) ?? false
        }
    }
}

extension RawHTTPClient {
    fileprivate static func accepts(port: Int) -> Bool { (try? RawHTTPClient(port: port)) != nil }
}
