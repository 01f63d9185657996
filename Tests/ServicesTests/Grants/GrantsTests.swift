import Commerce
import GRDB
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Grants to lists", .serialized)
struct GrantsTests {
    @Test("each user of a list gets the outcome that is true of them, in the order of the list")
    func outcomes() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(5)
            let coupon = try await shop.makeCampaign(quantity: 3)
            #expect(try await shop.claim(coupon, by: users[4]) == .won(1))
            let grant = try await shop.grant(coupon, to: [users[3], UserID(99), users[4], users[0], users[1]])
            #expect(try await shop.finish(grant).counts == GrantCounts(granted: 2, alreadyHeld: 1, soldOut: 1, unknownUser: 1))
            #expect(try await shop.issued(coupon) == [1: users[4], 2: users[3], 3: users[0]])
            let outcomes = try await shop.store.chunk(0, of: grant.id)?.outcomes
            #expect(outcomes == [.granted, .unknownUser, .alreadyHeld, .granted, .soldOut])
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("3,000 users beside 2,000 people who claim: each unit goes to one person, and all are accounted for")
    func besideClaims() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(5_000)
            let coupon = try await shop.makeCampaign(quantity: 4_000)
            let grant = try await shop.grant(coupon, to: Array(users[..<3_000]))
            async let answers = shop.claimTogether(coupon, by: Array(users[2_000...]))
            let done = try await shop.finish(grant)
            let won = try await answers.values.count { if case .won = $0 { true } else { false } }
            // A claim that comes first is issued after the grant began.
            #expect(done.counts.granted + done.counts.soldOut == 3_000 && done.counts.processed == 3_000)
            #expect(try await shop.issued(coupon).count == 4_000)
            #expect(won <= 3_000 && won >= 1_000)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("coupons are granted before the campaign opens, and whoever got one is told so and never *not open*")
    func beforeTheWindow() async throws {
        try await withShop(Shop.Setup(configure: { $0.cacheLease = .seconds(600) })) { shop in
            let users = try await shop.makeUsers(2)
            let coupon = try await shop.makeCampaign(quantity: 5, opensIn: 600_000)
            let opensAt = try #require(try shop.services.reader.campaign(coupon)).terms.opensAt
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            // Asked until the refusal is answered from memory.
            for _ in 0..<5 { #expect(try await shop.claim(coupon, by: users[0], on: loop) == .refused(.couponNotOpen(opensAt: opensAt))) }
            #expect(try await shop.finish(try await shop.grant(coupon, to: [users[0]])).counts == GrantCounts(granted: 1))
            #expect(try await shop.claim(coupon, by: users[0], on: loop) == .already(1))
            #expect(try await shop.claim(coupon, by: users[1], on: loop) == .refused(.couponNotOpen(opensAt: opensAt)))
        }
    }

    @Test("a chunk that was decided and not recorded is decided again, and comes to the same outcomes")
    func again() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(6)
            let coupon = try await shop.makeCampaign(quantity: 4)
            _ = try await shop.claim(coupon, by: users[0])
            let grant = try await shop.grant(coupon, to: users)
            let first = try await shop.services.grants.decide(users, of: grant)
            #expect(first == [.alreadyHeld, .granted, .granted, .granted, .soldOut, .soldOut])
            // A win whose row was lost with the process: only the gate knows it.
            try await shop.foreignConnection().write { db in
                try db.execute(sql: "DELETE FROM issued_coupons WHERE user_id = ?", arguments: [users[3].rawValue])
                try db.execute(sql: "UPDATE campaigns SET issued = issued - 1")
            }
            #expect(try await shop.services.grants.decide(users, of: grant) == first)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a gate that was lost, or has lost claims, is built from the store, and nobody gets two coupons")
    func lostGate() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(300)
            let coupon = try await shop.makeCampaign(quantity: 200)
            for user in users[..<5] { _ = try await shop.claim(coupon, by: user) }
            _ = try await shop.redis.send(RedisCommand("FLUSHALL"))
            #expect(
                try await shop.finish(try await shop.grant(coupon, to: Array(users[..<100]))).counts
                    == GrantCounts(granted: 95, alreadyHeld: 5))
            // Two members and their units are gone, as after a failover.
            _ = try await shop.redis.send(
                RedisCommand("ZREM", .string(RedisKeys.claims(of: coupon)), .integer(users[0].rawValue), .integer(users[1].rawValue)))
            _ = try await shop.redis.send(RedisCommand("HINCRBY", .string(RedisKeys.coupon(coupon)), "remaining", "2"))
            _ = try await shop.redis.send(RedisCommand("HSET", .string(RedisKeys.coupon(coupon)), "sequence", "98"))
            #expect(
                try await shop.finish(try await shop.grant(coupon, to: users)).counts
                    == GrantCounts(granted: 100, alreadyHeld: 100, soldOut: 100))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a campaign that has ended is closed for the rest of the list, also where it is archived")
    func ended() async throws {
        try await withShop(Shop.Setup(configure: { $0.archiveAfter = .zero })) { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 5)
            let grant = try await shop.grant(coupon, to: users)
            #expect(try await shop.services.grants.decide([users[0]], of: grant) == [.granted])
            let past = WallClock.system.now.advanced(byMilliseconds: -30_000)
            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: past)).value
            #expect(try await shop.services.grants.decide([users[0], users[1]], of: grant) == [.granted, .closed])
            try await eventually("the campaign is archived") {
                try await shop.recovery.run(deep: true)
                return try shop.services.reader.campaign(coupon)?.isArchived == true
            }
            #expect(try await shop.finish(grant).counts == GrantCounts(granted: 1, closed: 2))
            guard
                case .refused(.couponClosed) = try await shop.services.grants.start(
                    coupon, by: "kim", in: .at(shop.clock.now), parse: { users })
            else { return #expect(Bool(false), "an archived campaign takes no list") }
        }
    }

    @Test("a list whose request was never answered is removed, and a list that cannot be read leaves nothing")
    func leftBehind() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 5)
            let left = try await shop.store.beginGrant(of: coupon, by: "kim", at: shop.clock.now).value
            try await shop.store.addChunks([GrantChunk(position: 0, users: [UserID(1)])], to: left.id, at: shop.clock.now)
            #expect(try await shop.services.grants.step() == nil)
            #expect(try await shop.store.chunk(0, of: left.id) == nil)
            struct Malformed: Error {}
            await #expect(throws: Malformed.self) {
                _ = try await shop.services.grants.start(coupon, by: "kim", in: .at(shop.clock.now)) { throw Malformed() }
            }
            #expect(try await shop.store.unstartedGrants(untouchedSince: Instant(milliseconds: .max)) == [])
        }
    }
}

extension GrantCounts {
    init(granted: Int64 = 0, alreadyHeld: Int64 = 0, soldOut: Int64 = 0, closed: Int64 = 0, unknownUser: Int64 = 0) {
        self.init()
        (self.granted, self.alreadyHeld, self.soldOut, self.closed, self.unknownUser) = (granted, alreadyHeld, soldOut, closed, unknownUser)
    }
}

extension Shop {
    func grant(_ coupon: CouponID, to users: [UserID]) async throws -> Grant {
        try await services.grants.start(coupon, by: "kim", in: .at(clock.now)) { users }.value
    }

    /// Runs the work until the grant is done.
    func finish(_ grant: Grant) async throws -> Grant {
        var present = grant
        try await eventually("the grant is done") {
            _ = try await services.grants.step()
            present = try #require(try await store.grant(grant.id, of: grant.couponID))
            return present.state == .done
        }
        return present
    }
}
