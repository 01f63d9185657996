import Commerce
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("The stream of events", .serialized)
struct StreamDeliveryTests {
    /// A shop with paid orders, and a delivery of their events to its Redis.
    private func withOutbox(
        orders: Int, redis arguments: [String] = [], _ body: (Shop, StreamDelivery) async throws -> Void
    ) async throws {
        try await withShop(Shop.Setup(redisArguments: arguments)) { shop in
            _ = try await shop.makeUsers(1, balance: 1_000_000)
            _ = try await shop.makeProduct(price: 100)
            try await shop.sell(orders)
            try await body(shop, shop.makeStream())
        }
    }

    @Test("without a platform events go to the Redis stream in order; while Redis is away they wait and no try counts")
    func stream() async throws {
        try await withOutbox(orders: 5) { shop, delivery in
            shop.server.kill()
            try await eventually("Redis is away") { !shop.redis.isConnected }
            await #expect(throws: RedisError.self) { try await delivery.step() }
            #expect(try await shop.records().map(\.attempts) == [0, 0, 0, 0, 0])
            try shop.server.start()
            try await eventually("Redis is back") { shop.redis.isConnected }
            try await delivery.step()
            try await delivery.step()
            let events = try await shop.records().map(\.event)
            let entries = try await shop.redis.send(RedisCommand("XRANGE", .string(RedisKeys.events), "-", "+")).array ?? []
            let fields = entries.compactMap { $0.array?[1].array?.compactMap(\.string) }
            #expect(
                Set(fields)
                    == Set(
                        events.map {
                            ["eventId", $0.id.description, "type", "ORDER_PAID", "orderId", $0.orderID.description, "payload", $0.payload]
                        }))
            #expect(fields.count == 5)
            #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 5))
        }
    }

    @Test("a stream key of a foreign type stops the stream, and nothing else is lost")
    func foreignStream() async throws {
        try await withOutbox(orders: 2) { shop, delivery in
            _ = try shop.server.cli("SET", RedisKeys.events, "x")
            await #expect(throws: RedisError.self) { try await delivery.step() }
            _ = try shop.server.cli("DEL", RedisKeys.events)
            try await delivery.step()
            #expect(try await shop.deliveries() == [.delivered, .delivered])
        }
    }
}

extension Shop {
    func makeStream() -> StreamDelivery {
        StreamDelivery(store: store, redis: redis, clock: services.configuration.clock, logger: Self.logger)
    }

    fileprivate func sell(_ orders: Int) async throws {
        for _ in 0..<orders { _ = try await sell([(ProductID(1), 1)], to: UserID(1), on: day(ago: 0)) }
    }
}
