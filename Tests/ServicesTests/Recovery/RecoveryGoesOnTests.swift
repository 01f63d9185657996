import Commerce
import GRDB
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Recovery goes on", .serialized)
struct RecoveryGoesOnTests {
    /// Campaigns that each have a claim which only the gate knows.
    private func grant(_ count: Int, to user: UserID, in shop: Shop) async throws -> [CouponID] {
        var coupons: [CouponID] = []
        for _ in 0..<count {
            let coupon = try await shop.makeCampaign(quantity: 5)
            try await shop.grantOnly(coupon, to: user)
            coupons.append(coupon)
        }
        return coupons
    }

    @Test(
        "a claim with a score that the gate never gave has it rebuilt, and the other campaigns' claims are written",
        arguments: ["1.5", "inf", "1", "0.5", "-3", "-inf", "100"])
    func foreignScore(score: String) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let broken = try await shop.makeCampaign(quantity: 5)
            #expect(try await shop.claim(broken, by: users[0]) == .won(1))
            try await shop.grantOnly(broken, to: users[1])
            let others = try await grant(4, to: users[2], in: shop)
            let epoch = try #require(try shop.epoch(of: broken))
            try shop.server.cli("ZADD", RedisKeys.claims(of: broken), "XX", score, "\(users[1])")
            try await shop.recovery.run(deep: true)
            #expect(try shop.epoch(of: broken) == epoch + 1)
            for coupon in [broken] + others { try await shop.expectAgreement(on: coupon) }
            #expect(try await shop.issued(broken) == [1: users[0]])
            for coupon in others { #expect(try await shop.issued(coupon) == [1: users[2]]) }
            #expect(try await shop.claimPatiently(broken, by: users[1]) == .won(2))
        }
    }

    @Test("a gate full of claims without a proper sequence is rebuilt: comparing it comes to an end")
    func foreignScores() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 10_000)
            let script = """
                for user = 1, 5000 do redis.call('ZADD', KEYS[2], '1.5', user) end
                redis.call('HSET', KEYS[1], 'sequence', 5000, 'remaining', 5000)
                """
            try shop.server.cli("EVAL", script, "2", RedisKeys.coupon(coupon), RedisKeys.claims(of: coupon))
            try await shop.recovery.run(deep: true)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a campaign whose claims cannot be written keeps no other from its own, nor one that has ended from being archived")
    func unwritable() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1)[0]
            let ended = try await shop.makeCampaign(quantity: 5, closesIn: 60_000)
            let coupons = try await grant(5, to: user, in: shop)
            let (broken, others) = (coupons[2], coupons[..<2] + coupons[3...])
            shop.clock.advance(byMilliseconds: 2 * 86_400_000)
            let foreign = try shop.foreignConnection()
            try await foreign.write { db in
                try db.execute(
                    sql: """
                        CREATE TRIGGER broken BEFORE INSERT ON issued_coupons WHEN NEW.coupon_id = \(broken.rawValue)
                        BEGIN SELECT RAISE(ABORT, 'broken'); END
                        """)
            }
            let recovery = shop.recovery
            try await recovery.run(deep: true)
            for coupon in others { #expect(try await shop.issued(coupon) == [1: user]) }
            #expect(try await shop.issued(broken).isEmpty)
            #expect(try #require(try shop.reader.campaign(ended)).isArchived)
            try await foreign.write { try $0.execute(sql: "DROP TRIGGER broken") }
            try await recovery.run(deep: false)
            for coupon in coupons { try await shop.expectAgreement(on: coupon) }
            #expect(try await shop.issued(broken) == [1: user])
        }
    }
}
