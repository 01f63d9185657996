import Foundation
import TestSupport
import Testing

/// Several `serve` on one PostgreSQL, one Redis and one data platform, as processes on several machines would be.
struct ServicesOnServers: Sendable {
    struct Service: Sendable {
        let process: ServeProcess
        let pool: HTTPPool

        var guest: Caller { Caller(pool: pool) }

        /// The value of a metric without labels; nil where it has no sample.
        func metric(_ name: String) async throws -> Double? {
            let lines = try await guest.get("/metrics").expect(200).text.split(separator: "\n")
            return lines.first { $0.hasPrefix(name + " ") }.flatMap { Double($0.dropFirst(name.count + 1)) }
        }

        func hasDuties() async throws -> Bool { try await metric("firstcome_duties_held") == 1 }
        func isReady() async throws -> Bool { try await guest.get("/readyz").status == 200 }
    }

    let postgres: TemporaryPostgres
    let redis: TemporaryRedis
    let platform: DataPlatformServer
    let services: [Service]
    /// Between the first service and its servers.
    let proxies: (postgres: FaultProxy, redis: FaultProxy)
    let admin: Caller
    private let storeURL: String

    private static let secret = "a secret of both"

    /// Runs `body` with that many services. The first one has the duties, and the others could follow it at once.
    ///
    /// - Parameter arguments: further arguments of each service.
    static func run(
        _ count: Int, _ arguments: [String] = [],
        react: @escaping @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction = { _ in .status(200) },
        _ body: (ServicesOnServers) async throws -> Void
    ) async throws {
        let postgres = try await offPool { try TemporaryPostgres(settings: ["fsync": "on"]) }
        let redis = try await offPool { try TemporaryRedis() }
        let folder = TemporaryFolder()
        let platform = try await DataPlatformServer(react: react)
        var services: [Service] = []
        var failure: (any Error)?
        do {
            _ = try await offPool { try postgres.sql("CREATE DATABASE shop ENCODING 'UTF8' TEMPLATE template0") }
            let proxies = try await proxies(to: postgres, redis, in: folder)
            let url = { (folder: String) in "postgresql:///shop?host=\(folder)&port=\(postgres.port)&user=\(postgres.role)" }
            for number in 0..<count {
                let store = url(number == 0 ? folder.path : postgres.folder.path)
                let place = number == 0 ? "unix://\(proxies.redis.socketPath)" : redis.url
                let process = try await ServeProcess.start(
                    folder.path,
                    ["--port", "0", "--store", store, "--redis", place, "--data-platform", platform.url, "--loops", "1"] + arguments,
                    environment: ["FIRSTCOME_DATA_PLATFORM_SECRET": secret], log: "\(folder.path)/serve-\(number).log")
                let service = Service(process: process, pool: HTTPPool(port: process.port, maximumConnections: 8))
                services.append(service)
                try await eventually("service \(number) is ready") { try await service.isReady() }
                if number == 0 { try await eventually("the first service has the duties") { try await service.hasDuties() } }
            }
            let token = try await Tool.run("token", "--store", url(postgres.folder.path), "--admin").lines[0]
            let shop = ServicesOnServers(
                postgres: postgres, redis: redis, platform: platform, services: services, proxies: proxies,
                admin: Caller(pool: services[count - 1].pool, token: token), storeURL: url(postgres.folder.path))
            if count > 1 { try await shop.haveSuccessor() }
            try await body(shop)
        } catch {
            failure = error
            for (number, service) in services.enumerated() {
                Issue.record("service \(number) has logged:\n\(service.process.standardError.suffix(4_000))")
            }
        }
        for service in services {
            await service.pool.close()
            _ = try? await service.process.end(SIGKILL)
        }
        await platform.close()
        redis.end()
        try await offPool { postgres.end() }
        folder.remove()
        if let failure { throw failure }
    }

    private static func proxies(
        to postgres: TemporaryPostgres, _ redis: TemporaryRedis, in folder: TemporaryFolder
    ) async throws -> (postgres: FaultProxy, redis: FaultProxy) {
        let name = ".s.PGSQL.\(postgres.port)"
        let places = [folder.path + "/store", folder.path + "/redis"]
        for place in places { try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false) }
        let store = try await FaultProxy(to: "\(postgres.folder.path)/\(name)", in: places[0])
        // libpq finds a socket by its folder and port.
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/\(name)", withDestinationPath: store.socketPath)
        return (store, try await FaultProxy(to: redis.socketPath, in: places[1]))
    }

    func sql(_ statement: String) async throws -> String {
        try await offPool { try postgres.sql(statement, in: "shop") }
    }

    func haveSuccessor() async throws {
        try await eventually("another service could follow") {
            try await sql("SELECT successor_until > clock_timestamp() FROM duties") == "t"
        }
    }

    /// The time by the database's clock, in seconds.
    func databaseTime() async throws -> Double {
        try #require(Double(try await sql("SELECT extract(epoch FROM clock_timestamp())")))
    }

    var term: Int64 { get async throws { try #require(Int64(try await sql("SELECT term FROM duties"))) } }

    /// Waits for a term after that one, and returns when it was taken, by the database's clock, in seconds.
    func taken(after term: Int64) async throws -> Double {
        var row: [Substring] = []
        try await eventually("another service takes the duties") {
            row = try await sql("SELECT term, extract(epoch FROM until) - 5 FROM duties WHERE holder <> 0").split(separator: "|")
            return row.first.flatMap { Int64($0) }.map { $0 > term } ?? false
        }
        return try #require(Double(row[1]))
    }

    func tokens(_ users: ClosedRange<Int64>) async throws -> [String] {
        try await Tool.run("token", "--store", storeURL, "--user", "\(users.lowerBound)-\(users.upperBound)").lines
    }

    /// A new user with a balance, who comes to that service.
    func newUser(at service: Int, balance: Int64 = 1_000_000) async throws -> Caller {
        let id = try await admin.post("/users", #"{"name": "이바다"}"#).expect(201).int("userId")
        let user = Caller(pool: services[service].pool, token: try await tokens(id...id)[0], id: id)
        if balance > 0 { try await user.charge(balance) }
        return user
    }

    /// How many units of a product Redis has counted as sold.
    func unitsSold(_ product: Int64) throws -> Int64 {
        let days = try redis.cli("--scan", "--pattern", "ranking:{sales}:20*").split(separator: "\n")
        return try days.reduce(0) { $0 + (Int64(try redis.cli("ZSCORE", String($1), "\(product)")) ?? 0) }
    }
}
