import Commerce
import NIOCore
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Failures of a cluster", .serialized)
struct ClusterFailureTests {
    @Test(
        "a node that has forgotten everything gets its gates back from the store, and the other nodes' gates stay as they are",
        arguments: [true, false])
    func flushed(hasSales: Bool) async throws {
        try await withClusterShop(Shop.eager) { shop, cluster in
            let users = try await shop.makeUsers(60, balance: 1_000)
            let coupons = try await shop.makeCampaigns(on: cluster, quantity: 40)
            let product = try await shop.makeProduct(price: 1)
            try await shop.start()
            try await shop.untilReady()
            for user in users[..<30] { _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0)) }
            let before = try await shop.claimEverywhere(coupons, by: Array(users[..<20]))
            let epochs = try await shop.epochs
            let sales = try cluster.primaryOfSales()
            let node = try #require(try cluster.primaries().first { ($0 == sales) == hasSales })
            async let during = shop.claimEverywhere(coupons, by: Array(users[20...]))
            try cluster.flush(node)
            var answers = try await during
            for (coupon, ofUsers) in before { answers[coupon]?.merge(ofUsers) { _, new in new } }
            try await eventually("recovered") {
                await shop.services.readiness().isReady && shop.services.recovery.uncomparedCampaigns == 0
            }
            // After the flush the gates are built from the store, before or after the claims in flight.
            try await shop.recovery.run(deep: true)
            try await shop.expectSoldOut(answers, quantity: 40)
            for (coupon, epoch) in try await shop.epochs where try cluster.primary(of: coupon) != node {
                #expect(epoch == epochs[coupon], "the gate of \(coupon) was built anew")
            }
            try await eventually("every sale is counted") { try await shop.offset() == shop.store.lastEventID().rawValue }
            #expect(try await shop.scores(on: shop.day(ago: 0)) == [product: 30])
        }
    }

    @Test("a failover that loses wins gives no coupon twice and none too many, and claims of other primaries go on meanwhile")
    func lostWins() async throws {
        try await withClusterShop(Shop.eager) { shop, cluster in
            let users = try await shop.makeUsers(100)
            let coupons = try await shop.makeCampaigns(on: cluster, quantity: 60)
            try await shop.start()
            try await shop.untilReady()
            let sales = try cluster.primaryOfSales()
            let old = try #require(try cluster.primaries().first { $0 != sales })
            let lost = try #require(try coupons.first { try cluster.primary(of: $0) == old })
            let other = try #require(try coupons.first { try cluster.primary(of: $0) != old })
            var answers = try await shop.claimEverywhere([lost], by: Array(users[..<20]))
            #expect(try old.server.isReplicated())
            try old.server.cutReplication()
            answers[lost]?.merge(try await shop.claimTogether(lost, by: Array(users[20..<40]))) { _, new in new }
            old.server.kill()
            let slot = try cluster.slot(of: RedisKeys.coupon(lost))
            var outage = 0
            // The first claims may find a connection that has not noticed yet; after that each is answered at once.
            while try cluster.currentPrimary(ofSlot: slot) == nil {
                if outage < 40 {
                    #expect(try await shop.claim(other, by: users[outage]) == .won(Int64(outage + 1)))
                    outage += 1
                }
                #expect(await shop.services.readiness().isReady)
            }
            #expect(outage > 0)
            answers[lost]?.merge(try await shop.claimTogether(lost, by: Array(users[40...]))) { _, new in new }
            try await shop.recovery.run(deep: true)
            try await shop.expectSoldOut(answers, quantity: 60)
        }
    }

    @Test("an operator's failover loses nothing")
    func plannedFailover() async throws {
        try await withClusterShop { shop, cluster in
            let users = try await shop.makeUsers(300)
            let coupon = try await shop.makeCampaign(quantity: 200)
            try await shop.start()
            try await shop.untilReady()
            let epochs = try await shop.epochs
            async let claims = shop.claimInGroups(coupon, by: users)
            let old = try cluster.primary(of: coupon)
            let new = try cluster.replica(of: old)
            try await cluster.failOver(to: new)
            let answers = try await claims
            #expect(try cluster.primary(of: coupon) == new)
            try await shop.expectSoldOut([coupon: answers], quantity: 200)
            #expect(try await shop.epochs == epochs)
        }
    }

    @Test("a primary that is away without a replica stops its campaigns alone, is in the metrics, and is recovered when it is back")
    func missingPrimary() async throws {
        try await withClusterShop(Shop.eager, replicasEach: 0) { shop, cluster in
            let users = try await shop.makeUsers(40)
            let coupons = try await shop.makeCampaigns(on: cluster, quantity: 20)
            try await shop.start()
            try await shop.untilReady()
            try await eventually("compared") { shop.services.recovery.lastSuccess != nil }
            let sales = try cluster.primaryOfSales()
            let limits = try cluster.primary(of: RedisKeys.buckets)
            let gone = try #require(try cluster.primaries().first { $0 != sales && $0 != limits })
            let (stopped, running) = (
                try coupons.filter { try cluster.primary(of: $0) == gone }, try coupons.filter { try cluster.primary(of: $0) != gone }
            )
            var answers = try await shop.claimEverywhere(coupons, by: Array(users[..<5]))
            let epochs = try await shop.epochs
            gone.server.kill()
            try await eventually("the loss is seen") { try shop.primaries == [3, 2] }
            #expect(try await shop.claim(stopped[0], by: users[10]).isLater)
            for (coupon, ofUsers) in try await shop.claimEverywhere(running, by: Array(users[5...])) {
                answers[coupon]?.merge(ofUsers) { _, new in new }
            }
            // Recovery has looked at the gates without the primary, and says so.
            try await eventually("recovery has looked") {
                shop.services.recovery.unloadedCampaigns.map { Set($0) } == Set(stopped)
            }
            #expect(await shop.services.readiness().isReady)
            #expect(try shop.value("firstcome_redis_connected") == 1 && shop.value("firstcome_ready") == 1)
            #expect(try await shop.sharesLimits())
            try await cluster.restart(gone)
            try await eventually("recovered") {
                try shop.primaries == [3, 3] && shop.services.recovery.unloadedCampaigns == []
                    && shop.services.recovery.uncomparedCampaigns == 0
            }
            for (coupon, ofUsers) in try await shop.claimEverywhere(stopped, by: Array(users[5...])) {
                answers[coupon]?.merge(ofUsers) { _, new in new }
            }
            try await shop.expectSoldOut(answers, quantity: 20)
            for (coupon, epoch) in try await shop.epochs { #expect((epoch == epochs[coupon]) == running.contains(coupon)) }
        }
    }

    @Test("without the primary of the ranking the service is not ready, and goes on selling the others' campaigns")
    func missingSales() async throws {
        try await withClusterShop(Shop.eager, replicasEach: 0) { shop, cluster in
            let users = try await shop.makeUsers(5)
            let coupons = try await shop.makeCampaigns(on: cluster, quantity: 20)
            try await shop.start()
            try await shop.untilReady()
            let sales = try cluster.primaryOfSales()
            let other = try #require(try coupons.first { try cluster.primary(of: $0) != sales })
            sales.server.kill()
            try await eventually("not ready") { await !shop.services.readiness().isReady }
            try await eventually("seen") { try shop.value("firstcome_redis_connected") == 0 && shop.value("firstcome_ready") == 0 }
            #expect(try await shop.claim(other, by: users[0]) == .won(1))
            try await cluster.restart(sales)
            try await shop.untilReady()
            try await eventually("every loop is connected") { shop.redis.isConnected }
            #expect(try await shop.redis.send(RedisCommand("GET", .string(RedisKeys.store))).string == shop.store.identity.description)
        }
    }
}

extension ClaimAnswer {
    fileprivate var isLater: Bool { if case .later = self { true } else { false } }
}

extension Shop {
    /// Whether rate limits are still those of all services together.
    fileprivate func sharesLimits() async throws -> Bool {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let buckets = SharedTokenBuckets(
            connection: redis.connection(on: loop), address: RateLimit("10/h"), user: nil, outage: RateLimitOutage(logger: Self.logger))
        return try await loop.submit { buckets.isUsable(at: .now()) }.get()
    }

    func value(_ name: String) throws -> Double {
        let metric = try #require(services.metrics().first { $0.name == name })
        return try #require(metric.samples.first).value
    }

    /// The primaries expected and reachable, by the metrics.
    fileprivate var primaries: [Double] {
        get throws { [try value("firstcome_redis_primaries_expected"), try value("firstcome_redis_primaries_reachable")] }
    }
}
