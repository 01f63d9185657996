import Commerce
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Campaigns on a cluster", .serialized)
struct ClusterSaleTests {
    @Test("campaigns of all primaries sell out exactly, the sales are counted, and the audit agrees")
    func sale() async throws {
        try await withClusterShop(Shop.eager) { shop, cluster in
            let users = try await shop.makeUsers(25, balance: 10_000)
            let coupons = try await shop.makeCampaigns(on: cluster, quantity: 10)
            let product = try await shop.makeProduct()
            try await shop.start()
            try await shop.untilReady()
            let answers = try await shop.claimEverywhere(coupons, by: users)
            for user in users { _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0)) }
            try await shop.expectSoldOut(answers, quantity: 10)
            try await eventually("every sale is counted") { try await shop.offset() == shop.store.lastEventID().rawValue }
            #expect(try await shop.scores(on: shop.day(ago: 0)) == [product: 25])
            try await eventually("the list shows them") { shop.services.ranking.top.items.map(\.unitsSold) == [25] }
            try await eventually("the stream has them") {
                try await shop.redis.send(RedisCommand("XLEN", .string(RedisKeys.events))).integer == 25
            }
            let report = try await Audit(
                store: shop.store, redis: shop.redis, calendar: shop.calendar, clock: shop.services.configuration.clock
            ).run()
            #expect(report.checks.allSatisfy { $0.violationCount == 0 }, "\(report.checks.filter { $0.violationCount > 0 })")
            #expect(report.checks.filter { $0.invariant == 3 }.contains { $0.rowsChecked == 120 })
        }
    }

    @Test("while a slot is moved there and back, its campaign sells out exactly and no gate is built anew")
    func movedSlot() async throws {
        try await withClusterShop { shop, cluster in
            let users = try await shop.makeUsers(300)
            let coupon = try await shop.makeCampaign(quantity: 200)
            try await shop.start()
            try await shop.untilReady()
            let epochs = try await shop.epochs
            let slot = try cluster.slot(of: RedisKeys.coupon(coupon))
            let source = try cluster.primary(of: coupon)
            let target = try #require(try cluster.primaries().first { $0 != source })
            async let claims = shop.claimInGroups(coupon, by: users)
            for (from, to) in [(source, target), (target, source), (source, target)] {
                try cluster.beginMove(slot: slot, from: from, to: to)
                // One of the two keys at a time, so that scripts meet a gate that is torn apart.
                while try cluster.moveKeys(slot: slot, from: from, to: to, count: 1) > 0 { await Task.yield() }
                try cluster.endMove(slot: slot, from: from, to: to)
            }
            let answers = try await claims
            #expect(try cluster.primary(of: coupon) == target)
            try await shop.expectSoldOut([coupon: answers], quantity: 200)
            #expect(try await shop.epochs == epochs)
        }
    }
}

extension Shop {
    /// Everybody claims, in groups of ten.
    func claimInGroups(_ coupon: CouponID, by users: [UserID]) async throws -> [UserID: ClaimAnswer] {
        var answers: [UserID: ClaimAnswer] = [:]
        for start in stride(from: 0, to: users.count, by: 10) {
            let group = Array(users[start..<min(start + 10, users.count)])
            answers.merge(try await claimTogether(coupon, by: group)) { _, new in new }
        }
        return answers
    }
}
