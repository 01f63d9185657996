import Foundation
import Synchronization
import TestSupport
import Testing

/// Three services on one PostgreSQL, one Redis and one data platform, each of which is replaced by one of another build while customers
/// shop at all of them.
final class UpgradedShop: Sendable {
    /// One running service.
    private struct Running {
        let process: ServeProcess
        let pool: HTTPPool
    }

    let server: TemporaryPostgres
    let redis: TemporaryRedis
    let platform: DataPlatformServer
    let folder: String
    private let services = Mutex<[Int: Running]>([:])

    init(server: TemporaryPostgres, redis: TemporaryRedis, platform: DataPlatformServer, folder: String) {
        (self.server, self.redis, self.platform, self.folder) = (server, redis, platform, folder)
    }

    var store: String { "postgresql:///shop?host=\(server.folder.path)&port=\(server.port)&user=\(server.role)" }
    static let secret = "a secret of both"

    /// Starts the service of that number, and waits until it is ready.
    func start(_ number: Int, _ executable: String) async throws {
        let process = try await ServeProcess.start(
            folder,
            [
                "--port", "0", "--store", store, "--redis", redis.url, "--data-platform", platform.url, "--order-hold", "10m",
            ], environment: ["FIRSTCOME_DATA_PLATFORM_SECRET": Self.secret],
            log: "\(folder)/serve-\(number).log", executable: executable)
        let pool = HTTPPool(port: process.port, maximumConnections: 16)
        try await eventually("service \(number) is ready") {
            guard process.isRunning else { throw Stopped(log: process.standardError) }
            return try await Caller(pool: pool).get("/readyz").status == 200
        }
        services.withLock { $0[number] = Running(process: process, pool: pool) }
    }

    /// Ends the service of that number by SIGTERM: it finishes its requests and takes no new ones.
    func stop(_ number: Int) async throws {
        guard let service = services.withLock({ $0.removeValue(forKey: number) }) else { return }
        #expect(try await service.process.end() == 0, "\(service.process.standardError)")
        await service.pool.close()
    }

    func replace(_ number: Int, by executable: String) async throws {
        try await stop(number)
        try await start(number, executable)
    }

    func end() async {
        for service in services.withLock({ $0 }).values {
            _ = try? await service.process.end(SIGKILL)
            await service.pool.close()
        }
    }

    /// One of the running services.
    var anyPool: HTTPPool { get throws { try #require(services.withLock { $0.values.randomElement()?.pool }) } }

    struct Stopped: Error, CustomStringConvertible {
        let log: String
        var description: String { "the service has ended: \(log)" }
    }

    /// How often a request was sent again.
    let retries = Counter()

    /// Sends a request to one service after another until one answers for good.
    func ask(_ method: String, _ path: String, _ body: String? = nil, token: String?, key: String? = nil) async throws -> HTTPAnswer {
        let start = ContinuousClock.now
        while true {
            let answer: HTTPAnswer?
            do {
                let caller = Caller(pool: try anyPool, token: token)
                answer = try await caller.call(method, path, body: body, headers: key.map { ["Idempotency-Key": $0] } ?? [:])
            } catch {
                answer = nil
            }
            if let answer, ![429, 503].contains(answer.status), answer.code != "IDEMPOTENCY_KEY_IN_USE" { return answer }
            guard start.duration(to: .now) < hangLimit else {
                throw NotInTime(claim: "\(method) \(path) is answered, last \(answer?.text ?? "nothing")", deadline: hangLimit)
            }
            retries.add()
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// Counts what many tasks do.
final class Counter: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
}
