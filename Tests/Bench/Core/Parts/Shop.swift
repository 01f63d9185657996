import Foundation
import TestSupport

/// The service, or several of them side by side, with Redis, users and tokens, on which the service's rows are measured.
///
/// The benchmark owns Redis, so that peers can share it. A service runs with its defaults, except that it has one event
/// loop on every machine and that no order expires before it is paid.
final class Shop: Sendable {
    let folder: TemporaryFolder
    let redisServers: RedisServers
    /// At least one. Those of one store and one Redis.
    let services: [ServeProcess]
    /// Where the load goes, a port for each generator.
    let ports: [Int]
    /// An administrator of each service.
    private let admins: [Caller]
    let wrk: Wrk
    /// Where the store is; nil for the data folder.
    let database: PostgresDatabase?

    /// Starts Redis and the service on a new folder.
    ///
    /// - Parameters:
    ///   - build: the executable of another build; nil for the one beside this program.
    ///   - arguments: more flags of `serve`.
    ///   - redis: nil for one of its own on a unix socket.
    ///   - database: for the store, instead of a file in the data folder. Several services need one.
    ///   - services: how many there are.
    ///   - generators: how many make the load, at least one for each service.
    ///   - prepare: fills the data folder before the service opens it.
    static func open(
        _ cleanup: CleanupStack, loops: Int = 1, build: String? = nil, arguments: [String] = [], redis: RedisServers? = nil,
        database: PostgresDatabase? = nil, services count: Int = 1, generators: Int = 1,
        prepare: @Sendable (_ dataFolder: String) async throws -> Void = { _ in }
    ) async throws -> Shop {
        let folder = TemporaryFolder()
        cleanup.add { folder.remove() }
        let redis = if let redis { redis } else { try await RedisServers.one(cleanup) }
        let data = folder.path + "/data"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        try await prepare(data)
        let tool = try Tool.executable().path
        let place = database.map { ["--store", $0.url] } ?? ["--data", data]
        var services: [ServeProcess] = []
        for number in 1...count {
            let service = try await ServeProcess.start(
                data,
                ["--port", "0", "--redis", redis.url, "--log-level", "warning", "--order-hold", "24h", "--loops", String(loops)]
                    + arguments,
                log: folder.path + "/serve-\(number).log",
                // Without the folder, which `serve` refuses where it has no use for one.
                wrapping: { [build ?? $0[0], $0[1]] + place + $0.dropFirst(4) })
            cleanup.add {
                do { _ = try await service.end() } catch { service.send(SIGKILL) }
            }
            services.append(service)
        }
        // The service makes the tables of a store on PostgreSQL, the key of tokens among them.
        let token = try await Command.run([tool, "token"] + place + ["--admin"])
        let admins = services.map { service in
            Caller(
                pool: HTTPPool(port: service.port, maximumConnections: 64), token: token.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        for admin in admins {
            cleanup.add { await admin.pool.close() }
            // A service listens before it has loaded its gates.
            try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
        }
        let ports = (0..<max(generators, count)).map { services[$0 % count].port }
        return try Shop(folder: folder, redis: redis, services: services, ports: ports, admins: admins, database: database)
    }

    private init(
        folder: TemporaryFolder, redis: RedisServers, services: [ServeProcess], ports: [Int], admins: [Caller],
        database: PostgresDatabase?
    ) throws {
        (self.folder, redisServers, self.services, self.ports, self.admins) = (folder, redis, services, ports, admins)
        self.database = database
        wrk = try Wrk(in: folder)
    }

    var dataFolder: String { folder.path + "/data" }
    /// By which the commands find the store.
    private var place: [String] { database.map { ["--store", $0.url] } ?? ["--data", dataFolder] }
    /// The administrator of the first service.
    var admin: Caller { admins[0] }
    var watched: Watched { Watched(pids: services.map(\.pid)) }
    var watchedDatabase: Watched? { database?.server.watched }
    var watchedRedis: Watched { redisServers.watched }
    /// The Redis, or a node of the cluster.
    var redis: TemporaryRedis { redisServers.nodes[0] }

    func user(_ id: Int, token: Substring) -> Caller { Caller(pool: admin.pool, token: String(token), id: Int64(id)) }

    /// Makes that many users through the API and a token for each; their ids follow those of the existing users.
    func makeUsers(_ count: Int, after others: Int = 0) async throws -> Tokens {
        let file = try RequestFile(
            [RequestText(method: "POST", path: "/api/v1/users", token: admin.token.map { $0[...] }, body: #"{"name": "김민준"}"#)],
            in: folder.path)
        defer { file.remove() }
        let (_, output) = try await wrk.load(ports: ports, file, .requests(count), server: watched)
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

    /// The metrics of all services, added up.
    func metrics() async throws -> ServiceMetrics {
        var pages: [ServiceMetrics] = []
        for admin in admins { pages.append(try await metrics(admin)) }
        return ServiceMetrics(sumOf: pages)
    }

    private func metrics(_ admin: Caller) async throws -> ServiceMetrics {
        ServiceMetrics(try await admin.get("/metrics").expect(200).text)
    }

    /// Waits until no request is under way: wrk closes its connections without waiting for the last answers.
    func waitUntilIdle() async throws {
        for admin in admins {
            try await eventually("the service has answered everything") {
                // The request for the metrics counts as one.
                try await metrics(admin).value("firstcome_http_requests_in_flight") ?? 0 <= 1
            }
        }
    }

    /// Runs `firstcome audit` on store and Redis.
    ///
    /// - Throws: an error with its report, where an invariant is broken.
    func audit() async throws {
        let tool = try Tool.executable().path
        try await Command.run([tool, "audit"] + place + ["--redis", redisServers.url])
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
