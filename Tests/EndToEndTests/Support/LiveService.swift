import API
import App
import Commerce
import Foundation
import GRDB
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import PostgresStore
import Redis
import Services
import Store
import Synchronization
import TestSupport
import Testing

/// A whole service in this process: HTTP on a free port, a private redis-server in a folder of its own, and a store on the ``Engine`` of the
/// test: SQLite files in that folder, or a database.
final class LiveService: Sendable {
    /// What a test may want otherwise than usual.
    struct Setup: Sendable {
        var timeZone = "Asia/Seoul"
        var policy = Policy()
        /// Nil for a private Redis.
        var redis: RedisEndpoint?
        var recoveryInterval: Duration = .milliseconds(300)
        var rankingRefresh: Duration = .milliseconds(50)
        var cacheLease: Duration = .seconds(1)
        var maximumRequestsInFlight = 8_192
        /// Nil for the Redis stream.
        var platform: DataPlatform?
        var connections = 64
        var loops = 1
        var drainDeadline: Duration = .seconds(10)
        /// The listener for operators; nil for none.
        var operators: HTTPServerConfiguration?
        /// Without shedding: a debug build on a busy machine has queues that a release does not have.
        var limits = RequestLimits.withoutShedding
        /// Prepares each connection of the service, for tests that watch what it reads.
        var configureChannel: (@Sendable (any Channel) throws -> Void)?
        /// Where the clock stands from the start; nil lets it run with the machine's.
        var standingClock: Instant?
    }

    let folder: String
    /// The database of a store on PostgreSQL.
    let storeDatabase: TemporaryDatabase?
    let clock: TestClock
    let guest: Caller
    let admin: Caller
    let running: RunningService
    private let pool: HTTPPool
    /// Long enough for a test that moves the clock by years.
    private static let tokensEnd = Instant(milliseconds: 4_102_444_800_000)

    var store: TransactionalStore { running.services.store }
    var port: Int { running.server.port ?? 0 }

    private init(folder: String, clock: TestClock, running: RunningService, connections: Int) async throws {
        pool = HTTPPool(port: running.server.port ?? 0, maximumConnections: connections)
        (self.folder, self.storeDatabase, self.clock, self.running) = (folder, Engine.database, clock, running)
        guest = Caller(pool: pool)
        admin = Caller(pool: pool, token: running.tokenKey.sign(.anyAdmin, issuedAt: clock.now, expiresAt: Self.tokensEnd))
    }

    /// Runs `body` with a fresh service, which is stopped and whose files are removed when `body` ends, however it ends.
    static func run<Value: Sendable>(
        _ setup: Setup = Setup(), isolation: isolated (any Actor)? = #isolation, _ body: (LiveService) async throws -> Value
    ) async throws -> Value {
        switch Engine.current {
        case .sqlite: try await Engine.$database.withValue(nil) { try await runHere(setup, body) }
        case .postgres:
            try await withDatabase { database in
                try await Engine.$database.withValue(database) { try await runHere(setup, body) }
            }
        }
    }

    private static func runHere<Value: Sendable>(
        _ setup: Setup, isolation: isolated (any Actor)? = #isolation, _ body: (LiveService) async throws -> Value
    ) async throws -> Value {
        let folder = TemporaryFolder()
        defer { folder.remove() }
        let clock = TestClock()
        if let start = setup.standingClock { clock.stop(at: start) }
        let running = try await start(in: folder.path, setup, clock)
        do {
            let live = try await LiveService(folder: folder.path, clock: clock, running: running, connections: setup.connections)
            let value = try await body(live)
            await live.pool.close()
            await running.stop()
            return value
        } catch {
            await running.stop()
            throw error
        }
    }

    /// Starts a service in a folder; for tests that stop it themselves.
    static func start(in folder: String, _ setup: Setup = Setup(), _ clock: TestClock = TestClock()) async throws -> RunningService {
        guard let calendar = BusinessCalendar(timeZoneIdentifier: setup.timeZone) else { throw UnknownTimeZone(identifier: setup.timeZone) }
        var configuration = RunConfiguration(dataFolder: folder, calendar: calendar)
        configuration.http = HTTPServerConfiguration(host: "127.0.0.1", port: 0)
        configuration.http.maximumRequestsInFlight = setup.maximumRequestsInFlight
        configuration.http.configureChannel = setup.configureChannel
        configuration.operators = setup.operators
        configuration.drainDeadline = setup.drainDeadline
        configuration.loops = setup.loops
        configuration.limits = setup.limits
        // Event ids that a test can name.
        configuration.firstIncarnation = 0
        configuration.redis = setup.redis
        configuration.storeServer = Engine.database.map { PostgresStoreConfiguration(on: $0) }
        configuration.services.policy = setup.policy
        configuration.services.platform = setup.platform
        configuration.services.clock = clock.wallClock
        configuration.services.recoveryInterval = setup.recoveryInterval
        configuration.services.rankingRefresh = setup.rankingRefresh
        configuration.services.cacheLease = setup.cacheLease
        var logger = Logger(label: "end-to-end", factory: { _ in SwiftLogNoOpLogHandler() })
        logger.logLevel = .critical
        return try await RunningService.start(configuration, logger: logger)
    }

