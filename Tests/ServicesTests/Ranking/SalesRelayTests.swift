import Commerce
import Logging
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Sales in the ranking", .serialized)
struct SalesRelayTests {
    /// A shop with a rich user and some products.
    private func withMarket(
        _ setup: Shop.Setup = Shop.Setup(), products: Int = 3, _ body: (Shop, UserID, [ProductID]) async throws -> Void
    ) async throws {
        try await withShop(setup) { shop in
            let user = try await shop.makeUsers(1)[0]
            for _ in 0..<10 {
                _ = try await shop.store.charge(userID: user, amount: Won(1_000_000), in: .at(Instant(milliseconds: 0))).value
            }
            var ids: [ProductID] = []
            for _ in 0..<products { ids.append(try await shop.makeProduct(price: 1)) }
            try await body(shop, user, ids)
        }
    }

    @Test("an event counts once, however often and by however many relays it is sent")
    func resent() async throws {
        try await withMarket { shop, user, products in
            var ledger = SalesLedger()
            let relays = [try shop.makeRelay(), try shop.makeRelay(), try shop.makeRelay()]
            for count in 1...Int64(40) {
                _ = try await shop.sell([(products[0], count), (products[1], 1)], to: user, on: shop.day(ago: count % 3))
                ledger.add(products[0], count, on: shop.day(ago: count % 3))
                ledger.add(products[1], 1, on: shop.day(ago: count % 3))
                guard count.isMultiple(of: 10) else { continue }
                try await withThrowingTaskGroup { group in
                    for relay in relays { group.addTask { try await relay.step() } }
                    try await group.waitForAll()
                }
                try await shop.expectScores(ledger)
                #expect(relays.map(\.lag) == [0, 0, 0])
            }
            // A relay that died between the script and its note of it: the next one starts from Redis' own offset.
            try await shop.makeRelay().step()
            try await shop.expectScores(ledger)
        }
    }

    @Test("a Redis that was away until uncounted events were removed has its days rebuilt, and goes on counting")
    func removedEvents() async throws {
        try await withMarket { shop, user, products in
            let relay = try shop.makeRelay()
            try await relay.step()
            for _ in 0..<3 { _ = try await shop.sell([(products[0], 1)], to: user, on: shop.day(ago: 9)) }
            var ledger = SalesLedger()
            _ = try await shop.sell([(products[1], 2)], to: user, on: shop.day(ago: 0))
            ledger.add(products[1], 2, on: shop.day(ago: 0))
            let last = try #require(try await shop.store.events(state: nil, page: PageRequest()).items.first).event.id
            for id in (last.rawValue - 3)...last.rawValue { _ = try await shop.store.markDelivered(EventID(id)) }
            #expect(try await shop.store.pruneEvents(before: shop.clock.now) == 3)
            try await relay.step()
            try await shop.expectScores(ledger)
            _ = try await shop.sell([(products[2], 5)], to: user, on: shop.day(ago: 0))
            ledger.add(products[2], 5, on: shop.day(ago: 0))
            try await relay.step()
            try await shop.expectScores(ledger)
        }
    }

    @Test("a reply lost behind the script does not count the sale twice")
    func lostReply() async throws {
        try await withTemporaryRedis { server in
            let proxy = try await FaultProxy(to: server.socketPath, in: server.directory)
            try await withShop(Shop.Setup(endpoint: .unix(path: proxy.socketPath)), on: server) { shop in
                let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
                let product = try await shop.makeProduct(price: 1)
                let relay = try shop.makeRelay()
                try await relay.step()
                var ledger = SalesLedger()
                for count in 1...Int64(8) {
                    _ = try await shop.sell([(product, count)], to: user, on: shop.day(ago: 0))
                    ledger.add(product, count, on: shop.day(ago: 0))
                    proxy.inject(.cut(afterReplyBytes: 0))
                    await #expect(throws: RedisError.self) { try await relay.step() }
                    try await eventually("connected again") { proxy.isHealthy && shop.redis.isConnected }
                    try await relay.step()
                    try await shop.expectScores(ledger)
                }
            }
            try await proxy.close()
        }
    }

