import Commerce
import GRDB
import NIOCore
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("What an event loop knows of campaigns", .serialized)
struct CampaignCacheTests {
    /// Longer than any test takes: whatever is seen before is seen in spite of it.
    private static let endless = Duration.seconds(3_600)

    /// One loop: each loop has a cache of its own.
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func withLease(_ lease: Duration, _ body: (Shop) async throws -> Void) async throws {
        try await withShop(Shop.Setup(configure: { $0.cacheLease = lease }), body)
    }

    /// A campaign that is sold out and whose holders are known, so that claims are answered without the gate.
    private func soldOut(_ shop: Shop, quantity: Int64, _ users: [UserID]) async throws -> CouponID {
        let coupon = try await shop.makeCampaign(quantity: quantity)
        for user in users.prefix(Int(quantity)) { _ = try await shop.claim(coupon, by: user, on: loop) }
        try await untilCached(shop, coupon, users[Int(quantity)], .couponSoldOut)
        return coupon
    }

    private func soldOut(quantity: Int64) -> CouponGate.RefusalTerms {
        CouponGate.RefusalTerms(reason: .soldOut(quantity: quantity), at: Instant(milliseconds: 0), epoch: 1)
    }

    private func untilCached(_ shop: Shop, _ coupon: CouponID, _ loser: UserID, _ refusal: Refusal) async throws {
        try await eventually("claims no longer reach the gate") {
            guard try await shop.claim(coupon, by: loser, on: loop) == .refused(refusal) else { return false }
            let before = try shop.server.scriptCalls()
            return try await shop.claim(coupon, by: loser, on: loop) == .refused(refusal) && shop.server.scriptCalls() == before
        }
    }

