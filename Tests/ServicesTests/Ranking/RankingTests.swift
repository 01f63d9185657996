import Commerce
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Top products", .serialized)
struct RankingTests {
    @Test("the top five are the units of three days, best first, with the products as they are now")
    func refresh() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            var products: [ProductID] = []
            for _ in 0..<7 { products.append(try await shop.makeProduct(price: 1)) }
            for (index, product) in products.enumerated() {
                // Product 7 sold most, but on a day that counts no more.
                let day = shop.day(ago: index == 6 ? 3 : Int64(index % 3))
                _ = try await shop.sell([(product, Int64(index) + 1)], to: user, on: day)
            }
            let ranking = shop.services.ranking
            #expect(ranking.top.items.isEmpty)
            try await shop.makeRelay().step()
            try await ranking.refresh()
            #expect(ranking.top.items.map(\.product.id) == [products[5], products[4], products[3], products[2], products[1]])
            #expect(ranking.top.items.map(\.rank) == [1, 2, 3, 4, 5])
            #expect(ranking.top.items.map(\.unitsSold) == [6, 5, 4, 3, 2])
            #expect(ranking.top.items.first?.product.stock == Int64(999_994))
            #expect(ranking.top.windowTo == shop.day(ago: 0) && ranking.top.windowFrom == shop.day(ago: 2))
        }
    }

    @Test("ties in units go to the product that was seen more, then to the newer one")
    func ties() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            var products: [ProductID] = []
            for _ in 0..<12 { products.append(try await shop.makeProduct(price: 1)) }
            for product in products { _ = try await shop.sell([(product, 2)], to: user, on: shop.day(ago: 1)) }
            for _ in 0..<3 { shop.services.views.count(products[1]) }
            shop.services.views.count(products[8])
            try await shop.services.views.flush()
            try await shop.makeRelay().step()
            try await shop.services.ranking.refresh()
            // Ids 9 and 10 to 12: as text "9" would come after "12".
            #expect(shop.services.ranking.top.items.map(\.product.id.rawValue) == [2, 9, 12, 11, 10])
        }
    }

    @Test("details are renewed without Redis, and the time of the list stays that of its union")
    func details() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let product = try await shop.makeProduct(price: 1)
            _ = try await shop.sell([(product, 3)], to: user, on: shop.day(ago: 0))
            try await shop.makeRelay().step()
            let ranking = shop.services.ranking
            try await ranking.refresh()
            let before = ranking.top
            shop.server.kill()
            try await eventually("Redis is away") { shop.redis.isAway }
            _ = try await shop.store.updateProduct(product, ProductChange(name: "Green tea", price: Won(7))).value
            await #expect(throws: (any Error).self) { try await ranking.refresh() }
            #expect(ranking.top == before)
            try await ranking.refreshDetails()
            #expect(ranking.top.items.map(\.product.name) == ["Green tea"])
            #expect(ranking.top.items.map(\.unitsSold) == [3])
            #expect(ranking.top.asOf == before.asOf)
            #expect(ranking.top.version > before.version)
        }
    }

    @Test("details that were read before a union never replace what the union brought")
    func detailsBesideUnions() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let product = try await shop.makeProduct(price: 1)
            let ranking = shop.services.ranking
            let detailing = Task { while !Task.isCancelled { try await ranking.refreshDetails(); await Task.yield() } }
            let relay = try shop.makeRelay()
            for units in 1...Int64(60) {
                _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0))
                try await relay.step()
                try await ranking.refresh()
                // Details that were on their way during the union have come in by now.
                for _ in 0..<50 { await Task.yield() }
                #expect(ranking.top.items.map(\.unitsSold) == [units])
            }
            detailing.cancel()
            _ = await detailing.result
            #expect(ranking.top.items.map(\.unitsSold) == [60])
        }
    }

    /// A ranking of another service on the same Redis.
    private func makeRanking(_ shop: Shop) -> Ranking {
        Ranking(reader: shop.reader, redis: shop.redis, calendar: shop.calendar, clock: shop.services.configuration.clock)
    }

    @Test("three services that refresh within the refresh time make one union, and each says of when it is")
    func shared() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let product = try await shop.makeProduct(price: 1)
            let relay = try shop.makeRelay()
            _ = try await shop.sell([(product, 3)], to: user, on: shop.day(ago: 0))
            try await relay.step()
            let rankings = (0..<3).map { _ in makeRanking(shop) }
            try await rankings[0].refresh(sharing: .seconds(3_600))
            let union = rankings[0].top
            for ranking in rankings[1...] {
                _ = try await shop.sell([(product, 1)], to: user, on: shop.day(ago: 0))
                try await relay.step()
                try await ranking.refresh(sharing: .seconds(3_600))
                #expect(ranking.top.items.map(\.unitsSold) == [3])
                #expect(ranking.top.asOf == union.asOf, "the sales since are not in it")
            }
            #expect(try shop.server.unions() == 1)
            // Who does not share sees them, and those who share see that union from then on.
            try await rankings[2].refresh()
            #expect(rankings[2].top.items.map(\.unitsSold) == [5])
            #expect(rankings[2].top.asOf > union.asOf)
            try await rankings[0].refresh(sharing: .seconds(3_600))
            #expect(rankings[0].top.items.map(\.unitsSold) == [5])
            #expect(rankings[0].top.asOf >= rankings[2].top.asOf)
            #expect(try shop.server.unions() == 2)
        }
    }

    @Test("refreshes while nothing is sold leave the append-only file as it is; a sale, a view and a new day each lead to one union")
    func appendOnlyFile() async throws {
        try await withShop(Shop.Setup(redisArguments: ["--appendonly", "yes", "--appendfsync", "no"])) { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let products = [try await shop.makeProduct(price: 1), try await shop.makeProduct(price: 1)]
            let relay = try shop.makeRelay()
            let rankings = [shop.services.ranking, makeRanking(shop), makeRanking(shop)]
            let noon = shop.calendar.start(of: shop.day(ago: 0)).milliseconds + 43_200_000
            shop.clock.stop(at: Instant(milliseconds: noon))
            /// Refreshes many times and expects that only the first of them writes, if any. Redis writes the file before each answer; with
            /// an fsync each second it would put that off while the disk is slow.
            func refresh(unions: Int, expecting ids: [ProductID]) async throws {
                let before = try shop.server.unions()
                try await rankings[0].refresh()
                #expect(try shop.server.unions() == before + unions)
                let (size, asOf) = (try shop.server.fileSize(), rankings[0].top.asOf)
                for _ in 1...20 {
                    for ranking in rankings {
                        try await ranking.refresh(sharing: .milliseconds(5))
                        #expect(ranking.top.items.map(\.product.id) == ids)
                        #expect(ranking.top.asOf >= asOf, "nothing has come in, so the list is that of now")
                    }
                }
                #expect(try shop.server.unions() == before + unions)
                #expect(try shop.server.fileSize() == size)
            }
            try await refresh(unions: 1, expecting: [])
            for product in products { _ = try await shop.sell([(product, 2)], to: user, on: shop.day(ago: 0)) }
            try await relay.step()
            try await refresh(unions: 1, expecting: [products[1], products[0]])
            shop.services.views.count(products[0])
            try await shop.services.views.flush()
            try await refresh(unions: 1, expecting: products)
            _ = try await shop.sell([(products[1], 1)], to: user, on: shop.day(ago: 2))
            try await relay.step()
            try await refresh(unions: 1, expecting: [products[1], products[0]])
            // The sale of two days ago counts no more.
            shop.clock.advance(byMilliseconds: 86_400_000)
            try await refresh(unions: 1, expecting: products)
            try await shop.rebuild.run()
            try await refresh(unions: 1, expecting: products)
            _ = try shop.server.cli("DEL", RedisKeys.top)
            try await refresh(unions: 1, expecting: products)
            #expect(try shop.server.cli("ZREVRANGE", RedisKeys.top, "0", "-1") == "\(products[1])\n\(products[0])")
        }
    }

    @Test("the running services count sales, views and the ranking by themselves, also after Redis was away")
    func background() async throws {
        try await withShop(Shop.Setup(configure: { $0.recoveryInterval = .milliseconds(300) })) { shop in
            let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
            let products = [try await shop.makeProduct(price: 1), try await shop.makeProduct(price: 1)]
            try await shop.start()
            _ = try await shop.sell([(products[0], 2)], to: user, on: shop.day(ago: 0))
            try await eventually("the sale is ranked") { shop.services.ranking.top.items.map(\.unitsSold) == [2] }
            let asOf = shop.services.ranking.top.asOf
            shop.server.kill()
            try await eventually("Redis is away") { shop.redis.isAway }
            _ = try await shop.sell([(products[1], 5)], to: user, on: shop.day(ago: 0))
            #expect(shop.services.ranking.top.items.map(\.unitsSold) == [2])
            #expect(await !shop.services.readiness().isReady)
            try shop.server.start()
            try await eventually("both are ranked") { shop.services.ranking.top.items.map(\.unitsSold) == [5, 2] }
            #expect(shop.services.ranking.top.asOf > asOf)
            try await eventually("ready again") { await shop.services.readiness().isReady }
        }
    }
}

extension TemporaryRedis {
    /// Unions that the server has made since it started.
    fileprivate func unions() throws -> Int {
        let statistics = RedisInfo(text: try cli("INFO", "commandstats"))["cmdstat_zunionstore"] ?? "calls=0,"
        return Int(statistics.dropFirst("calls=".count).prefix { $0 != "," }) ?? -1
    }

    /// Bytes of the append-only file.
    fileprivate func fileSize() throws -> Int {
        try #require(Int(RedisInfo(text: try cli("INFO", "persistence"))["aof_current_size"] ?? ""))
    }
}
