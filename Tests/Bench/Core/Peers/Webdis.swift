import Foundation
import JSON
import NIOCore
import TestSupport

/// webdis, which runs any Redis command from an HTTP request: the same work as a claim, without users, tokens or checks.
///
/// Each load gets a new process: when clients disconnect with a request in flight, webdis gives their answers to later clients.
struct Webdis: Sendable {
    let shop: Shop

    /// - Parameters:
    ///   - probe: a request that is sent once more after the load.
    ///   - code: the first element of the answer that the script must give to it.
    func run(_ file: RequestFile, _ amount: Wrk.Amount, probe: RequestText, code: Int64) async throws -> Sample {
        try await withCleanupStack { cleanup in
            let port = try TemporaryRedis.freePort()
            let settings = shop.folder.path + "/webdis.json"
            try Data(Self.settings(port: port, redis: shop.redis).utf8).write(to: URL(fileURLWithPath: settings))
            let process = try await ChildProcess.start(["webdis", settings])
            cleanup.add { await process.end() }
            try await Listening.wait(port: port, process)
            var (sample, output) = try await shop.wrk.load(
                ports: [port], file, amount, server: Watched(pid: process.pid), redis: shop.watchedRedis)
            sample.unexpected = output.refused + output.broken
            if sample.unexpected > 0 { sample.problems.append("webdis failed \(sample.unexpected) times") }
            let pool = HTTPPool(port: port, maximumConnections: 1)
            cleanup.add { await pool.close() }
            let answer = try await pool.send(ByteBuffer(string: probe.text)).expect(200)
            if try answer.value("EVALSHA").elements?.first?.int != code { sample.problems.append("webdis answered \(answer.text)") }
            return sample
        }
    }

    /// One thread, as the service has one loop; Redis by its unix socket, as the service uses it; without logging.
    private static func settings(port: Int, redis: TemporaryRedis) -> String {
        """
        {"redis_host": "\(redis.socketPath)", "redis_port": 0, "http_host": "127.0.0.1", "http_port": \(port), "threads": 1,
         "pool_size": 20, "daemonize": false, "websockets": false, "database": 0, "verbosity": 0, "logfile": "/dev/null"}
        """
    }

    /// The request that runs a script with two keys, for a store and one user.
    static func evaluation(_ script: String, _ keys: (String, String), _ store: String, _ user: String) -> RequestText {
        let words = [script, "2", keys.0, keys.1, store, user].map { $0.replacing("{", with: "%7B").replacing("}", with: "%7D") }
        return RequestText(method: "GET", path: "/EVALSHA/\(words.joined(separator: "/"))")
    }
}

/// Waits for servers that do not report when they are ready.
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
