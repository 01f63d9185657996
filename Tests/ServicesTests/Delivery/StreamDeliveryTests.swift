import Commerce
import Foundation
import Redis
import Store
import TestSupport
import Testing
import TraceContext

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
            try await eventually("Redis is away") { shop.redis.isAway }
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

    @Test("an event with a trace has a field for it in the stream, with a span of its own")
    func traced() async throws {
        let trace = try #require(TraceParent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        try await withOutbox(orders: 1) { shop, delivery in
            let items = [RequestedItem(productID: ProductID(1), quantity: 1)]
            let context = WriteContext<Checkout>(at: shop.clock.now, trace: trace)
            _ = try await shop.store.checkout(userID: UserID(1), items: items, issuedCouponID: nil, in: context).value
            try await delivery.step()
            let entries = try await shop.redis.send(RedisCommand("XRANGE", .string(RedisKeys.events), "-", "+")).array ?? []
            let fields = entries.compactMap { $0.array?[1].array?.compactMap(\.string) }
            try #require(fields.map(\.count) == [8, 10])
            #expect(fields[1][8] == "traceparent")
            let sent = try #require(TraceParent(fields[1][9]))
            #expect(sent.traceIDText == trace.traceIDText && sent.flags == trace.flags && sent.parentID != trace.parentID)
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

    /// An append-only file that Redis writes before it answers, as the private Redis has.
    private static let onDisk = ["--appendonly", "yes", "--appendfsync", "everysec"]

    @Test("what Redis lost with a crash right after it had answered is sent again, in order", arguments: [false, true])
    func truncated(isTold: Bool) async throws {
        try await withOutbox(orders: 5, redis: Self.onDisk) { shop, stream in
            try await stream.step()
            let file = shop.server.directory + "/appendonlydir/appendonly.aof.1.incr.aof"
            let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
            try await shop.sell(5)
            try await stream.step()
            #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 10))
            try await shop.killRedis()
            // The disk has the first half, and a piece of what followed.
            try #require(truncate(file, size + 100) == 0)
            try shop.server.start()
            try await eventually("connected again") { shop.redis.isConnected }
            // A connection that has not noticed the end yet may still be asked.
            try await eventually("the first half is there") { (try? await shop.streamed()) == [1, 2, 3, 4, 5] }
            if isTold {
                stream.forgetLast()
            } else {
                // The connect was not noticed, and the next sale comes first.
                try await shop.sell(1)
            }
            try await eventually("a step succeeds") { (try? await stream.step()) != nil }
            #expect(try await shop.streamed() == Array(1...(isTold ? 10 : 11)))
            #expect(try await shop.deliveries().allSatisfy { $0 == .delivered })
        }
    }

    @Test("a Redis restored from an older copy of its files, or empty, gets what it misses again", arguments: [true, false])
    func olderCopy(hasCopy: Bool) async throws {
        try await withOutbox(orders: 3, redis: Self.onDisk) { shop, stream in
            try await stream.step()
            let folder = shop.server.directory + "/appendonlydir"
            try FileManager.default.copyItem(atPath: folder, toPath: folder + ".copy")
            try await shop.sell(300)
            try await stream.step()
            try await shop.killRedis()
            try FileManager.default.removeItem(atPath: folder)
            if hasCopy { try FileManager.default.moveItem(atPath: folder + ".copy", toPath: folder) }
            try shop.server.start()
            try await eventually("connected again") { shop.redis.isConnected }
            // A connection that has not noticed the end yet may still be asked.
            try await eventually("the older copy is there") { (try? await shop.streamed()) == (hasCopy ? [1, 2, 3] : []) }
            // As after a restart of the service, too.
            let stream = shop.makeStream()
            try await eventually("a step succeeds") { (try? await stream.step()) != nil }
            #expect(try await shop.streamed() == Array(1...303))
        }
    }

    @Test("a stream that lost nothing gets nothing again, also where its consumers have emptied it, or an earlier version began it")
    func nothingLost() async throws {
        try await withOutbox(orders: 5, redis: Self.onDisk) { shop, stream in
            // As an earlier version left it: entries, and no note of the last one.
            for id in 1...5 { _ = try shop.server.cli("XADD", RedisKeys.events, "*", "eventId", "\(id)") }
            try await shop.store.markDelivered((1...5).map { EventID($0) })
            try await stream.step()
            #expect(try await shop.streamed() == Array(1...5))
            try await shop.sell(5)
            try await stream.step()
            #expect(try await shop.streamed() == Array(1...10))
            _ = try shop.server.cli("XTRIM", RedisKeys.events, "MAXLEN", "0")
            for _ in 0..<2 {
                stream.forgetLast()
                try await stream.step()
                try await shop.makeStream().step()
                #expect(try await shop.streamed() == [])
                try await shop.restartRedis()
            }
            try await shop.sell(1)
            stream.forgetLast()
            try await stream.step()
            #expect(try await shop.streamed() == [11])
        }
    }

    @Test("an event whose reply was lost is in the stream, and its order stays in order")
    func lostReply() async throws {
        try await withTemporaryRedis { server in
            let proxy = try await FaultProxy(to: server.socketPath, in: server.directory)
            try await withShop(Shop.Setup(endpoint: .unix(path: proxy.socketPath)), on: server) { shop in
                _ = try await shop.makeUsers(1, balance: 1_000_000)
                _ = try await shop.makeProduct(price: 100)
                let stream = shop.makeStream()
                try await stream.step()
                for count in 1...5 {
                    try await shop.sell(1)
                    proxy.inject(.cut(afterReplyBytes: 0))
                    await #expect(throws: RedisError.self) { try await stream.step() }
                    try await eventually("connected again") { shop.redis.isConnected && proxy.isHealthy }
                    try await stream.step()
                    let seen = try await shop.streamed()
                    #expect(Set(seen) == Set(1...count) && seen == seen.sorted(), "\(seen)")
                }
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 5))
            }
            try await proxy.close()
        }
    }

    @Test("a running service sends again by itself what Redis lost, without a sale or a call")
    func background() async throws {
        try await withShop { shop in
            _ = try await shop.makeUsers(1, balance: 1_000_000)
            _ = try await shop.makeProduct(price: 100)
            try await shop.start()
            try await shop.sell(20)
            try await eventually("all are in the stream") { try await shop.streamed() == Array(1...20) }
            try await eventually("and noted") { try await shop.deliveries().allSatisfy { $0 == .delivered } }
            // Kept in memory alone: it forgets everything.
            try await shop.restartRedis()
            // A connection that has not noticed the end yet may still be asked.
            try await eventually("all are in the stream again") { (try? await shop.streamed()) == Array(1...20) }
        }
    }
}

extension Shop {
    func makeStream() -> StreamDelivery {
        StreamDelivery(store: store, redis: redis, clock: services.configuration.clock, logger: Self.logger)
    }

    /// The ids in the stream.
    fileprivate func streamed() async throws -> [Int] {
        let entries = try await redis.send(RedisCommand("XRANGE", .string(RedisKeys.events), "-", "+")).array ?? []
        return entries.compactMap { $0.array?[1].array?[1].integer.map { Int($0) } }
    }

    fileprivate func sell(_ orders: Int) async throws {
        for _ in 0..<orders { _ = try await sell([(ProductID(1), 1)], to: UserID(1), on: day(ago: 0)) }
    }
}
