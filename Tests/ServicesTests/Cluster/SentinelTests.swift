import Commerce
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Services on a Redis that Sentinels watch", .serialized)
struct SentinelTests {
    private func withSentinelShop(_ body: (Shop, TemporarySentinels) async throws -> Void) async throws {
        try await withTemporarySentinels { sentinels in
            var setup = Shop.eager
            setup.endpoint = try RedisEndpoint(url: sentinels.url)
            try await withShop(setup, on: sentinels.servers[0]) { try await body($0, sentinels) }
        }
    }

    @Test("a failover that loses wins gives no coupon twice and none too many")
    func lostWins() async throws {
        try await withSentinelShop { shop, sentinels in
            let users = try await shop.makeUsers(100)
            let coupon = try await shop.makeCampaign(quantity: 60)
            try await shop.start()
            try await shop.untilReady()
            let old = try #require(try sentinels.primary())
            var answers = try await shop.claimTogether(coupon, by: Array(users[..<20]))
            #expect(try old.isReplicated())
            try old.cutReplication()
            answers.merge(try await shop.claimTogether(coupon, by: Array(users[20..<40]))) { _, new in new }
            old.kill()
            answers.merge(try await shop.claimTogether(coupon, by: Array(users[40...]))) { _, new in new }
            #expect(try sentinels.primary() !== old)
            try await shop.recovery.run(deep: true)
            try await shop.expectSoldOut([coupon: answers], quantity: 60)
        }
    }

    @Test("while Sentinels fail over by order, a campaign sells out exactly and every sale is counted")
    func plannedFailover() async throws {
        try await withSentinelShop { shop, sentinels in
            let users = try await shop.makeUsers(200, balance: 1_000)
            let coupon = try await shop.makeCampaign(quantity: 150)
            let product = try await shop.makeProduct(price: 1)
            try await shop.start()
            try await shop.untilReady()
            async let claims = shop.claimInGroups(coupon, by: users)
            for user in users[..<20] { _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0)) }
            try await sentinels.failOver()
            for user in users[20..<40] { _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0)) }
            let answers = try await claims
            try await shop.untilReady()
            try await shop.recovery.run(deep: true)
            try await shop.expectSoldOut([coupon: answers], quantity: 150)
            try await eventually("every sale is counted") { try await shop.offset() == shop.store.lastEventID().rawValue }
            #expect(try await shop.scores(on: shop.day(ago: 0)) == [product: 40])
        }
    }
}
