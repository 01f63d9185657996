import Commerce
import Redis
import TestSupport
import Testing

@testable import Services

@Suite("Views", .serialized)
struct ViewCounterTests {
    @Test("views are added to their day in Redis once flushed, each once")
    func counted() async throws {
        try await withShop { shop in
            let views = shop.services.views
            for _ in 0..<5 { views.count(ProductID(1)) }
            views.count(ProductID(2))
            #expect(try await shop.views(on: shop.day(ago: 0)).isEmpty)
            try await views.flush()
            try await views.flush()
            views.count(ProductID(1))
            try await views.flush()
            #expect(try await shop.views(on: shop.day(ago: 0)) == [1: 6, 2: 1])
            let expiry = Int64(try shop.server.cli("EXPIRETIME", RedisKeys.views(on: shop.day(ago: 0))))
            #expect(expiry == shop.calendar.start(of: shop.day(ago: -5)).milliseconds / 1000)
        }
    }

    @Test("a view counts on the day on which it happened, also when it is flushed on the next")
    func dayChange() async throws {
        try await withShop { shop in
            let today = shop.day(ago: 0)
            shop.clock.move(to: Instant(milliseconds: shop.calendar.start(of: today.advanced(byDays: 1)).milliseconds - 60_000))
            let views = ViewCounter(redis: shop.redis, calendar: shop.calendar, clock: shop.services.configuration.clock)
            views.count(ProductID(1))
            shop.clock.advance(byMilliseconds: 60_001)
            views.count(ProductID(1))
            views.count(ProductID(2))
            try await views.flush()
            #expect(try await shop.views(on: today) == [1: 1])
            #expect(try await shop.views(on: today.advanced(byDays: 1)) == [1: 1, 2: 1])
        }
    }

    @Test("with Redis away views wait, and no more than 100,000 products of them")
    func bound() async throws {
        try await withShop { shop in
            let views = shop.services.views
            shop.server.kill()
            try await eventually("Redis is away") { shop.redis.isAway }
            for id in 1...Int64(100_005) { views.count(ProductID(id)) }
            await #expect(throws: (any Error).self) { try await views.flush() }
            views.count(ProductID(200_000))
            try shop.server.start()
            try await eventually("Redis is back") { shop.redis.isConnected }
            try await views.flush()
            #expect(try shop.server.cli("ZCARD", RedisKeys.views(on: shop.day(ago: 0))) == "100000")
            views.count(ProductID(200_001))
            try await views.flush()
            #expect(try shop.server.cli("ZCARD", RedisKeys.views(on: shop.day(ago: 0))) == "100001")
        }
    }
}

extension Shop {
    func views(on day: BusinessDay) async throws -> [Int64: Int64] {
        let reply = try await redis.send(RedisCommand("ZRANGE", .string(RedisKeys.views(on: day)), 0, -1, "WITHSCORES"))
        let elements = (reply.array ?? []).compactMap(\.integer)
        return Dictionary(uniqueKeysWithValues: stride(from: 0, to: elements.count, by: 2).map { (elements[$0], elements[$0 + 1]) })
    }
}