    struct UnknownTimeZone: Error { let identifier: String }
}

// MARK: - People

extension LiveService {
    func caller(user id: Int64) async throws -> Caller {
        let token = running.tokenKey.sign(.user(UserID(id)), issuedAt: clock.now, expiresAt: Self.tokensEnd)
        return Caller(pool: pool, token: token, id: id)
    }

    /// A new user, with a balance where one is given.
    func newUser(balance: Int64 = 0) async throws -> Caller {
        let id = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201).int("userId")
        let user = try await caller(user: id)
        var rest = balance
        while rest > 0 {
            try await user.charge(min(rest, 1_000_000))
            rest -= min(rest, 1_000_000)
        }
        return user
    }

    /// Many users at once, made without HTTP where their creation is not what is tested.
    func newUsers(_ count: Int, balance: Int64 = 0) async throws -> [Caller] {
        try await withThrowingTaskGroup { group in
            for _ in 0..<count {
                group.addTask {
                    guard case .done(let user) = try await self.store.createUser(name: "이바다", in: .at(self.clock.now)) else {
                        throw NoUser()
                    }
                    let caller = try await self.caller(user: user.id.rawValue)
                    if balance > 0 { _ = try await self.store.charge(userID: user.id, amount: Won(balance), in: .at(self.clock.now)) }
                    return caller
                }
            }
            var users: [Caller] = []
            for try await user in group { users.append(user) }
            return users.sorted { $0.id < $1.id }
        }
    }

    struct NoUser: Error {}

    func warmConnections(_ count: Int) async throws { try await pool.warm(count) }
}

// MARK: - Behind the scenes

extension LiveService {
    /// Every rule that is broken, each in words; empty for a clean service. Also says which rules had rows to look at.
    func audit() async throws -> AuditReport {
        let audit = Audit(
            store: store, redis: running.services.redis, calendar: running.services.configuration.calendar,
            clock: running.services.configuration.clock)
        return try await audit.run()
    }

    /// The answer of a plain Redis client to one command.
    func redis(_ command: RedisCommand) async throws -> RedisValue { try await running.services.redis.send(command) }

    /// Members and scores of a sorted set, in order.
    func sortedSet(_ key: String) async throws -> [(member: String, score: Int64)] {
        let elements = try await redis(RedisCommand("ZRANGE", .string(key), 0, -1, "WITHSCORES")).array ?? []
        return stride(from: 0, to: elements.count - 1, by: 2).map {
            (member: elements[$0].string ?? "", score: elements[$0 + 1].integer ?? .min)
        }
    }

    /// Runs SQL on the store's file through a connection of its own.
    func database<Value>(_ body: (Database) throws -> Value) throws -> Value {
        let queue = try storeConnection(in: folder)
        defer { try? queue.close() }
        return try queue.write(body)
    }

    /// The least id of an event.
    var firstEvent: Int64 {
        get throws {
            let query = "SELECT min(id) FROM events"
            let id = try storeDatabase.map { Int64(try $0.sql(query)) } ?? database { try Int64.fetchOne($0, sql: query) }
            return try #require(id)
        }
    }

    /// All rows of all tables, one line each: two equal dumps mean that nothing changed in between.
    func dump() throws -> [String] {
        if let storeDatabase { return try storeDatabase.dumpOfStore().split(separator: "\n").map(String.init) }
        return try database { db in
            let tables = try String.fetchAll(
                db,
                sql: """
                    SELECT name FROM sqlite_master
                    WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'chain_blocks' ORDER BY name
                    """)
            return try tables.flatMap { table in
                try Row.fetchAll(db, sql: "SELECT * FROM \(table)").map { row in
                    // Wins are sealed in the background, moments after their requests.
                    let columns = row.filter { !["sealed", "sealed_count", "chain_head"].contains($0.0) }
                    return "\(table): " + columns.map { "\($0.0)=\($0.1)" }.joined(separator: ", ")
                }
            }
        }
    }
}
