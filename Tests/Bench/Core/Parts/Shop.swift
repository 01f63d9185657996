import Foundation
import TestSupport

/// The service with its Redis, users and tokens, on which the service's rows are measured.
///
/// Redis is set up as the service sets up its private one, but the benchmark owns it, so that peers can share it. The service runs
/// with its defaults, except that it has one event loop on every machine and that no order expires before it is paid.
final class Shop: Sendable {
    let folder: TemporaryFolder
    let redis: TemporaryRedis
    let service: ServeProcess
    let pool: HTTPPool
    let admin: Caller
    let wrk: Wrk
    /// Where the store is; nil for the data folder.
    let database: PostgresDatabase?

    private static let redisArguments = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]

    /// Starts Redis and the service on a new folder.
    ///
    /// - Parameters:
    ///   - build: the executable of another build; nil for the one beside this program.
    ///   - arguments: more flags of `serve`.
    ///   - database: for the store, instead of a file in the data folder.
    ///   - prepare: fills the data folder before the service opens it.
    static func open(
        _ cleanup: CleanupStack, loops: Int = 1, build: String? = nil, arguments: [String] = [], database: PostgresDatabase? = nil,
        prepare: @Sendable (_ dataFolder: String) async throws -> Void = { _ in }
    ) async throws -> Shop {
        let folder = TemporaryFolder()
        cleanup.add { folder.remove() }
        let redis = try await offPool { try TemporaryRedis(arguments: redisArguments) }
        cleanup.add { redis.end() }
        let data = folder.path + "/data"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        try await prepare(data)
        let tool = try Tool.executable().path
        let place = database.map { ["--store", $0.url] } ?? ["--data", data]
        let service = try await ServeProcess.start(
            data,
            ["--port", "0", "--redis", redis.url, "--log-level", "warning", "--order-hold", "24h", "--loops", String(loops)]
                + arguments,
            log: folder.path + "/serve.log",
            // Without the folder, which `serve` refuses where it has no use for one.
            wrapping: { [build ?? $0[0], $0[1]] + place + $0.dropFirst(4) })
        cleanup.add {
            do { _ = try await service.end() } catch { service.send(SIGKILL) }
        }
        // The service makes the tables of a store on PostgreSQL, the key of tokens among them.
        let token = try await Command.run([tool, "token"] + place + ["--admin"])
        let pool = HTTPPool(port: service.port, maximumConnections: 64)
        cleanup.add { await pool.close() }
        let admin = Caller(pool: pool, token: token.trimmingCharacters(in: .whitespacesAndNewlines))
        // A service listens before it has loaded its gates.
        try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
        return try Shop(folder: folder, redis: redis, service: service, pool: pool, admin: admin, database: database)
    }

    private init(
        folder: TemporaryFolder, redis: TemporaryRedis, service: ServeProcess, pool: HTTPPool, admin: Caller, database: PostgresDatabase?
    ) throws {
        (self.folder, self.redis, self.service, self.pool, self.admin, self.database) = (folder, redis, service, pool, admin, database)
        wrk = try Wrk(in: folder)
    }

    var dataFolder: String { folder.path + "/data" }
    /// By which the commands find the store.
    private var place: [String] { database.map { ["--store", $0.url] } ?? ["--data", dataFolder] }
    var watched: Watched { Watched(pid: service.pid) }
    var watchedDatabase: Watched? { database?.server.watched }
    var watchedRedis: Watched? { redis.pid.map { Watched(pid: $0) } }

    func user(_ id: Int, token: Substring) -> Caller { Caller(pool: pool, token: String(token), id: Int64(id)) }

    /// Makes that many users through the API and a token for each; their ids follow those of the existing users.
    func makeUsers(_ count: Int, after others: Int = 0) async throws -> Tokens {
        let file = try RequestFile(
            [RequestText(method: "POST", path: "/api/v1/users", token: admin.token.map { $0[...] }, body: #"{"name": "김민준"}"#)],
            in: folder.path)
        defer { file.remove() }
        let (_, output) = try await wrk.load(port: service.port, file, .requests(count), server: watched)
        guard output.requests == count, output.refused == 0 else {
            throw BenchFailure("of \(count) users, \(output.requests) were answered and \(output.refused) refused")
        }
        return try await tokens(from: others + 1, to: others + count)
    }

    /// Tokens for these users; the first of them is number 1.
    func tokens(from first: Int, to last: Int) async throws -> Tokens {
        let file = folder.path + "/tokens"
        let tool = try Tool.executable().path
        try await Command.run([tool, "token"] + place + ["--user", "\(first)-\(last)"], into: file)
        return try Tokens(file: file)
    }

    /// CPU time that the service and its database have used so far, in microseconds.
    func cpuMicroseconds() throws -> Double { try watched.cpuMicroseconds() + (watchedDatabase?.cpuMicroseconds() ?? 0) }

    func metrics() async throws -> ServiceMetrics { ServiceMetrics(try await admin.get("/metrics").expect(200).text) }

    /// Waits until no request is under way: wrk closes its connections without waiting for the last answers.
    func waitUntilIdle() async throws {
        try await eventually("the service has answered everything") {
            // The request for the metrics counts as one.
            try await metrics().value("firstcome_http_requests_in_flight") ?? 0 <= 1
        }
    }

    /// Runs `firstcome audit` on store and Redis.
    ///
    /// - Throws: an error with its report, where an invariant is broken.
    func audit() async throws {
        let tool = try Tool.executable().path
        try await Command.run([tool, "audit"] + place + ["--redis", redis.url])
    }
}

/// The users' tokens, one per line of a file, because a million of them take some 200 MB.
struct Tokens: Sendable {
    private let text: Data
    /// Where each line begins, and where the last one ends.
    private let starts: [Int]

    init(file: String) throws {
        text = try Data(contentsOf: URL(fileURLWithPath: file), options: .alwaysMapped)
        starts = text.withUnsafeBytes { bytes in
            var starts = [0]
            for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") { starts.append(index + 1) }
            return starts
        }
    }

    var count: Int { starts.count - 1 }

    /// The token of the user with this number, from 1 on.
    subscript(number: Int) -> Substring {
        Substring(decoding: text[starts[number - 1]..<(starts[number] - 1)], as: UTF8.self)
    }
}
