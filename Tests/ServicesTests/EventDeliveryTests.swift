import AsyncHTTPClient
import Commerce
import Crypto
import NIOPosix
import Redis
import Store
import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("Event delivery", .serialized)
struct EventDeliveryTests {
    /// A shop with `orders` paid orders, and a way to deliver their events to a platform.
    private func withOutbox(
        orders: Int, _ body: (Shop, [Payment], (DataPlatform) -> EventDelivery) async throws -> Void
    ) async throws {
        let client = WebhookSink.makeClient(on: MultiThreadedEventLoopGroup.singleton)
        do {
            try await withShop { shop in
                let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
                let product = try await shop.makeProduct(price: 100)
                var payments: [Payment] = []
                for _ in 0..<orders { payments.append(try await shop.sell([(product, 2)], to: user, on: shop.day(ago: 0))) }
                shop.clock.stop(at: Instant(milliseconds: shop.instant(on: shop.day(ago: 0)).milliseconds + 1_000))
                try await body(shop, payments) { platform in
                    shop.delivery(to: WebhookSink(platform: platform, client: client))
                }
            }
        } catch {
            try? await client.shutdown()
            throw error
        }
        try await client.shutdown()
    }

    private func withPlatform(
        react: @escaping @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction,
        _ body: (DataPlatformServer) async throws -> Void
    ) async throws {
        let server = try await DataPlatformServer(react: react)
        do { try await body(server) } catch {
            await server.close()
            throw error
        }
        await server.close()
    }

