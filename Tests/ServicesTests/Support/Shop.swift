import Commerce
import Foundation
import GRDB
import Logging
import NIOCore
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

/// Everything between HTTP and the machines: the services over a real redis-server and a store on a real file.
///
/// Background work runs only where a test starts it, so that each test decides who repairs what.
final class Shop: Sendable {
    let server: TemporaryRedis
    let folder: URL
    let store: TransactionalStore
    let redis: RedisClient
    let services: CommerceServices
    let clock: TestClock
    private let background = BackgroundTask()

    static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// What a test may want otherwise than usual.
    struct Setup {
        var redisArguments: [String] = []
        /// Where the client connects instead of straight to the server.
        var endpoint: RedisEndpoint?
        var commandDeadline: TimeAmount = .seconds(30)
        /// How long a broken connection stays down at least, roughly.
        var minimumBackoff: TimeAmount = .milliseconds(20)
        var configureStore: (inout StoreOptions) -> Void = { _ in }
        var configure: (inout ServicesConfiguration) -> Void = { _ in }
        /// Writes to the new store's file before it is opened for good.
        var fill: (Database) throws -> Void = { _ in }
    }

    fileprivate init(_ setup: Setup, server: TemporaryRedis, folder: URL) throws {
        (self.server, self.folder) = (server, folder)
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        let clock = TestClock()
        self.clock = clock
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        // Event ids and epochs that a test can name.
        options.firstIncarnation = 0
        setup.configureStore(&options)
        let path = folder.appending(path: "store.sqlite").path
        try TransactionalStore.open(path: path, options: options, logger: Self.logger).close()
        try DatabaseQueue(path: path).write(setup.fill)
        store = try TransactionalStore.open(path: path, options: options, logger: Self.logger)
        var redisConfiguration = RedisConfiguration(
            endpoint: setup.endpoint ?? .unix(path: server.socketPath), scripts: Scripts.all)
        redisConfiguration.commandDeadline = setup.commandDeadline
        redisConfiguration.minimumBackoff = setup.minimumBackoff
        redisConfiguration.maximumBackoff = max(setup.minimumBackoff, .milliseconds(100))
        redisConfiguration.drainTimeout = .milliseconds(500)
        redisConfiguration.admission = StoreAdmission.admission(of: store.identity, as: .service)
        redis = RedisClient(configuration: redisConfiguration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Self.logger)
        var configuration = ServicesConfiguration(calendar: calendar, clock: clock.wallClock)
        configuration.rankingRefresh = .milliseconds(50)
        // Tests change gates behind the service's back, and want to see it at once.
        configuration.cacheLease = .zero
        setup.configure(&configuration)
        services = try CommerceServices(
            configuration: configuration, store: store, redis: redis, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: Self.logger)
        redis.start()
    }

    /// Begins the background work, which goes on until the shop closes.
    func start() async throws { try await background.start(services) }

    fileprivate func close() async {
        await background.end()
        await services.close()
        await redis.close()
        store.close()
    }

    var calendar: BusinessCalendar { services.configuration.calendar }
    var campaigns: Campaigns { services.campaigns }

    /// A recovery of the test's own, which runs when the test says so.
    var recovery: ClaimRecovery {
        ClaimRecovery(
            store: store, redis: redis, campaigns: campaigns, clock: services.configuration.clock,
            archiveAfter: services.configuration.archiveAfter, logger: Self.logger)
    }

    /// A second connection to the store's file, such as another process would have.
    func foreignConnection() throws -> DatabaseQueue {
        var configuration = Configuration()
        // To hold the write lock between two calls, as a foreign process may.
        configuration.allowsUnsafeTransactions = true
        return try DatabaseQueue(path: folder.appending(path: "store.sqlite").path, configuration: configuration)
    }
}

extension Shop.Setup {
    /// A store with one open campaign of which 100,000 users have a coupon, and Redis knows none.
    static var hundredThousandCoupons: Shop.Setup {
        Shop.Setup(fill: { db in
            try db.execute(
                sql: """
                    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
                    INSERT INTO users (id, name, created_at) SELECT n, 'User', 0 FROM numbers;
                    INSERT INTO campaigns (id, name, discount_type, discount_value, quantity, issued, opens_at, valid_for_s, min_order,
                        restore_on_refund, created_at) VALUES (1, 'Launch', 0, 1000, 100001, 100000, 0, 3600, 0, 0, 0);
                    INSERT INTO issued_coupons (code, coupon_id, user_id, sequence, issued_at, expires_at)
                        SELECT printf('%016d', id), 1, id, id, 0, 3600000 FROM users;
                    """)
        })
    }
}

/// Runs `body` with a shop that ends when `body` does, however it does.
func withShop(
    _ setup: Shop.Setup = Shop.Setup(), isolation: isolated (any Actor)? = #isolation, _ body: (Shop) async throws -> Void
) async throws {
    try await withTemporaryRedis(arguments: setup.redisArguments) { server in
        try await withShop(setup, on: server, body)
    }
}

/// The same on a server that is there already.
func withShop(
    _ setup: Shop.Setup = Shop.Setup(), on server: TemporaryRedis, isolation: isolated (any Actor)? = #isolation,
    _ body: (Shop) async throws -> Void
) async throws {
    let folder = TemporaryFolder()
    defer { folder.remove() }
    let shop = try Shop(setup, server: server, folder: folder.url)
    do {
        try await eventually("connected") { shop.redis.isConnected }
        try await body(shop)
    } catch {
        await shop.close()
        throw error
    }
    await shop.close()
}

// MARK: - Redis

extension Shop {
    /// Ends Redis without letting it save anything, and waits until every connection knows.
    func killRedis() async throws {
        server.kill()
        try await eventually("Redis is away") { redis.isAway }
    }

    /// Starts Redis again and waits until every connection is made anew.
    ///
    /// Asked before they have noticed that they are gone, connections still say that they are there.
    func restartRedis() async throws {
        try await killRedis()
        try server.start()
        try await eventually("connected again") { redis.isConnected }
    }
}

// MARK: - Goods

extension Shop {
    /// That many new users, each with the balance.
    @discardableResult
    func makeUsers(_ count: Int, balance: Int64 = 0) async throws -> [UserID] {
        try await withThrowingTaskGroup { group in
            for index in 0..<count {
                group.addTask { [store, clock] in
                    let user = try await store.createUser(name: "User \(index)", in: .at(clock.now)).value.id
                    if balance > 0 { _ = try await store.charge(userID: user, amount: Won(balance), in: .at(clock.now)).value }
                    return user
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }.sorted()
        }
    }

    func terms(quantity: Int64, opensIn: Int64 = -60_000, closesIn: Int64? = nil) -> CampaignTerms {
        let now = WallClock.system.now.milliseconds
        return CampaignTerms(
            name: "Launch", discount: .fixed(amount: Won(1_000)), quantity: quantity, opensAt: Instant(milliseconds: now + opensIn),
            closesAt: closesIn.map { Instant(milliseconds: now + $0) }, validForSeconds: 3_600, minOrderAmount: .zero,
            restoreOnRefund: false)
    }

    func makeCampaign(quantity: Int64, opensIn: Int64 = -60_000, closesIn: Int64? = nil) async throws -> CouponID {
        try await campaigns.create(terms(quantity: quantity, opensIn: opensIn, closesIn: closesIn), in: .at(clock.now)).value.id
    }

    func makeProduct(price: Int64 = 1_000, stock: Int64 = 1_000_000) async throws -> ProductID {
        try await store.createProduct(name: "Tea", price: Won(price), stock: stock, in: .at(clock.now)).value.id
    }
}