    @Test("once sold out, those who have nothing are refused without the gate, and each who has a coupon is shown it")
    func answeredFromCache() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(60)
            let coupon = try await soldOut(shop, quantity: 3, users)
            for user in users.prefix(3) { _ = try await shop.claim(coupon, by: user, on: loop) }
            let before = try shop.server.scriptCalls()
            let late = try await shop.makeUsers(1)[0]
            for (index, user) in users.enumerated() {
                let answer = try await shop.claim(coupon, by: user, on: loop)
                #expect(answer == (index < 3 ? .already(Int64(index + 1)) : .refused(.couponSoldOut)))
            }
            #expect(try await shop.claim(coupon, by: late, on: loop) == .refused(.couponSoldOut))
            #expect(try await shop.claim(coupon, by: UserID(1_000), on: loop) == .refused(.userNotFound))
            #expect(try shop.server.scriptCalls() == before)
        }
    }

    @Test("a claim with an idempotency key is answered from the cache like one without")
    func keyed() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(10)
            let coupon = try await soldOut(shop, quantity: 1, users)
            let before = try shop.server.scriptCalls()
            for index in 0..<200 {
                let user = users[1 + index % 9]
                let write = IdempotentWrite<IssuedCoupon>(
                    key: IdempotencyKey(scope: "user:\(user)", key: "key \(index)", fingerprint: [])
                ) { _ in StoredResponse(status: 201, body: []) }
                #expect(try await shop.claim(coupon, by: user, on: loop, idempotency: write) == .refused(.couponSoldOut))
            }
            #expect(try shop.server.scriptCalls() == before)
        }
    }

    @Test("a user who won and has no row yet is not told that nothing is left: the coupon is theirs")
    func lostAnswer() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 2)
            for user in users.prefix(2) { try await shop.grantOnly(coupon, to: user) }
            try await untilCached(shop, coupon, users[2], .couponSoldOut)
            #expect(try await shop.claim(coupon, by: users[1], on: loop) == .won(2))
            #expect(try await shop.claim(coupon, by: users[0], on: loop) == .won(1))
            #expect(try await shop.claim(coupon, by: users[3], on: loop) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("more coupons, another window and a rebuild of the gate reach the next claim at once")
    func reopened() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(6)
            let coupon = try await soldOut(shop, quantity: 1, users)
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 2)).value
            #expect(try await shop.claim(coupon, by: users[1], on: loop) == .won(2))
            try await untilCached(shop, coupon, users[2], .couponSoldOut)
            // The gate loses a place that the store never had: its unit is free again.
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 3)).value
            try await shop.grantOnly(coupon, to: users[3])
            try await untilCached(shop, coupon, users[2], .couponSoldOut)
            let epoch = try #require(try shop.reader.campaign(coupon)).epoch
            try await shop.campaigns.build(coupon, beyond: epoch, waits: true)
            #expect(try await shop.claim(coupon, by: users[4], on: loop) == .won(3))
            try await untilCached(shop, coupon, users[2], .couponSoldOut)
            let past = try #require(shop.clock.now.advanced(byMilliseconds: -1_000))
            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: past)).value
            #expect(try await shop.claim(coupon, by: users[2], on: loop) == .refused(.couponClosed))
            try await untilCached(shop, coupon, users[2], .couponClosed)
            #expect(try await shop.claim(coupon, by: users[0], on: loop) == .already(1), "a holder is never told that it is closed")
        }
    }

    @Test("a campaign that is not open yet refuses from the cache, and its opening is not missed")
    func opening() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(3)
            let far = try await shop.makeCampaign(quantity: 1, opensIn: 600_000)
            let opensAt = try #require(try shop.reader.campaign(far)).terms.opensAt
            try await untilCached(shop, far, users[0], .couponNotOpen(opensAt: opensAt))
            let soon = try await shop.makeCampaign(quantity: 1, opensIn: 1_500)
            try await eventually("it opens") { try await shop.claim(soon, by: users[0], on: loop) == .won(1) }
            let issued = try #require(try shop.reader.issuedCoupon(of: soon, userID: users[0]))
            let terms = try #require(try shop.reader.campaign(soon)).terms
            #expect(issued.issuedAt >= terms.opensAt)
        }
    }

    @Test("an answer that was under way while the campaign changed says nothing about the new one")
    func overtaken() async throws {
        try await withLease(Self.endless) { shop in
            let coupon = try await shop.makeCampaign(quantity: 1)
            let users = try await shop.makeUsers(2)
            let context = shop.services.context(for: loop)
            let stamp = try await loop.submit { context.campaigns.stamp(of: coupon, at: .now()) }.get()
            _ = try await shop.store.updateCampaign(coupon, CampaignChange(quantity: 2)).value
            try await loop.submit {
                let campaign = try #require(try context.campaigns.known(coupon, at: .now()))
                #expect(campaign.note(soldOut(quantity: 1), stamp) == nil)
                let now = context.campaigns.stamp(of: coupon, at: .now())
                let reading = try #require(campaign.note(soldOut(quantity: 2), now))
                context.campaigns.keep(HolderSet(users), of: campaign, for: reading)
                #expect(campaign.refusal(of: UserID(9), at: .now()) == .soldOut(quantity: 2), "the same note with a stamp of its own")
            }.get()
        }
    }

    @Test("holders that are read while the campaign changes are not kept, and neither is a number of them that cannot be")
    func lateHolders() async throws {
        try await withLease(Self.endless) { shop in
            let coupon = try await shop.makeCampaign(quantity: 1)
            let users = try await shop.makeUsers(2)
            let context = shop.services.context(for: loop)
            let reading = try await loop.submit {
                let campaign = try #require(try context.campaigns.known(coupon, at: .now()))
                let stamp = context.campaigns.stamp(of: coupon, at: .now())
                let reading = try #require(campaign.note(soldOut(quantity: 1), stamp))
                context.campaigns.keep(HolderSet(users), of: campaign, for: reading)
                #expect(campaign.refusal(of: UserID(9), at: .now()) == nil, "two holders of one coupon")
                return try #require(campaign.note(soldOut(quantity: 1), stamp))
            }.get()
            _ = try await shop.store.updateCampaign(coupon, CampaignChange(quantity: 2)).value
            try await loop.submit {
                let campaign = try #require(try context.campaigns.known(coupon, at: .now()))
                context.campaigns.keep(HolderSet([users[0]]), of: campaign, for: reading)
                #expect(campaign.refusal(of: UserID(9), at: .now()) == nil)
            }.get()
        }
    }

    @Test("in the second half of the lease one caller asks the gate while the others are refused, and after it everybody asks")
    func renewal() async throws {
        try await withLease(.milliseconds(100)) { shop in
            let coupon = try await shop.makeCampaign(quantity: 1)
            let user = try await shop.makeUsers(1)[0]
            let context = shop.services.context(for: loop)
            try await loop.submit {
                let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
                func campaign(after milliseconds: Int64) throws -> CachedCampaign {
                    try #require(try context.campaigns.known(coupon, at: start + .milliseconds(milliseconds)))
                }
                func isRefused(after milliseconds: Int64) throws -> Bool {
                    try campaign(after: milliseconds).refusal(of: UserID(9), at: start + .milliseconds(milliseconds)) != nil
                }
                func note(askedAfter milliseconds: Int64) throws -> CachedCampaign.HolderReading? {
                    let stamp = context.campaigns.stamp(of: coupon, at: start + .milliseconds(milliseconds))
                    return try campaign(after: milliseconds).note(soldOut(quantity: 1), stamp)
                }
                #expect(try !isRefused(after: 0))
                let reading = try #require(try note(askedAfter: 0))
                context.campaigns.keep(HolderSet([user]), of: try campaign(after: 0), for: reading)
                #expect(try isRefused(after: 0))
                #expect(try isRefused(after: 49))
                #expect(try !isRefused(after: 50), "the one who renews it")
                #expect(try isRefused(after: 51))
                #expect(try isRefused(after: 99))
                #expect(try !isRefused(after: 100))
                #expect(try note(askedAfter: 60) == nil)
                #expect(try isRefused(after: 109))
                // An answer that was asked for earlier and comes later shortens nothing.
                #expect(try note(askedAfter: 5) == nil)
                #expect(try isRefused(after: 109))
                // After a gap somebody may have won: the holders are read anew.
                #expect(try note(askedAfter: 300) != nil)
                #expect(try !isRefused(after: 301))
            }.get()
        }
    }

    @Test("what another process does to gate or store is seen when the lease ends, and a dead Redis is noticed")
    func otherProcess() async throws {
        try await withLease(.milliseconds(100)) { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await soldOut(shop, quantity: 1, users)
            let foreign = try shop.foreignConnection()
            try await foreign.write { try $0.execute(sql: "UPDATE campaigns SET quantity = 2") }
            try foreign.close()
            let terms = try #require(try shop.reader.campaign(coupon)).terms
            _ = try await CouponGate.adjust(coupon, of: shop.store.identity, to: terms, through: shop.redis)
            try await eventually("somebody wins") { try await shop.claim(coupon, by: users[1], on: loop) == .won(2) }
            try await untilCached(shop, coupon, users[2], .couponSoldOut)
            shop.server.kill()
            try await eventually("nobody is refused in the name of a gate that is gone") {
                if case .later = try await shop.claim(coupon, by: users[2], on: loop) { true } else { false }
            }
            try shop.server.start()
        }
    }

    @Test("a reconnect ends what was seen of the Redis before it")
    func reconnect() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await soldOut(shop, quantity: 1, users)
            try await shop.restartRedis()
            #expect(try await shop.claimPatiently(coupon, by: users[1]) == .refused(.couponSoldOut))
            #expect(try await shop.gate(of: coupon) != nil, "the claim asked the gate, which had to be built")
        }
    }

    @Test("a flood of campaigns that do not exist asks Redis nothing and pushes nothing out")
    func flood() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await soldOut(shop, quantity: 1, users)
            let before = try shop.server.scriptCalls()
            for id in 2...Int64(5_000) {
                #expect(try await shop.claim(CouponID(id), by: users[1], on: loop) == .refused(.couponNotFound))
            }
            #expect(try await shop.claim(coupon, by: users[1], on: loop) == .refused(.couponSoldOut))
            #expect(try shop.server.scriptCalls() == before)
        }
    }

    @Test("where the holders of all campaigns take too much memory, the campaign that was asked about longest ago loses its own")
    func evicted() async throws {
        try await withLease(Self.endless) { shop in
            let context = shop.services.context(for: loop)
            var coupons: [CouponID] = []
            for _ in 0..<3 { coupons.append(try await shop.makeCampaign(quantity: 2)) }
            try await loop.submit { [coupons] in
                // Two ids far apart are a list of 16 bytes.
                let holders = HolderSet([UserID(1), UserID(1 << 40)])
                #expect(holders.bytes == 16)
                let cache = CampaignCache(
                    eventLoop: context.eventLoop, delivery: LoopDelivery(to: context.eventLoop), store: shop.store, reader: context.reader,
                    redis: context.redis,
                    lease: CacheLease(length: .hours(1)), maximumHolderBytes: 32)
                let now = NIODeadline.now()
                for (index, coupon) in coupons.enumerated() {
                    let campaign = try #require(try cache.known(coupon, at: now))
                    let asked = cache.stamp(of: coupon, at: now + .milliseconds(Int64(index)))
                    let reading = try #require(campaign.note(soldOut(quantity: 2), asked))
                    cache.keep(holders, of: campaign, for: reading)
                }
                let refused = try coupons.map { try #require(try cache.known($0, at: now)).refusal(of: UserID(9), at: now) != nil }
                #expect(refused == [false, true, true])
            }.get()
        }
    }

    @Test("holders are asked for once as many were turned away as a fiftieth of them, and not twice at once")
    func worth() async throws {
        try await withLease(Self.endless) { shop in
            let coupon = try await shop.makeCampaign(quantity: 1_000)
            let huge = try await shop.makeCampaign(quantity: CachedCampaign.maximumHolders + 1)
            let context = shop.services.context(for: loop)
            try await loop.submit { () throws in
                func askedAt(_ coupon: CouponID) throws -> [Int] {
                    let campaign = try #require(try context.campaigns.known(coupon, at: .now()))
                    return (1...100).filter { _ in
                        campaign.note(
                            soldOut(quantity: campaign.terms.quantity), context.campaigns.stamp(of: coupon, at: .now())) != nil
                    }
                }
                #expect(try askedAt(coupon) == [20])
                #expect(try askedAt(huge).isEmpty)
            }.get()
        }
    }

    @Test("a coupon that was held or given back is shown as it is now")
    func usedMeanwhile() async throws {
        try await withLease(Self.endless) { shop in
            let user = try await shop.makeUsers(2, balance: 100_000)[0]
            let product = try await shop.makeProduct(price: 10_000)
            let coupon = try await shop.makeCampaign(quantity: 5)
            #expect(try await shop.claim(coupon, by: user, on: loop) == .won(1))
            _ = try await shop.claim(coupon, by: user, on: loop)
            #expect(try await shop.state(of: coupon, for: user, on: loop) == .issued)
            let issued = try #require(try shop.reader.issuedCoupon(of: coupon, userID: user))
            let order = try await shop.store.placeOrder(
                userID: user, items: [RequestedItem(productID: product, quantity: 1)], issuedCouponID: issued.id, in: .at(shop.clock.now)
            ).value
            #expect(try await shop.state(of: coupon, for: user, on: loop) == .held)
            _ = try await shop.store.cancelOrder(order.id, by: user, in: .at(shop.clock.now)).value
            #expect(try await shop.state(of: coupon, for: user, on: loop) == .issued)
        }
    }
}

