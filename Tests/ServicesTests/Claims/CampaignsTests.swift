import Commerce
import GRDB
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Campaigns", .serialized)
struct CampaignsTests {
    @Test("a higher quantity reopens a campaign that was sold out: the next claim wins")
    func raise() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 1)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            #expect(try await shop.claim(coupon, by: users[1]) == .refused(.couponSoldOut))
            let changed = try await shop.campaigns.change(coupon, CampaignChange(quantity: 2)).value
            #expect(changed.terms.quantity == 2)
            #expect(try await shop.claim(coupon, by: users[1]) == .won(2))
            #expect(try await shop.claim(coupon, by: users[2]) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a quantity can be lowered to what is issued, and no further")
    func lower() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 10)
            _ = try await shop.claimTogether(coupon, by: Array(users[..<3]))
            let refused = try await shop.campaigns.change(coupon, CampaignChange(quantity: 2))
            #expect(refused == .refused(.quantityIssued(issued: 3)))
            try await shop.expectAgreement(on: coupon)
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 3)).value
            #expect(try await shop.claim(coupon, by: users[3]) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a quantity below what the gate has granted is refused, also where the store does not know of it yet")
    func lowerBelowGranted() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 10)
            for user in users { try await shop.grantOnly(coupon, to: user) }
            let refused = try await shop.campaigns.change(coupon, CampaignChange(quantity: 2))
            #expect(refused == .refused(.quantityIssued(issued: 3)))
            #expect(try #require(try shop.reader.campaign(coupon)).terms.quantity == 10)
            #expect(try await shop.claim(coupon, by: users[2]) == .won(3))
        }
    }

    @Test("an impossible change leaves gate and store as they were")
    func refused() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 10)
            let past = CampaignChange(quantity: 5, closesAt: Instant(milliseconds: 1))
            guard case .refused(.invalid(field: "closesAt", _)) = try await shop.campaigns.change(coupon, past) else {
                throw NotDone(result: "a window that ends before it begins")
            }
            try await shop.expectAgreement(on: coupon)
            #expect(try await shop.gate(of: coupon)?.quantity == 10)
            #expect(
                try await shop.campaigns.change(CouponID(9), CampaignChange(quantity: 5)) == .refused(.couponNotFound))
        }
    }

    @Test("a window can be moved: a campaign closes and opens again")
    func window() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(2)
            let coupon = try await shop.makeCampaign(quantity: 10)
            let past = Instant(milliseconds: shop.clock.now.milliseconds - 10)
            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: past)).value
            #expect(try await shop.claim(coupon, by: users[0]) == .refused(.couponClosed))
            let future = Instant(milliseconds: shop.clock.now.milliseconds + 60_000)
            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: future)).value
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("with Redis away a campaign can be made and raised, not lowered; its gate follows when Redis is back")
    func redisAway() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 2)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            shop.server.kill()
            try await eventually("Redis is away") { shop.redis.isAway }
            let made = try await shop.makeCampaign(quantity: 5)
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 3)).value
            await #expect(throws: (any Error).self) {
                _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 1))
            }
            #expect(try #require(try shop.reader.campaign(coupon)).terms.quantity == 3)
            try shop.server.start()
            try await eventually("Redis is back") { shop.redis.isConnected }
            try await shop.recovery.run(deep: false)
            for coupon in [coupon, made] { try await shop.expectAgreement(on: coupon) }
            #expect(try await shop.claim(coupon, by: users[1]) == .won(2))
            #expect(try await shop.claim(coupon, by: users[2]) == .won(3))
        }
    }

    @Test("changes at the same time, beside claims and rebuilds, end with gate and store alike")
    func concurrentChanges() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(60)
            let coupon = try await shop.makeCampaign(quantity: 100)
            async let answers = shop.claimTogether(coupon, by: users)
            try await withThrowingTaskGroup { group in
                for index in 0..<24 {
                    group.addTask {
                        switch index % 4 {
                        case 0:
                            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 100 + Int64(index)))
                        case 1:
                            let closesAt = Instant(milliseconds: shop.clock.now.milliseconds + 600_000 + Int64(index))
                            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: closesAt))
                        case 2:
                            // Refused while the gate is being built; either way the two must agree in the end.
                            _ = try? await shop.campaigns.change(coupon, CampaignChange(quantity: 90))
                        default: _ = try? await shop.campaigns.build(coupon, beyond: try shop.reader.campaign(coupon)?.epoch, waits: true)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let won = try await answers.values.count { if case .won = $0 { true } else { false } }
            let issued = try await shop.issued(coupon).count
            #expect(won == issued)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a change in the middle of a rebuild reaches the gate")
    func changeDuringBuild() async throws {
        let setup = Shop.Setup(fill: { db in
            try db.execute(
                sql: """
                    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 8000)
                    INSERT INTO users (id, name, created_at) SELECT n, 'User', 0 FROM numbers;
                    INSERT INTO campaigns (id, name, discount_type, discount_value, quantity, issued, opens_at, valid_for_s, min_order,
                        restore_on_refund, created_at) VALUES (1, 'Launch', 0, 1000, 8001, 8000, 0, 3600, 0, 0, 0);
                    INSERT INTO issued_coupons (code, coupon_id, user_id, sequence, issued_at, expires_at)
                        SELECT printf('%016d', id), 1, id, id, 0, 3600000 FROM users;
                    """)
        })
        try await withShop(setup) { shop in
            let coupon = CouponID(1)
            try await shop.campaigns.build(coupon, beyond: nil)
            for round in 1...Int64(10) {
                let epoch = try #require(try shop.reader.campaign(coupon)).epoch
                async let built = shop.campaigns.build(coupon, beyond: epoch, waits: true)
                try await eventually("the gate is being built") { try await shop.gate(of: coupon)?.isOpen == false }
                _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 8_001 + round)).value
                #expect(try await built)
                #expect(try await shop.gate(of: coupon)?.quantity == 8_001 + round)
            }
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("who needs a newer gate than the build under way makes gets one")
    func joiningBuilds() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 5)
            for _ in 0..<20 {
                let epoch = try #require(try shop.reader.campaign(coupon)).epoch
                // The first only looks whether there is a gate; the second knows that it is the wrong one.
                async let looked = shop.campaigns.build(coupon, beyond: nil)
                async let rebuilt = shop.campaigns.build(coupon, beyond: epoch, waits: true)
                #expect(try await looked)
                #expect(try await rebuilt)
                #expect(try #require(try await shop.gate(of: coupon)?.epoch) > epoch)
            }
        }
    }
}
