import Commerce
import Foundation
import Logging
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

/// Another service with a store of its own, on the Redis of the shop.
private struct Stranger: Sendable {
    let store: TransactionalStore
    let redis: RedisClient
    let services: CommerceServices
    let lines: LogLines
    let background = BackgroundTask()

    func start() async throws { try await background.start(services) }

    var isForeign: Bool { get async { await services.readiness().isRedisForeign } }

    func claim(_ coupon: CouponID, by user: UserID) async throws -> ClaimAnswer {
        try ClaimAnswer(await services.outcome(of: coupon, by: user))
    }
}

extension Shop {
    /// Runs `body` with a second service, whose store is in another folder.
    fileprivate func withStranger(firstIncarnation: Int64?, _ body: (Stranger) async throws -> Void) async throws {
        let other = folder.appending(path: "stranger")
        try FileManager.default.createDirectory(at: other, withIntermediateDirectories: true)
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        options.firstIncarnation = firstIncarnation
        let store = try TransactionalStore.open(path: other.appending(path: "store.sqlite").path, options: options, logger: Self.logger)
        let lines = LogLines()
        let logger = lines.logger(level: .info)
        var configuration = redis.configuration
        configuration.admission = StoreAdmission.admission(of: store.identity, as: .service)
        let client = RedisClient(configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        var settings = services.configuration
        settings.recoveryInterval = .milliseconds(20)
        let services = try CommerceServices(
            configuration: settings, store: store, redis: client, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        client.start()
        var failure: (any Error)?
        let stranger = Stranger(store: store, redis: client, services: services, lines: lines)
        do { try await body(stranger) } catch { failure = error }
        await stranger.background.end()
        await services.close()
        await client.close()
        store.close()
        if let failure { throw failure }
    }

    /// One number for all that Redis holds.
    fileprivate var digest: String { get throws { try server.cli("DEBUG", "DIGEST") } }

    fileprivate func name(_ text: String) throws { _ = try server.cli("SET", RedisKeys.store, text) }
}

@Suite("Whose Redis it is", .serialized)
struct StoreAdmissionTests {
    private static let other = "0123456789abcdef:1795300182372"

    /// A campaign with three claims and a counted sale.
    private static func work(_ shop: Shop) async throws -> (coupon: CouponID, users: [UserID]) {
        let users = try await shop.makeUsers(8, balance: 100_000)
        let coupon = try await shop.makeCampaign(quantity: 20)
        for user in users[..<3] { _ = try await shop.claim(coupon, by: user) }
        let product = try await shop.makeProduct(price: 1)
        _ = try await shop.sell([(product, 2)], to: users[0], on: shop.day(ago: 0))
        try await shop.makeRelay().step()
        return (coupon, users)
    }

    @Test("a service that meets the Redis of another store says whose it is, decides no claim with it and writes nothing into it")
    func twoStores() async throws {
        try await withShop { shop in
            let (coupon, _) = try await Self.work(shop)
            try await shop.withStranger(firstIncarnation: nil) { stranger in
                let user = try await stranger.store.createUser(name: "Stranger", in: .at(shop.clock.now)).value.id
                let before = try shop.digest
                try await stranger.start()
                let campaign = try await stranger.services.campaigns.create(shop.terms(quantity: 5), in: .at(shop.clock.now)).value
                #expect(campaign.id == coupon)
                guard case .later = try await stranger.claim(coupon, by: user) else {
                    Issue.record("the gate of another store decided")
                    return
                }
                #expect(await stranger.isForeign)
                let readiness = await stranger.services.readiness()
                #expect(!readiness.isReady && readiness.storeAnswers && !readiness.redisAnswers)
                // Recovery, relay, ranking and delivery have all had their turn several times.
                let requests = stranger.redis.statistics.sent
                try await eventually("the line is there") { !stranger.lines.at(.error).isEmpty }
                let connects = try #require(
                    Int(try shop.server.cli("INFO", "stats").matches(of: #/total_connections_received:(\d+)/#)[0].1))
                try await eventually("it has tried again and again") {
                    let text = try shop.server.cli("INFO", "stats").matches(of: #/total_connections_received:(\d+)/#)[0].1
                    return try #require(Int(text)) > connects + 20
                }
                #expect(stranger.redis.statistics.sent == requests && requests == 0)
                #expect(try shop.digest == before)
                let errors = stranger.lines.at(.error)
                #expect(errors.count == 1, "\(errors)")
                for part in [shop.store.identity.words, stranger.store.identity.words, shop.redis.configuration.endpoint.description] {
                    #expect(errors.first?.contains(part) == true, "\(errors)")
                }
                #expect(try await shop.claim(coupon, by: UserID(4)) == .won(4))
            }
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("once the Redis serves its store, a service that was refused goes on by itself")
    func admittedLater() async throws {
        try await withShop { shop in
            try shop.name(Self.other)
            try await shop.withStranger(firstIncarnation: nil) { stranger in
                try await stranger.start()
                #expect(await stranger.isForeign)
                try shop.name(stranger.store.identity.description)
                try await eventually("the service is ready") { await stranger.services.readiness().isReady }
                #expect(await !stranger.isForeign)
                #expect(stranger.lines.at(.notice).contains("Redis serves this store now"))
            }
        }
    }

    @Test("a Redis that is given to another store while a service is connected decides no further claim of this one, and gets no write")
    func takenWhileConnected() async throws {
        try await withShop(Shop.Setup(configure: { $0.recoveryInterval = .seconds(3_600) })) { shop in
            let (coupon, users) = try await Self.work(shop)
            try await shop.start()
            try await eventually("ready") { await shop.services.readiness().isReady }
            // The other store's gate, in the very epoch of this one's.
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "store", Self.other)
            try shop.name(Self.other)
            let before = try shop.digest
            #expect(try await shop.claim(coupon, by: users[0]) == .already(1), "the store knows")
            for user in users[3...] {
                guard case .later = try await shop.claim(coupon, by: user) else {
                    Issue.record("the gate of another store decided the claim of \(user)")
                    return
                }
            }
            try await eventually("the service says so") { await shop.services.readiness().isRedisForeign }
            #expect(try await shop.issued(coupon).count == 3)
            #expect(try shop.digest == before)
            try shop.name(shop.store.identity.description)
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "store", shop.store.identity.description)
            #expect(try await shop.claimPatiently(coupon, by: users[3]) == .won(4))
        }
    }

    @Test("scores of another store are neither counted on nor replaced")
    func scores() async throws {
        try await withShop { shop in
            let (_, users) = try await Self.work(shop)
            let product = try await shop.makeProduct(price: 1)
            let relay = try shop.makeRelay()
            try await relay.step()
            _ = try await shop.sell([(product, 5)], to: users[0], on: shop.day(ago: 0))
            try shop.name(Self.other)
            let before = try shop.digest
            let counting = await #expect(throws: ServiceError.self) { try await relay.step() }
            #expect(counting?.code == .foreignRedis)
            try shop.name(shop.store.identity.description)
            try await eventually("connected") { shop.redis.isConnected }
            let rebuild = shop.rebuild
            try shop.name(Self.other)
            await #expect(throws: (any Error).self) { try await rebuild.run() }
            try await eventually("given up") { !shop.redis.isConnected }
            // What was staged goes by itself.
            for key in try shop.server.cli("KEYS", "ranking:{sales}:staged:*").split(separator: "\n") where !key.isEmpty {
                _ = try shop.server.cli("DEL", String(key))
            }
            #expect(try shop.digest == before)
        }
    }

    @Test("a store of an earlier version adopts its unnamed Redis with every gate in it, and a store with incarnations does not")
    func unnamed() async throws {
        try await withShop { shop in
            let (coupon, users) = try await Self.work(shop)
            let epoch = try #require(try await shop.gate(of: coupon)?.epoch)
            _ = try shop.server.cli("DEL", RedisKeys.store)
            _ = try shop.server.cli("HDEL", RedisKeys.coupon(coupon), "store")
            try await shop.withStranger(firstIncarnation: 1_795_300_182_372) { stranger in
                try await stranger.start()
                #expect(await stranger.isForeign)
                #expect(stranger.lines.at(.error).first?.contains("left no name") == true)
            }
            #expect(try shop.server.cli("GET", RedisKeys.store).isEmpty)
            shop.redis.reconnect(because: RedisError(.notConnected, "a test"))
            try await eventually("the Redis serves this store") {
                try shop.server.cli("GET", RedisKeys.store) == shop.store.identity.description
            }
            #expect(try await shop.claimPatiently(coupon, by: users[3]) == .won(4))
            #expect(try await shop.gate(of: coupon)?.epoch == epoch, "the gate was not built anew")
        }
    }

    @Test("a gate that an earlier incarnation left is built anew, and the gate of a later one stays as it is")
    func leftoverGates() async throws {
        try await withShop(Shop.Setup(configureStore: { $0.firstIncarnation = 1_700_000_000_000 })) { shop in
            let (coupon, users) = try await Self.work(shop)
            // The same three claims, of which the earlier incarnation gave one to somebody else.
            let gate = RedisKeys.coupon(coupon)
            _ = try shop.server.cli("HSET", gate, "store", "\(shop.store.identity.store):1600000000000", "epoch", "1600000000009")
            _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "2")
            _ = try shop.server.cli("ZADD", RedisKeys.claims(of: coupon), "2", "6")
            #expect(try await shop.claimPatiently(coupon, by: users[1]) == .already(2))
            #expect(try await shop.claimPatiently(coupon, by: users[5]) == .won(4))
            try await shop.expectAgreement(on: coupon)
            #expect(try await shop.gate(of: coupon)?.store == shop.store.identity.description)

            _ = try shop.server.cli("HSET", gate, "store", "\(shop.store.identity.store):1800000000000", "epoch", "1800000000001")
            let before = try shop.digest
            guard case .later = try await shop.claim(coupon, by: users[6]) else {
                Issue.record("the gate of a later incarnation decided")
                return
            }
            try? await shop.recovery.run(deep: true)
            #expect(try shop.digest == before)
        }
    }

    // MARK: Taking a Redis over

    private static func takeover(_ shop: Shop, by identity: StoreIdentity) -> RedisTakeover {
        RedisTakeover(
            by: identity, of: shop.redis.configuration.endpoint, on: MultiThreadedEventLoopGroup.singleton, logger: Shop.logger)
    }

    @Test("a takeover has to name the store that is served, waits for no connected service, and removes only what a store knows better")
    func takeover() async throws {
        try await withShop { shop in
            _ = try await Self.work(shop)
            let keep = ["events:{orders}", "coupon:{x}", "coupon:7", "coupon:{7}:claims:old", "somebody"]
            for key in keep { _ = try shop.server.cli("SET", key, "1") }
            let next = StoreIdentity(store: shop.store.identity.store, incarnation: 1_795_300_182_372, eventBase: 179_530_018_237_200)
            let takeover = Self.takeover(shop, by: next)
            #expect(try await takeover.owner() == .named(shop.store.identity.description))
            let before = try shop.digest
            for name in [nil, "unnamed", Self.other] {
                let error = await #expect(throws: ServiceError.self) { try await takeover.take(from: name) }
                #expect(error?.message.contains("--from \(shop.store.identity)") == true)
            }
            // The shop's own connections are called as those of a service are.
            let busy = await #expect(throws: ServiceError.self) { try await takeover.take(from: shop.store.identity.description) }
            #expect(busy?.message.contains("a service is connected") == true)
            #expect(try shop.digest == before)
            await shop.redis.close()
            #expect(try await takeover.take(from: shop.store.identity.description) > 3)
            let left = try shop.server.cli("KEYS", "*").split(separator: "\n").map(String.init)
            #expect(Set(left) == Set(keep + [RedisKeys.store]))
            #expect(try await takeover.owner() == .named(next.description))
            #expect(try await takeover.take(from: nil) == 0)
        }
    }

    @Test("a private Redis of an earlier incarnation is taken over without a word of an operator, and its own is left alone")
    func takesPrivate() async throws {
        try await withShop { shop in
            _ = try await Self.work(shop)
            let before = try shop.digest
            try await Self.takeover(shop, by: shop.store.identity).takePrivate()
            #expect(try shop.digest == before)
            let next = StoreIdentity(store: shop.store.identity.store, incarnation: 1_795_300_182_372, eventBase: 179_530_018_237_200)
            try await Self.takeover(shop, by: next).takePrivate()
            #expect(try shop.server.cli("KEYS", "*") == RedisKeys.store)
            #expect(try shop.server.cli("GET", RedisKeys.store) == next.description)
        }
    }

    @Test("which keys a store knows better")
    func keys() {
        for key in ["coupon:{7}", "coupon:{7}:claims", "ranking:{sales}:applied", "ranking:{sales}:2026-11-20", "ranking:{sales}:top:3d"] {
            #expect(RedisKeys.isRebuiltFromStore(key), "\(key)")
        }
        for key in [RedisKeys.store, RedisKeys.events, "coupon:{}", "coupon:{7", "coupon:{7}:claim", "coupon:{７}", "ranking:sales", ""] {
            #expect(!RedisKeys.isRebuiltFromStore(key), "\(key)")
        }
    }
}
