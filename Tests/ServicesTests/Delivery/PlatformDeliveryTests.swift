import AsyncHTTPClient
import Commerce
import Crypto
import Logging
import NIOPosix
import Redis
import Store
import Synchronization
import TestSupport
import Testing
import TraceContext

@testable import Services

@Suite("Event delivery", .serialized)
struct PlatformDeliveryTests {
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

    @Test("a post carries the trace of its event with a span of its own for each try, and none where the event has none")
    func traced() async throws {
        let trace = try #require(TraceParent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        try await withPlatform(react: { _ in .status(500) }) { server in
            try await withOutbox(orders: 1) { shop, _, delivery in
                let items = [RequestedItem(productID: ProductID(1), quantity: 1)]
                let context = WriteContext<Checkout>(at: shop.clock.now, trace: trace)
                _ = try await shop.store.checkout(userID: UserID(1), items: items, issuedCouponID: nil, in: context).value
                let delivery = delivery(server.platform)
                for _ in 0..<6 {
                    guard let pause = try await delivery.step() else { break }
                    delivery.advance(by: pause)
                }
                server.react { _ in .status(200) }
                try await delivery.stepUntilQuiet()
                let events = try await shop.records().map(\.event)
                #expect(try await shop.deliveries() == [.delivered, .delivered])
                let (plain, traced) = (
                    server.posts.filter { $0.idempotencyKey == events[0].id.description },
                    server.posts.filter { $0.idempotencyKey == events[1].id.description }
                )
                #expect(plain.count > 1 && plain.allSatisfy { $0.traceParent.isEmpty })
                let parents = traced.compactMap { TraceParent($0.traceParent) }
                #expect(parents.count == traced.count && traced.count > 1)
                #expect(parents.allSatisfy { $0.traceIDText == trace.traceIDText && $0.flags == 1 })
                #expect(Set(parents.map(\.parentID) + [trace.parentID]).count == parents.count + 1)
                #expect(Set(traced.map(\.body)).count == 1 && Set(traced.map(\.signature)).count == 1)
            }
        }
    }

    @Test("log lines about an event name its trace")
    func tracesInTheLog() async throws {
        let trace = try #require(TraceParent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
        let lines = LogLines()
        try await withPlatform(react: { _ in .status(400) }) { server in
            try await withOutbox(orders: 0, logger: lines.logger()) { shop, _, delivery in
                let items = [RequestedItem(productID: ProductID(1), quantity: 1)]
                let context = WriteContext<Checkout>(at: shop.clock.now, trace: trace)
                _ = try await shop.store.checkout(userID: UserID(1), items: items, issuedCouponID: nil, in: context).value
                try await delivery(server.platform).stepUntilQuiet()
                #expect(try await shop.deliveries() == [.parked])
            }
        }
        let about = lines.all.filter { $0.contains("event not delivered") || $0.contains("event parked") }
        #expect(about.count > 1 && about.contains { $0.contains("event parked") })
        #expect(about.allSatisfy { $0.contains(trace.traceIDText) && $0.contains("\"event\": ") }, "\(about)")
    }

    @Test(
        "an event that fails alone is tried again after a growing pause, under the same key, and no try counts",
        arguments: [300, 408, 429, 500, 503])
    func failing(status: Int) async throws {
        try await withPlatform(react: { _ in .status(status) }) { server in
            try await withOutbox(orders: 1) { shop, _, delivery in
                let delivery = delivery(server.platform)
                var pauses: [Duration] = []
                for failures in 1...8 {
                    let pause = try #require(try await delivery.step())
                    pauses.append(pause)
                    #expect(server.posts.count == failures)
                    // Not before its time.
                    delivery.advance(by: pause - .milliseconds(1))
                    _ = try await delivery.step()
                    #expect(server.posts.count == failures)
                    delivery.advance(by: .milliseconds(1))
                    #expect(try await shop.records().map(\.attempts) == [0])
                }
                for (doublings, pause) in pauses.enumerated() {
                    let longest = min(Duration.milliseconds(500 << doublings), .seconds(30))
                    #expect((longest / 2...longest).contains(pause), "pause \(doublings + 1) is \(pause)")
                }
                server.react { _ in .status(204) }
                #expect(try await delivery.step() == nil)
                #expect(try await shop.deliveries() == [.delivered])
                #expect(server.posts.count == 9 && Set(server.posts).count == 1)
            }
        }
    }

    @Test("an event that the platform refuses is parked after a few tries, and its neighbours are not", arguments: [400, 404, 409, 422])
    func refused(status: Int) async throws {
        try await withPlatform(react: { $0.idempotencyKey == "2" ? .status(status) : .status(200) }) { server in
            try await withOutbox(orders: 3) { shop, _, delivery in
                let delivery = delivery(server.platform)
                for tries in 1..<PlatformDelivery.triesWhereRefused {
                    let pause = try #require(try await delivery.step())
                    let record = try await shop.records()[1]
                    #expect(record.attempts == tries && record.delivery == .waiting)
                    #expect(record.lastError?.contains("\(status)") == true)
                    let longest = Duration.milliseconds(500 << (tries - 1))
                    #expect((longest / 2...longest).contains(pause), "pause \(tries) is \(pause)")
                    delivery.advance(by: pause)
                }
                #expect(try await delivery.step() == nil)
                #expect(try await shop.deliveries() == [.delivered, .parked, .delivered])
                #expect(server.posts.count { $0.idempotencyKey == "2" } == PlatformDelivery.triesWhereRefused)
                #expect(server.posts.count == PlatformDelivery.triesWhereRefused + 2)
            }
        }
    }

    @Test(
        "a platform that drops, dies after reading, answers garbage or nobody gets every event again, and no try counts",
        arguments: [
            FaultyServer.Behavior.dropOnAccept, .dieAfterReading, .garbage,
        ])
    func faulty(behavior: FaultyServer.Behavior) async throws {
        try await withPlatform(react: { _ in .status(200) }) { server in
            try await withOutbox(orders: 3) { shop, _, delivery in
                let faulty = try await FaultyServer(behavior)
                #expect(try await delivery(faulty.platform).step() != nil)
                if case .dropOnAccept = behavior { #expect(faulty.requestsRead == 0) } else { #expect(faulty.requestsRead >= 3) }
                var gone = faulty.platform
                gone.timeoutMilliseconds = 10_000
                try await faulty.close()
                // Nobody listens there any more, which is noticed at once.
                #expect(try await delivery(gone).step() != nil)
                #expect(try await shop.records().map(\.attempts) == [0, 0, 0])
                #expect(try await delivery(server.platform).step() == nil)
                #expect(Set(server.posts.map(\.idempotencyKey)) == ["1", "2", "3"])
                #expect(try await shop.deliveries() == [.delivered, .delivered, .delivered])
            }
        }
    }

    @Test("a platform where nobody listens is down after one post, in plain words, and says so once")
    func gone() async throws {
        try await withOutbox(orders: 1) { shop, _, _ in
            let lines = LogLines()
            let platform = DataPlatform(url: "http://127.0.0.1:\(try TemporaryRedis.freePort())/", secret: [1])
            let client = WebhookSink.makeClient(for: platform, on: MultiThreadedEventLoopGroup.singleton)
            let clock = shop.services.configuration.clock
            let delivery = PlatformDelivery(
                store: shop.store, sink: WebhookSink(platform: platform, client: client, clock: clock), clock: clock,
                logger: lines.logger(level: .info))
            for _ in 0..<3 { _ = try await delivery.step() }
            #expect(lines.messages == ["the data platform takes no events; they wait until it does: no connection: Connection refused"])
            try await client.shutdown()
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
                _ = try await stepping.value
                let record = try #require(try await shop.records().first)
                #expect(record.delivery == .waiting && record.attempts == 0, "none was sent and taken after it failed")
            }
        }
    }

    @Test("an answer whose body never ends is an answer, and delivery goes on")
    func endlessBody() async throws {
        try await withOutbox(orders: 2) { shop, _, delivery in
            let faulty = try await FaultyServer(.endlessBody)
            try await delivery(faulty.platform).step()
            #expect(try await shop.deliveries() == [.delivered, .delivered])
            try await faulty.close()
        }
    }

    @Test("a redirect is not followed and delivers nothing")
    func redirect() async throws {
        try await withPlatform(react: { _ in .status(200) }) { other in
            try await withPlatform(react: { [url = other.url] _ in .redirect(to: url) }) { server in
                try await withOutbox(orders: 1) { shop, _, delivery in
                    try await delivery(server.platform).step()
                    #expect(other.posts.isEmpty)
                    #expect(try await shop.deliveries() == [.waiting])
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
                    _ = try await shop.store.refund(paymentID: payment.id, items: nil, in: .at(shop.clock.now)).value
                }
                var platform = server.platform
                platform.maximumTries = 3
                let delivery = delivery(platform)
                _ = try await delivery.step()
                #expect(try await shop.deliveries() == [.waiting, .delivered, .delivered, .waiting, .delivered])
                // What fails while nothing else is sent may be the platform's fault: only with others taken after each failure it counts.
                for _ in 0..<5 {
                    delivery.advance(by: .seconds(600))
                    _ = try await delivery.step()
                }
                #expect(try await shop.deliveries()[0] == .waiting)
                for _ in 0..<3 {
                    _ = try await shop.sell([(ProductID(1), 1)], to: UserID(1), on: shop.day(ago: 0))
                    delivery.advance(by: .seconds(600))
                    _ = try await delivery.step()
                    _ = try await shop.sell([(ProductID(1), 1)], to: UserID(1), on: shop.day(ago: 0))
                    _ = try await delivery.step()
                }
                // Order 1: paid is parked, refunded waits behind it. The others are through.
                let states = try await shop.deliveries()
                #expect(states.prefix(4) == [.parked, .delivered, .delivered, .waiting])
                #expect(states.count == 11 && states.dropFirst(4).allSatisfy { $0 == .delivered })
                server.react { _ in .status(200) }
                delivery.advance(by: .seconds(600))
                #expect(try await delivery.step() == nil)
                #expect(try await shop.deliveries()[3] == .waiting)
                _ = try await shop.store.retryParked(EventID(1), at: shop.clock.now).value
                #expect(try await delivery.step() == nil)
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 11))
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
                try await shop.start()
                for _ in 0..<30 {
                    _ = try await shop.store.checkout(
                        userID: user, items: [RequestedItem(productID: product, quantity: 1)], issuedCouponID: nil, in: .at(shop.clock.now)
                    ).value
                }
                try await eventually("all are delivered") { try await shop.deliveries().allSatisfy { $0 == .delivered } }
                #expect(Set(server.posts.map(\.idempotencyKey)).count == 30)
            }
        }
    }
}