    @Test("the scores of a day that were deleted are back with the next look, and days without sales are left alone")
    func deletedDay() async throws {
        try await withMarket { shop, user, products in
            let relay = try shop.makeRelay()
            var ledger = SalesLedger()
            for (ago, units) in [(Int64(0), Int64(3)), (2, 4)] {
                _ = try await shop.sell([(products[0], units)], to: user, on: shop.day(ago: ago))
                ledger.add(products[0], units, on: shop.day(ago: ago))
            }
            // A day whose sales all came back has no key, and none is missed.
            let whole = try await shop.sell([(products[1], 2)], to: user, on: shop.day(ago: 1))
            _ = try await shop.store.refund(paymentID: whole.id, items: nil, in: .at(shop.clock.now)).value
            try await relay.step()
            try await shop.expectScores(ledger)
            for ago in [Int64(0), 2] {
                _ = try shop.server.cli("DEL", RedisKeys.sales(on: shop.day(ago: ago)))
                relay.forgetOffset()
                try await relay.step()
                try await shop.expectScores(ledger)
            }
            // Deleted while sales come in: the next one would otherwise begin the day anew.
            _ = try await shop.sell([(products[0], 1)], to: user, on: shop.day(ago: 0))
            ledger.add(products[0], 1, on: shop.day(ago: 0))
            _ = try shop.server.cli("DEL", RedisKeys.sales(on: shop.day(ago: 0)))
            try await relay.step()
            try await shop.expectScores(ledger)
            // What was counted on days that are kept no longer is dropped.
            _ = try shop.server.cli("HSET", RedisKeys.products, RedisKeys.sales(on: shop.day(ago: 9)), "3")
            let before = try shop.server.cli("INFO", "commandstats")
            relay.forgetOffset()
            try await relay.step()
            let swaps = { (stats: String) in
                stats.split(separator: "\n").first { $0.hasPrefix("cmdstat_rename:") }?.split(separator: ",").first
            }
            #expect(try swaps(shop.server.cli("INFO", "commandstats")) == swaps(before), "nothing was missing, so nothing is rebuilt")
            #expect(try shop.server.cli("HGET", RedisKeys.products, RedisKeys.sales(on: shop.day(ago: 9))).isEmpty)
        }
    }

    @Test("an offset that is forgotten while a step runs stays forgotten: the next step looks at the scores again")
    func forgottenMeanwhile() async throws {
        try await withTemporaryRedis { server in
            let proxy = try await FaultProxy(to: server.socketPath, in: server.directory)
            try await withShop(Shop.Setup(endpoint: .unix(path: proxy.socketPath)), on: server) { shop in
                let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
                let product = try await shop.makeProduct(price: 1)
                let relay = try shop.makeRelay()
                try await relay.step()
                _ = try await shop.sell([(product, 3)], to: user, on: shop.day(ago: 0))
                proxy.hold()
                let stepping = Task { try await relay.step() }
                try await eventually("the step has asked Redis") { proxy.holdsRequests }
                relay.forgetOffset()
                proxy.release()
                try await stepping.value
                #expect(relay.lag == nil)
                // What was the reason to forget: scores that are gone.
                _ = try server.cli("DEL", RedisKeys.sales(on: shop.day(ago: 0)))
                try await relay.step()
                #expect(try await shop.scores(on: shop.day(ago: 0)) == [product: 3])
                #expect(relay.lag == 0)
            }
            try await proxy.close()
        }
    }

    @Test("a new Redis beside a store with sales is no loss, and one that has lost something is")
    func firstStart() async throws {
        try await withMarket { shop, user, products in
            let lines = LogLines()
            func relay() -> SalesRelay {
                SalesRelay(
                    store: shop.store, reader: shop.reader, redis: shop.redis, rebuild: shop.rebuild, calendar: shop.calendar,
                    clock: shop.services.configuration.clock, logger: lines.logger(level: .info))
            }
            try await relay().step()
            #expect(lines.messages == [], "neither has anything")
            _ = try shop.server.cli("FLUSHALL")
            _ = try await shop.sell([(products[0], 3)], to: user, on: shop.day(ago: 0))
            try await relay().step()
            #expect(lines.messages == ["Redis has no ranking yet, making it from the store"])
            #expect(try await shop.scores(on: shop.day(ago: 0)) == [products[0]: 3])
            let loss = "the ranking has lost scores, rebuilding it"
            for (count, key) in [RedisKeys.applied, RedisKeys.sales(on: shop.day(ago: 0)), RedisKeys.products].enumerated() {
                _ = try shop.server.cli("DEL", key)
                try await relay().step()
                #expect(lines.messages.count { $0 == loss } == count + 1, "without \(key)")
            }
            let running = relay()
            try await running.step()
            _ = try shop.server.cli("FLUSHALL")
            running.forgetOffset()
            try await running.step()
            #expect(lines.messages.count { $0 == loss } == 4, "it was there a moment ago")
        }
    }