    @Test("each event is posted once, with its id as the idempotency key and the signature of its body")
    func posted() async throws {
        try await withPlatform(react: { _ in .status(200) }) { server in
            try await withOutbox(orders: 40) { shop, payments, delivery in
                let delivery = delivery(server.platform)
                try await delivery.step()
                try await delivery.step()
                let events = try await shop.records().map(\.event)
                #expect(events.count == 40)
                #expect(Set(server.posts.map(\.idempotencyKey)) == Set(events.map(\.id.description)))
                #expect(server.posts.count == 40)
                for post in server.posts {
                    let event = try #require(events.first { $0.id.description == post.idempotencyKey })
                    #expect(post.method == "POST" && post.path == "/events" && post.contentType == "application/json")
                    #expect(post.body == event.payload)
                    let hex = try #require(post.signature.hasPrefix("sha256=") ? post.signature.dropFirst(7) : nil)
                    let code = stride(from: 0, to: hex.count, by: 2).compactMap { UInt8(hex.dropFirst($0).prefix(2), radix: 16) }
                    let key = SymmetricKey(data: Array("secret".utf8))
                    #expect(HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: Array(post.body.utf8), using: key))
                }
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 40))
            }
        }
    }

    @Test(
        "whatever is not a 2xx answer in time is tried again after a growing pause, under the same key",
        arguments: [300, 400, 404, 429, 500, 503])
    func refused(status: Int) async throws {
        try await withPlatform(react: { _ in .status(status) }) { server in
            try await withOutbox(orders: 1) { shop, _, delivery in
                let delivery = delivery(server.platform)
                for failures in 1...Int64(4) {
                    try await delivery.step()
                    let record = try #require(try await shop.records().first)
                    #expect(record.attempts == failures && record.delivery == .waiting)
                    #expect(record.lastError?.contains("\(status)") == true)
                    let pause = record.nextAttemptAt.milliseconds - shop.clock.now.milliseconds
                    let longest = Int64(500) << (failures - 1)
                    #expect((longest / 2...longest).contains(pause), "\(pause) ms after \(failures) failures")
                    // Not before its time.
                    try await delivery.step()
                    #expect(server.posts.count == Int(failures))
                    shop.clock.advance(byMilliseconds: longest + 1)
                }
                server.react { _ in .status(204) }
                try await delivery.step()
                #expect(try await shop.deliveries() == [.delivered])
                #expect(server.posts.count == 5 && Set(server.posts).count == 1)
            }
        }
    }

    @Test(
        "a platform that drops, dies after reading, answers garbage or nobody gets every event again",
        arguments: [
            RudeServer.Manner.dropOnAccept, .dieAfterReading, .garbage,
        ])
    func rude(manner: RudeServer.Manner) async throws {
        try await withPlatform(react: { _ in .status(200) }) { server in
            try await withOutbox(orders: 3) { shop, _, delivery in
                let rude = try await RudeServer(manner)
                try await delivery(rude.platform).step()
                if case .dropOnAccept = manner { #expect(rude.requestsRead == 0) } else { #expect(rude.requestsRead >= 3) }
                #expect(try await shop.records().map(\.attempts) == [1, 1, 1])
                var gone = rude.platform
                // The client tries to connect for as long as it may.
                gone.timeoutMilliseconds = 300
                try await rude.close()
                shop.clock.advance(byMilliseconds: 501)
                // Nobody listens there any more.
                try await delivery(gone).step()
                #expect(try await shop.records().map(\.attempts) == [2, 2, 2])
                shop.clock.advance(byMilliseconds: 1_001)
                try await delivery(server.platform).step()
                #expect(Set(server.posts.map(\.idempotencyKey)) == ["1", "2", "3"])
                #expect(try await shop.deliveries() == [.delivered, .delivered, .delivered])
            }
        }
    }

    @Test("a platform that hangs on one event holds up no other order")
    func hanging() async throws {
        let othersAreDone = Flag()
        try await withPlatform(react: { $0.idempotencyKey == "1" ? .fail(after: { othersAreDone.isUp }) : .status(200) }) { server in
            try await withOutbox(orders: 99) { shop, _, delivery in
                var platform = server.platform
                platform.timeoutMilliseconds = 600_000
                let isDone = Flag()
                let stepping = Task { [delivery = delivery(platform)] in
                    try await delivery.step()
                    isDone.raise()
                }
                try await eventually("the others are delivered") { try await shop.deliveries().count { $0 == .delivered } == 98 }
                // An order that is paid only now goes past it too.
                _ = try await shop.sell([(ProductID(1), 1)], to: UserID(1), on: shop.day(ago: 0))
                try await eventually("the new one is delivered") { try await shop.deliveries().count { $0 == .delivered } == 99 }
                #expect(!isDone.isUp)
                othersAreDone.raise()
                try await stepping.value
                let record = try #require(try await shop.records().first)
                #expect(record.delivery == .waiting && record.attempts == 1)
            }
        }
    }

    @Test("an answer whose body never ends is an answer, and delivery goes on")
    func endlessBody() async throws {
        try await withOutbox(orders: 2) { shop, _, delivery in
            let rude = try await RudeServer(.endlessBody)
            try await delivery(rude.platform).step()
            #expect(try await shop.deliveries() == [.delivered, .delivered])
            try await rude.close()
        }
    }

    @Test("a redirect is not followed and delivers nothing")
    func redirect() async throws {
        try await withPlatform(react: { _ in .status(200) }) { other in
            try await withPlatform(react: { [url = other.url] _ in .redirect(to: url) }) { server in
                try await withOutbox(orders: 1) { shop, _, delivery in
                    try await delivery(server.platform).step()
                    #expect(other.posts.isEmpty)
                    #expect(try await shop.records().map(\.attempts) == [1])
                }
            }
        }
    }

    @Test("events of one order arrive in their order, and a parked one blocks its own order alone until it is retried")
    func parked() async throws {
        let refusesFirst: @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction = {
            $0.idempotencyKey == "1" ? .status(500) : .status(200)
        }
        try await withPlatform(react: refusesFirst) { server in
            try await withOutbox(orders: 3) { shop, payments, delivery in
                for payment in payments.prefix(2) {
                    _ = try await shop.store.refund(paymentID: payment.id, items: nil, at: shop.clock.now).value
                }
                var delivery = delivery(server.platform)
                delivery.maximumTries = 3
                for _ in 0..<6 {
                    try await delivery.step()
                    shop.clock.advance(byMilliseconds: 600_000)
                }
                #expect(server.posts.map(\.idempotencyKey).count { $0 == "1" } == 3)
                // Order 1: paid is parked, refunded waits behind it. Orders 2 and 3 are through.
                #expect(try await shop.deliveries() == [.parked, .delivered, .delivered, .waiting, .delivered])
                server.react { _ in .status(200) }
                try await delivery.step()
                #expect(try await shop.deliveries()[3] == .waiting)
                _ = try await shop.store.retryParked(EventID(1), at: shop.clock.now).value
                try await delivery.step()
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 5))
                let keys = server.posts.map(\.idempotencyKey)
                let (sale, refund) = (try #require(keys.lastIndex(of: "1")), try #require(keys.firstIndex(of: "4")))
                #expect(sale < refund)
                #expect(try #require(keys.firstIndex(of: "2")) < #require(keys.firstIndex(of: "5")))
            }
        }
    }

    @Test("a late answer overwrites no newer state")
    func late() async throws {
        try await withOutbox(orders: 2) { shop, _, _ in
            let store = shop.store
            var moved = [try await store.markDelivered(EventID(1))]
            moved.append(try await store.markFailed(EventID(1), nextAttemptAt: shop.clock.now, error: "late"))
            moved.append(try await store.park(EventID(1), error: "late"))
            moved.append(try await store.markDelivered(EventID(1)))
            #expect(moved == [true, false, false, false])
            // What was given up and arrived after all is delivered.
            moved = [try await store.park(EventID(2), error: "gave up"), try await store.markDelivered(EventID(2))]
            #expect(moved == [true, true])
            #expect(try await shop.deliveries() == [.delivered, .delivered])
        }
    }

    @Test("stopping in the middle of a try does not count against the event")
    func stopped() async throws {
        try await withPlatform(react: { _ in .hang(.seconds(600)) }) { server in
            try await withOutbox(orders: 1) { shop, _, delivery in
                let stepping = Task { [delivery = delivery(server.platform)] in try await delivery.step() }
                try await eventually("the try is under way") { server.posts.count == 1 }
                stepping.cancel()
                _ = await stepping.result
                let record = try #require(try await shop.records().first)
                #expect(record.attempts == 0 && record.delivery == .waiting)
            }
        }
    }

    @Test("without a platform events go to the Redis stream in order; while Redis is away they wait and no try counts")
    func stream() async throws {
        try await withOutbox(orders: 5) { shop, _, _ in
            let delivery = shop.delivery(to: StreamSink(redis: shop.redis))
            shop.server.kill()
            try await eventually("Redis is away") { !shop.redis.isConnected }
            await #expect(throws: ServiceError.self) { try await delivery.step() }
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
        try await withOutbox(orders: 2) { shop, _, _ in
            _ = try shop.server.cli("SET", RedisKeys.events, "x")
            let delivery = shop.delivery(to: StreamSink(redis: shop.redis))
            await #expect(throws: ServiceError.self) { try await delivery.step() }
            _ = try shop.server.cli("DEL", RedisKeys.events)
            try await delivery.step()
            #expect(try await shop.deliveries() == [.delivered, .delivered])
        }
    }

    @Test("the running services deliver by themselves, through failures, without holding up payments")
    func background() async throws {
        let tries = Mutex<[String: Int]>([:])
        let fickle: @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction = { post in
            tries.withLock { tries in
                tries[post.idempotencyKey, default: 0] += 1
                return tries[post.idempotencyKey] == 1 ? .status(503) : .status(200)
            }
        }
        try await withPlatform(react: fickle) { server in
            try await withShop(Shop.Setup(configure: { $0.platform = server.platform })) { shop in
                let user = try await shop.makeUsers(1, balance: 1_000_000)[0]
                let product = try await shop.makeProduct(price: 100)
                try await shop.services.start()
                for _ in 0..<30 {
                    _ = try await shop.store.checkout(
                        userID: user, items: [RequestedItem(productID: product, quantity: 1)], issuedCouponID: nil, at: shop.clock.now
                    ).value
                }
                try await eventually("all are delivered") { try await shop.deliveries().allSatisfy { $0 == .delivered } }
                #expect(Set(server.posts.map(\.idempotencyKey)).count == 30)
            }
        }
    }
}

extension Shop {
    func delivery(to sink: any EventSink) -> EventDelivery {
        EventDelivery(store: store, sink: sink, clock: services.configuration.clock, logger: Self.logger)
    }

    /// The outbox by event id.
    func records() async throws -> [EventRecord] {
        try await store.events(state: nil, page: PageRequest(limit: 100)).items.sorted { $0.event.id < $1.event.id }
    }

    func deliveries() async throws -> [OrderEvent.Delivery] { try await records().map(\.delivery) }
}
