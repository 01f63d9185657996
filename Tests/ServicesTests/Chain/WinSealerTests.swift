import Commerce
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Wins are sealed", .serialized)
struct WinSealerTests {
    private func head(_ shop: Shop, _ coupon: CouponID) throws -> ChainHead { try #require(try shop.reader.campaign(coupon)).chain }

    /// The head that a whole computation over the rows gives.
    private func expectedHead(_ shop: Shop, _ coupon: CouponID) async throws -> ChainHead {
        try await shop.store.snapshot { snapshot throws(StoreError) -> ChainHead in
            guard let chained = try snapshot.chain(of: coupon) else { return .none }
            var growth = ChainGrowth(of: coupon, from: .none, chained.chain)
            for win in try snapshot.wins(of: coupon, afterSequence: 0, limit: 100_000) { growth.add(win) }
            return growth.head
        }
    }

    private func sealer(_ shop: Shop, _ feed: WinFeed) -> WinSealer { WinSealer(store: shop.store, redis: shop.redis, feed: feed) }

    @Test("while the service runs, every win is sealed soon, whatever the order of the commits")
    func running() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(120)
            let coupons = [try await shop.makeCampaign(quantity: 100), try await shop.makeCampaign(quantity: 30)]
            try await shop.start()
            try await withThrowingTaskGroup { group in
                for user in users { for coupon in coupons { group.addTask { _ = try await shop.claim(coupon, by: user) } } }
                try await group.waitForAll()
            }
            for (coupon, quantity) in zip(coupons, [100, 30] as [Int64]) {
                try await eventually("all wins are sealed") { try head(shop, coupon).count == quantity }
                #expect(try head(shop, coupon) == (try await expectedHead(shop, coupon)))
            }
        }
    }

    @Test("wins that come out of order wait for those before them, in memory and after a restart")
    func outOfOrder() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 10)
            let feed = WinFeed(keepsWins: true)
            let sealer = sealer(shop, feed)
            func win(_ sequence: Int64) async throws {
                // The gate knows the claims of all sequences up to 4, so that none of them is passed over.
                let claim = Claim(
                    couponID: coupon, userID: users[Int(sequence) - 1], sequence: sequence,
                    epoch: try #require(try shop.reader.campaign(coupon)).epoch, issuedAt: shop.clock.now)
                guard case .done(.issued(let issued)) = try await shop.store.recordClaim(claim) else { throw NotDone() }
                feed.add([ChainedWin(issued)], of: coupon)
            }
            for user in users { try await shop.grantOnly(coupon, to: user) }
            try await win(1)
            #expect(try await sealer.step() == nil)
            #expect(try head(shop, coupon).sequence == 1)
            try await win(3)
            #expect(try await sealer.step() != nil)
            #expect(try head(shop, coupon).sequence == 1)
            try await win(2)
            #expect(try await sealer.step() == nil)
            #expect(try head(shop, coupon).sequence == 3)
            try await win(4)
            sealer.startOver()
            _ = try await sealer.step()
            #expect(try head(shop, coupon) == (try await expectedHead(shop, coupon)))
            #expect(try head(shop, coupon).sequence == 4)
        }
    }

    private struct NotDone: Error {}

    @Test("a sequence that nobody can get any more is passed over, and one that the gate has granted is not")
    func gaps() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(6)
            let coupon = try await shop.makeCampaign(quantity: 10)
            for user in users[..<3] { _ = try await shop.claim(coupon, by: user) }
            // Sequence 4 is granted, and its row is not there yet; sequence 5 is won.
            try await shop.grantOnly(coupon, to: users[3])
            _ = try await shop.claim(coupon, by: users[4])
            let sealer = sealer(shop, WinFeed(keepsWins: false))
            #expect(try await sealer.step() != nil)
            #expect(try head(shop, coupon).sequence == 3)
            // Redis forgets: the gate that is built anew has no claim with sequence 4, and grants later ones.
            _ = try shop.server.cli("FLUSHALL")
            #expect(try await sealer.step() != nil)
            #expect(try head(shop, coupon).sequence == 3)
            try await shop.recovery.run(deep: true)
            #expect(try await shop.claim(coupon, by: users[5]) == .won(6))
            #expect(try await sealer.step() == nil)
            #expect(try head(shop, coupon).sequence == 6 && head(shop, coupon).count == 5)
            #expect(try head(shop, coupon) == (try await expectedHead(shop, coupon)))
        }
    }

    @Test("the wins of an archived campaign are sealed too, over its gaps")
    func archived() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 10, closesIn: 3_600_000)
            _ = try await shop.claim(coupon, by: users[0])
            try await shop.grantOnly(coupon, to: users[1])
            _ = try await shop.claim(coupon, by: users[2])
            _ = try shop.server.cli("FLUSHALL")
            shop.clock.advance(byMilliseconds: 2 * 86_400_000)
            // The first run finds no gate and writes nothing; the second one archives.
            for _ in 0..<2 { try await shop.recovery.run(deep: false) }
            #expect(try shop.reader.campaign(coupon)?.isArchived == true)
            #expect(try await sealer(shop, WinFeed(keepsWins: true)).step() == nil)
            #expect(try head(shop, coupon).sequence == 3 && head(shop, coupon).count == 2)
        }
    }

    @Test("more wins than the memory takes are read from the store")
    func overflow() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(5)
            let coupon = try await shop.makeCampaign(quantity: 10)
            let feed = WinFeed(keepsWins: true)
            let sealer = sealer(shop, feed)
            _ = try await shop.claim(coupon, by: users[0])
            feed.look(at: coupon)
            _ = try await sealer.step()
            #expect(try head(shop, coupon).sequence == 1)
            for user in users { _ = try await shop.claim(coupon, by: user) }
            let far = (0...WinFeed.limit).map { ChainedWin(sequence: Int64($0 + 100), userID: users[0], issuedAt: shop.clock.now) }
            feed.add(far, of: coupon)
            // Only the first of four new wins comes in after the feed has dropped what it had.
            let wins = try await shop.store.snapshot { snapshot throws(StoreError) in
                try snapshot.wins(of: coupon, afterSequence: 1, limit: 10)
            }
            #expect(wins.map(\.sequence) == [2, 3, 4, 5])
            feed.add(wins.prefix(1), of: coupon)
            #expect(try await sealer.step() == nil)
            #expect(try head(shop, coupon).sequence == 5)
            #expect(try head(shop, coupon) == (try await expectedHead(shop, coupon)))
        }
    }

    @Test("a store of an earlier version has its wins sealed, a hundred thousand of them too")
    func earlierVersion() async throws {
        try await withShop(.hundredThousandCoupons) { shop in
            #expect(try await sealer(shop, WinFeed(keepsWins: true)).step() == nil)
            #expect(try head(shop, CouponID(1)).count == 100_000)
            let results = try await shop.store.audit()
            #expect(results.filter { !$0.holds } == [])
        }
    }
}