    @Test("refunds leave the day of the sale, and a product that is wholly refunded leaves the ranking")
    func refunds() async throws {
        try await withMarket { shop, user, products in
            let relay = try shop.makeRelay()
            let old = try await shop.sell([(products[0], 5), (products[1], 2)], to: user, on: shop.day(ago: 2))
            _ = try await shop.sell([(products[0], 3)], to: user, on: shop.day(ago: 0))
            try await relay.step()
            let item = RequestedItem(productID: products[0], quantity: 4)
            _ = try await shop.store.refund(paymentID: old.id, items: [item], in: .at(shop.clock.now)).value
            try await relay.step()
            #expect(try await shop.scores(on: shop.day(ago: 2)) == [products[0]: 1, products[1]: 2])
            #expect(try await shop.scores(on: shop.day(ago: 0)) == [products[0]: 3])
            _ = try await shop.store.refund(paymentID: old.id, items: nil, in: .at(shop.clock.now)).value
            try await relay.step()
            #expect(try await shop.scores(on: shop.day(ago: 2)) == [:])
            try await shop.services.ranking.refresh()
            #expect(shop.services.ranking.top.items.map(\.product.id) == [products[0]])
            #expect(shop.services.ranking.top.items.map(\.unitsSold) == [3])
        }
    }

    /// Ways in which Redis loses its place; each takes the shop and must leave it repairable by the next step.
    private static let mishaps: [(name: String, happen: @Sendable (Shop) throws -> Void)] = [
        ("offset lost", { shop in _ = try shop.server.cli("DEL", RedisKeys.applied) }),
        ("offset no number", { shop in _ = try shop.server.cli("SET", RedisKeys.applied, "x") }),
        (
            "offset of a foreign type",
            { shop in _ = try shop.server.cli("EVAL", "redis.call('DEL', ARGV[1]) redis.call('LPUSH', ARGV[1], 1)", "0", RedisKeys.applied)
            }
        ),
        ("ahead of the store", { shop in _ = try shop.server.cli("SET", RedisKeys.applied, "1000000") }),
        ("scripts lost", { shop in _ = try shop.server.cli("SCRIPT", "FLUSH") }),
        ("everything lost", { shop in _ = try shop.server.cli("FLUSHALL") }),
        (
            "a day lost with the offset",
            { shop in _ = try shop.server.cli("DEL", RedisKeys.applied, RedisKeys.sales(on: shop.day(ago: 0))) }
        ),
        (
            "a day of a foreign type",
            { shop in
                _ = try shop.server.cli("SET", RedisKeys.sales(on: shop.day(ago: 0)), "x")
            }
        ),
    ]