extension Shop {
    /// What a claim is told of the coupon that the user has already.
    fileprivate func state(of coupon: CouponID, for user: UserID, on loop: any EventLoop) async throws -> IssuedCoupon.State {
        let outcome = await outcome(of: coupon, by: user, on: loop)
        guard case .alreadyClaimed(let known) = outcome else { throw NotDone(result: "\(outcome)") }
        return known.issued.state
    }
}

@Suite("The parts of the caches")
struct CachePartsTests {
    @Test("a set of holders contains exactly its users, in the smaller of its two forms", arguments: [1, 40, 100_000])
    func holders(spread: Int64) {
        var random = SeededGenerator(seed: 7)
        let ids = Set((0..<2_000).map { _ in Int64.random(in: 0..<10_000, using: &random) * spread })
        let set = HolderSet(ids.map { UserID($0) })
        #expect(set.count == ids.count)
        for id in (0..<10_000).map({ $0 * spread }) { #expect(set.contains(UserID(id)) == ids.contains(id)) }
        for id in [-1, 10_000 * spread, .max, .min] { #expect(!set.contains(UserID(id))) }
        #expect(set.bytes <= 8 * ids.count && set.bytes <= Int(10_000 * spread / 8) + 8)
    }

    @Test("a set of holders takes ids of any size")
    func extremes() {
        let ids: [Int64] = [.min, -1, 0, 1, .max]
        let set = HolderSet(ids.map { UserID($0) })
        #expect(ids.allSatisfy { set.contains(UserID($0)) })
        #expect(!set.contains(UserID(2)) && HolderSet([]).count == 0 && !HolderSet([]).contains(UserID(0)))
    }

    @Test("a slot keeps the value that came last, and gives it to its own key alone")
    func slots() {
        var cache = SlotCache<Int64, String>(capacity: 4)
        cache[key: 1, hash: 1] = "one"
        cache[key: 5, hash: 5] = "five"
        cache[key: 2, hash: 2] = "two"
        #expect(cache[key: 1, hash: 1] == nil && cache[key: 5, hash: 5] == "five" && cache[key: 2, hash: 2] == "two")
        cache[key: 5, hash: 5] = nil
        #expect(cache[key: 5, hash: 5] == nil && cache.all == ["two"])
        #expect(cache[key: -3, hash: -3] == nil)
    }
}

extension CampaignCache {
    /// The campaign of a store in this process, which answers at once.
    fileprivate func known(_ coupon: CouponID, at now: NIODeadline) throws -> CachedCampaign? {
        guard case .now(let campaign) = try campaign(coupon, at: now) else { return nil }
        return campaign
    }
}
