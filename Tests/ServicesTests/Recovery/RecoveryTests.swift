import Commerce
import GRDB
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("What recovery reads", .serialized)
struct RecoveryTests {
    @Test("a regular look reads the claims that are new since the last one, and none where the numbers agree")
    func newClaimsOnly() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(140)
            let coupon = try await shop.makeCampaign(quantity: 200)
            _ = try await shop.claimTogether(coupon, by: Array(users[..<100]))
            let recovery = shop.recovery
            try await recovery.run(deep: true)
            #expect(recovery.comparedClaims == 200)
            _ = try await shop.claimTogether(coupon, by: Array(users[100..<120]))
            try await recovery.run(deep: false)
            #expect(recovery.comparedClaims == 200)
            // 20 claims on both sides, and one that only the gate knows: it is persisted.
            try await shop.grantOnly(coupon, to: users[120])
            try await recovery.run(deep: false)
            #expect(recovery.comparedClaims == 200 + 20 + 21)
            #expect(try await shop.issued(coupon)[121] == users[120])
            // What was just persisted was not seen on both sides yet.
            try await shop.grantOnly(coupon, to: users[121])
            try await recovery.run(deep: false)
            #expect(recovery.comparedClaims == 241 + 1 + 2)
            try await shop.expectAgreement(on: coupon)
            try await recovery.run(deep: true)
            #expect(recovery.comparedClaims == 244 + 2 * 122)
        }
    }

    @Test("a claim under way keeps those after it to be read again, until it is in the store")
    func inFlight() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(40)
            let coupon = try await shop.makeCampaign(quantity: 100)
            _ = try await shop.claimTogether(coupon, by: Array(users[..<10]))
            let recovery = shop.recovery
            try await shop.grantOnly(coupon, to: users[10])
            _ = try await shop.claimTogether(coupon, by: Array(users[11..<16]))
            // The claimant is given the time to write the row; this look ends before.
            let looking = Task { try await recovery.run(deep: true, grace: .seconds(3_600)) }
            try await eventually("compared") { recovery.uncomparedCampaigns == 0 }
            looking.cancel()
            await #expect(throws: CancellationError.self) { try await looking.value }
            #expect(recovery.comparedClaims == 15 + 16)
            #expect(try await shop.claim(coupon, by: users[10]) == .won(11))
            try await shop.grantOnly(coupon, to: users[20])
            try await recovery.run(deep: false)
            // From the claim that was under way on: 6 rows, and 7 claims of the gate.
            #expect(recovery.comparedClaims == 31 + 6 + 7)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a claim that vanishes from what was verified is found by the next regular look")
    func lostPrefix() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(30)
            let coupon = try await shop.makeCampaign(quantity: 100)
            _ = try await shop.claimTogether(coupon, by: Array(users[..<20]))
            let recovery = shop.recovery
            try await recovery.run(deep: true)
            _ = try await shop.claimTogether(coupon, by: Array(users[20...]))
            let epoch = try #require(try shop.epoch(of: coupon))
            _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "\(users[3])")
            _ = try shop.server.cli("HINCRBY", RedisKeys.coupon(coupon), "remaining", "1")
            try await recovery.run(deep: false)
            #expect(try shop.epoch(of: coupon) == epoch + 1)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("what was verified counts in its epoch and on its Redis only", arguments: [true, false])
    func forgotten(reconnects: Bool) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(30)
            let coupon = try await shop.makeCampaign(quantity: 100)
            _ = try await shop.claimTogether(coupon, by: Array(users[..<20]))
            let recovery = shop.recovery
            try await recovery.run(deep: true)
            if reconnects {
                recovery.forgetStates()
                #expect(recovery.unloadedCampaigns == nil && recovery.uncomparedCampaigns == nil)
            } else {
                try await shop.campaigns.build(coupon, beyond: try shop.epoch(of: coupon), waits: true)
            }
            try await shop.grantOnly(coupon, to: users[20])
            try await recovery.run(deep: false)
            #expect(recovery.comparedClaims == 40 + 20 + 21)
            #expect(recovery.uncomparedCampaigns == 0)
        }
    }

    @Test("archived campaigns are not looked at, however many claims they have")
    func archivedUnread() async throws {
        let setup = Shop.Setup(fill: { db in
            try db.execute(
                sql: """
                    INSERT INTO users (id, name, created_at) VALUES (1, 'User', 0);
                    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 500)
                    INSERT INTO campaigns (id, name, discount_type, discount_value, quantity, issued, opens_at, closes_at, valid_for_s,
                        min_order, restore_on_refund, created_at, archival, archived_at)
                        SELECT n, 'Launch', 0, 1000, 1, 1, 0, 1, 3600, 0, 0, 0, 2, 1 FROM numbers;
                    INSERT INTO issued_coupons (code, coupon_id, user_id, sequence, issued_at, expires_at)
                        SELECT printf('%016d', id), id, 1, 1, 0, 3600000 FROM campaigns;
                    """)
        })
        try await withShop(setup) { shop in
            let recovery = shop.recovery
            let sent = shop.redis.statistics.sent
            try await recovery.run(deep: true)
            #expect(recovery.comparedClaims == 0 && recovery.unloadedCampaigns == [])
            // Archived more than a week ago: not even their keys are asked for.
            #expect(shop.redis.statistics.sent == sent)
        }
    }

    @Test("the start waits for no claim: readiness says what is still to be compared, and then that all is")
    func start() async throws {
        try await withShop(.hundredThousandCoupons) { shop in
            try await shop.campaigns.build(CouponID(1), beyond: nil)
            try await shop.start()
            #expect(shop.compared < 200_000)
            let early = await shop.services.readiness()
            #expect(early.isReady == (early.unloadedCampaigns == [] && early.uncomparedCampaigns == 0))
            try await eventually("ready") { await shop.services.readiness().isReady }
            #expect(shop.compared == 200_000)
            let ready = await shop.services.readiness()
            #expect(ready.unloadedCampaigns == [] && ready.uncomparedCampaigns == 0)
        }
    }
}

extension Shop {
    /// What the metrics say of the claims that the service's own recovery has read.
    fileprivate var compared: Int {
        services.metrics().first { $0.name == "firstcome_recovery_claims_compared_total" }.map { Int($0.samples[0].value) } ?? -1
    }
}