    @Test("random sales, refunds, restarts and losses end with the day scores of the ledger", arguments: 0..<3)
    func random(run: Int) async throws {
        var random = SeededGenerator()
        try await withMarket(products: 6) { shop, user, products in
            var ledger = SalesLedger()
            var relay = try shop.makeRelay()
            var payments: [(payment: Payment, product: ProductID, left: Int64, day: BusinessDay)] = []
            var hasSnapshot = false
            for step in 0..<120 {
                let day = shop.day(ago: Int64.random(in: 0...3, using: &random))
                switch Int.random(in: 0..<20, using: &random) {
                case 0..<9:
                    let (product, units) = (products.randomElement(using: &random) ?? products[0], Int64.random(in: 1...9, using: &random))
                    payments.append((try await shop.sell([(product, units)], to: user, on: day), product, units, day))
                    ledger.add(product, units, on: day)
                case 9..<12:
                    guard let index = payments.indices.randomElement(using: &random), payments[index].left > 0 else { continue }
                    let units = Int64.random(in: 1...payments[index].left, using: &random)
                    let item = RequestedItem(productID: payments[index].product, quantity: units)
                    _ = try await shop.store.refund(paymentID: payments[index].payment.id, items: [item], in: .at(shop.clock.now)).value
                    payments[index].left -= units
                    ledger.add(payments[index].product, -units, on: payments[index].day)
                case 12..<16: try await relay.step()
                case 16: relay = try shop.makeRelay()
                case 17:
                    let mishap = Self.mishaps[Int.random(in: 0..<Self.mishaps.count, using: &random)]
                    try mishap.happen(shop)
                    relay.forgetOffset()
                case 18 where !hasSnapshot:
                    _ = try shop.server.cli("SAVE")
                    hasSnapshot = true
                case 18:
                    try await shop.restartRedis()
                    relay.forgetOffset()
                    hasSnapshot = false
                default:
                    try await relay.step()
                    // A day of a foreign type stays until something is counted on it; the offset says that nothing is due.
                    try await shop.rebuild.run()
                    try await shop.expectScores(ledger, "\(random), step \(step)")
                }
            }
            _ = try await shop.sell([(products[0], 1)], to: user, on: shop.day(ago: 0))
            ledger.add(products[0], 1, on: shop.day(ago: 0))
            try await relay.step()
            try await shop.expectScores(ledger, "\(random)")
            try await shop.services.ranking.refresh()
            let window = shop.calendar.rankingWindow(endingOn: shop.calendar.day(of: shop.clock.now))
            #expect(shop.services.ranking.top.items.map(\.product.id) == Array(ledger.leaders(over: window).prefix(5)), "\(random)")
        }
    }

    @Test("the next step puts right what was lost", arguments: mishaps.indices)
    func mishap(index: Int) async throws {
        try await withMarket { shop, user, products in
            var ledger = SalesLedger()
            let relay = try shop.makeRelay()
            for ago in 0..<Int64(3) {
                _ = try await shop.sell([(products[0], ago + 1)], to: user, on: shop.day(ago: ago))
                ledger.add(products[0], ago + 1, on: shop.day(ago: ago))
            }
            try await relay.step()
            try Self.mishaps[index].happen(shop)
            _ = try await shop.sell([(products[1], 7)], to: user, on: shop.day(ago: 0))
            ledger.add(products[1], 7, on: shop.day(ago: 0))
            relay.forgetOffset()
            try await relay.step()
            try await relay.step()
            try await shop.expectScores(ledger, "\(Self.mishaps[index].name)")
        }
    }

    @Test("scripts that vanish again and again while sales, views and rebuilds run are sent anew, and nothing counts twice")
    func scriptsVanish() async throws {
        try await withMarket { shop, user, products in
            let isOver = Flag()
            let flushing = Task {
                var times = 0
                while !isOver.isUp {
                    _ = try await shop.redis.send(RedisCommand("SCRIPT", "FLUSH"))
                    times += 1
                    await Task.yield()
                }
                return times
            }
            var ledger = SalesLedger()
            let relay = try shop.makeRelay()
            for round in 1...Int64(20) {
                for count in 1...Int64(10) {
                    let (product, day) = (products[Int(count % 3)], shop.day(ago: count % 3))
                    _ = try await shop.sell([(product, count)], to: user, on: day)
                    ledger.add(product, count, on: day)
                }
                shop.services.views.count(products[0])
                try await relay.step()
                try await shop.services.views.flush()
                try await shop.services.ranking.refresh()
                if round.isMultiple(of: 5) { try await shop.rebuild.run() }
            }
            isOver.raise()
            #expect(try await flushing.value > 20)
            try await relay.step()
            try await shop.expectScores(ledger)
            #expect(try shop.server.cli("ZSCORE", RedisKeys.views(on: shop.day(ago: 0)), "\(products[0])") == "20")
        }
    }

    @Test("Redis restored from an older snapshot goes on from its own offset")
    func olderSnapshot() async throws {
        try await withMarket { shop, user, products in
            var ledger = SalesLedger()
            let relay = try shop.makeRelay()
            for count in 1...Int64(10) {
                _ = try await shop.sell([(products[0], count)], to: user, on: shop.day(ago: 0))
                ledger.add(products[0], count, on: shop.day(ago: 0))
                try await relay.step()
                if count == 4 { _ = try shop.server.cli("SAVE") }
            }
            try await shop.restartRedis()
            #expect(try await shop.offset() == 4)
            // This relay believes that ten are counted, and no reconnect told it otherwise.
            _ = try await shop.sell([(products[0], 11)], to: user, on: shop.day(ago: 0))
            ledger.add(products[0], 11, on: shop.day(ago: 0))
            try await relay.step()
            try await shop.expectScores(ledger)
        }
    }

    @Test("a rebuild beside a running relay loses no sale and counts none twice")
    func rebuildBesideRelay() async throws {
        try await withMarket { shop, user, products in
            let relay = try shop.makeRelay()
            let isSold = Flag()
            let relaying = Task { while !isSold.isUp { try await relay.step() } }
            let rebuilding = Task { while !isSold.isUp { try await shop.rebuild.run() } }
            var ledger = SalesLedger()
            for count in 1...Int64(100) {
                let (product, day) = (products[Int(count % 3)], shop.day(ago: count % 4))
                _ = try await shop.sell([(product, count)], to: user, on: day)
                ledger.add(product, count, on: day)
            }
            isSold.raise()
            try await relaying.value
            try await rebuilding.value
            relay.forgetOffset()
            try await relay.step()
            try await shop.expectScores(ledger)
            #expect(try shop.server.cli("KEYS", "*staged*").isEmpty)
        }
    }

    @Test("a day's scores outlive the last millisecond on which they count, and go some days later")
    func expiry() async throws {
        try await withMarket { shop, user, products in
            let today = shop.day(ago: 0)
            for ago in 0..<Int64(3) { _ = try await shop.sell([(products[0], 1)], to: user, on: shop.day(ago: ago)) }
            try await shop.makeRelay().step()
            for _ in 0..<2 {
                for ago in 0..<Int64(3) {
                    let day = shop.day(ago: ago)
                    let expiry = try #require(Int64(try shop.server.cli("EXPIRETIME", RedisKeys.sales(on: day))))
                    // The day counts up to the end of the second day after it.
                    #expect(expiry > shop.calendar.start(of: day.advanced(byDays: 3)).milliseconds / 1000)
                    #expect(expiry == shop.calendar.start(of: day.advanced(byDays: 5)).milliseconds / 1000)
                }
                // The same after a rebuild.
                try await shop.rebuild.run()
            }
            let ranking = Ranking(reader: shop.reader, redis: shop.redis, calendar: shop.calendar, clock: shop.services.configuration.clock)
            let end = shop.calendar.start(of: today.advanced(byDays: 3)).milliseconds
            shop.clock.stop(at: Instant(milliseconds: end - 1))
            try await ranking.refresh()
            #expect(ranking.top.items.map(\.unitsSold) == [1])
            #expect(ranking.top.windowFrom == today)
            shop.clock.stop(at: Instant(milliseconds: end))
            try await ranking.refresh()
            #expect(ranking.top.items.isEmpty)
        }
    }

    @Test("a refund of a day that has left Redis is counted off without bringing the day back")
    func expiredDay() async throws {
        try await withMarket { shop, user, products in
            let old = try await shop.sell([(products[0], 5)], to: user, on: shop.day(ago: 9))
            _ = try await shop.sell([(products[1], 2)], to: user, on: shop.day(ago: 0))
            let relay = try shop.makeRelay()
            try await relay.step()
            _ = try await shop.store.refund(paymentID: old.id, items: nil, in: .at(shop.clock.now)).value
            try await relay.step()
            #expect(try shop.server.cli("EXISTS", RedisKeys.sales(on: shop.day(ago: 9))) == "0")
            #expect(try await shop.offset() == 3)
            #expect(try await shop.scores(on: shop.day(ago: 0)) == [products[1]: 2])
        }
    }
}
