import Commerce
import GRDB
import Store
import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("Delivery to a platform that is slow, down or choosy", .serialized)
struct DeliveryOutageTests {
    @Test("a slow platform gets as many posts at once as there are connections, and as many posts as events")
    func slow() async throws {
        try await withPlatform(react: { _ in .status(500) }) { server in
            let isFull = Flag()
            server.react { _ in .succeed(after: { isFull.isUp }) }
            try await withOutbox(orders: 120) { shop, _, delivery in
                var platform = server.platform
                platform.timeoutMilliseconds = 600_000
                let stepping = Task { [delivery = delivery(platform)] in try await delivery.step() }
                try await eventually("as many posts are under way as there are connections") {
                    server.underWay == WebhookSink.concurrency
                }
                isFull.raise()
                #expect(try await stepping.value == nil)
                #expect(server.posts.count == 120 && server.mostAtOnce == WebhookSink.concurrency)
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 120))
            }
        }
    }

    @Test(
        "an outage of hours parks nothing, counts no try and sends few probes; then everything arrives at once, in order for each order",
        arguments: [500, 503, 429, 408, 404])
    func hours(status: Int) async throws {
        try await withPlatform(react: { _ in .status(status) }) { server in
            try await withOutbox(orders: 50) { shop, payments, delivery in
                let delivery = delivery(server.platform)
                var (time, sold) = (Duration.zero, 0)
                while time < .seconds(3 * 3_600) {
                    let pause = try #require(try await delivery.step())
                    #expect(pause > .zero && pause <= .seconds(30))
                    delivery.advance(by: pause)
                    time += pause
                    // Sales and refunds go on meanwhile.
                    if sold < payments.count {
                        _ = try await shop.store.refund(paymentID: payments[sold].id, items: nil, in: .at(shop.clock.now)).value
                        _ = try await shop.sell([(ProductID(1), 1)], to: UserID(1), on: shop.day(ago: 0))
                        sold += 1
                    }
                }
                let records = try await shop.records()
                #expect(records.count == 150)
                #expect(records.allSatisfy { $0.delivery == .waiting })
                // A 404 counts, until it has met so many that it is the platform's.
                #expect(records.reduce(0) { $0 + $1.attempts } == (status == 404 ? Int64(PlatformHealth.outageThreshold) - 1 : 0))
                // 10,800 s of pauses of 15 s and more, and what was under way when it began.
                #expect(server.posts.count <= 32 + 720 + 10)
                server.react { _ in .status(200) }
                let before = server.posts.count
                try await delivery.stepUntilQuiet()
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 150))
                #expect(server.posts.count == before + 150, "once the platform is back, each event is posted once")
                try server.expectOrder(of: records.map(\.event))
            }
        }
    }

    @Test("once the platform is back, events wait no longer than the pause between two probes")
    func backAgain() async throws {
        try await withPlatform(react: { _ in .status(500) }) { server in
            try await withOutbox(orders: 300) { shop, _, delivery in
                let delivery = delivery(server.platform)
                for _ in 0..<40 { delivery.advance(by: try #require(try await delivery.step())) }
                server.react { _ in .status(200) }
                var time: Duration = .zero
                while let pause = try await delivery.step() {
                    delivery.advance(by: pause)
                    time += pause
                }
                #expect(time <= .seconds(30))
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 300))
            }
        }
    }

    @Test("Retry-After of 503 and 429 is kept, and cut where it asks for too much", arguments: [503, 429])
    func retryAfter(status: Int) async throws {
        try await withPlatform(react: { _ in .status(status, retryAfter: "120") }) { server in
            try await withOutbox(orders: 5) { shop, _, delivery in
                let delivery = delivery(server.platform)
                #expect(try await delivery.step() == .seconds(120))
                let posts = server.posts.count
                delivery.advance(by: .milliseconds(119_999))
                #expect(try await delivery.step() == .milliseconds(1))
                #expect(server.posts.count == posts)
                server.react { _ in .status(status, retryAfter: "86400") }
                delivery.advance(by: .milliseconds(1))
                #expect(try await delivery.step() == PlatformHealth.longestRetryAfter)
                #expect(server.posts.count == posts + 1)
                server.react { _ in .status(status, retryAfter: "Thu, 01 Jan 1970 00:00:00 GMT") }
                delivery.advance(by: PlatformHealth.longestRetryAfter)
                let pause = try #require(try await delivery.step())
                #expect(pause <= .seconds(30), "a date that has passed asks for nothing")
                server.react { _ in .status(200) }
                try await delivery.stepUntilQuiet()
                #expect(try await shop.records().map(\.attempts) == [0, 0, 0, 0, 0])
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 5))
            }
        }
    }

    @Test("a wrong secret, which every event meets with 401, parks nothing")
    func wrongSecret() async throws {
        try await withPlatform(react: { _ in .status(401) }) { server in
            try await withOutbox(orders: 300) { shop, _, delivery in
                let delivery = delivery(server.platform)
                var time = Duration.zero
                while time < .seconds(3_600) {
                    let pause = try #require(try await delivery.step())
                    delivery.advance(by: pause)
                    time += pause
                }
                #expect(try await shop.deliveries() == Array(repeating: .waiting, count: 300))
                server.react { _ in .status(200) }
                try await delivery.stepUntilQuiet()
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 300))
            }
        }
    }

    @Test("an event that fails while others are taken counts its tries, pauses longer each time and is parked after the last")
    func failsAmongOthers() async throws {
        try await withPlatform(react: { $0.idempotencyKey == "1" ? .status(500) : .status(200) }) { server in
            try await withOutbox(orders: 1) { shop, _, delivery in
                var platform = server.platform
                platform.maximumTries = 6
                let delivery = delivery(platform)
                var (longest, sales) = (Duration.zero, 0)
                while try await shop.deliveries()[0] == .waiting {
                    try #require(sales < 1_000)
                    _ = try await delivery.step()
                    _ = try await shop.sell([(ProductID(1), 1)], to: UserID(1), on: shop.day(ago: 0))
                    sales += 1
                    let pause = try await delivery.step() ?? .zero
                    longest = max(longest, pause)
                    delivery.advance(by: pause)
                }
                let record = try await shop.records()[0]
                #expect(record.delivery == .parked && record.attempts == 6 && record.lastError?.contains("500") == true)
                #expect(server.posts.count { $0.idempotencyKey == "1" } == 6)
                #expect(longest >= .seconds(4), "the pause before the last try is the fifth")
            }
        }
    }

    @Test(
        "a date that was set back by a day holds up no event, new, waiting or failed, with a restart or without", arguments: [true, false])
    func setBack(restarts: Bool) async throws {
        try await withPlatform(react: { _ in .status(422) }) { server in
            try await withOutbox(orders: 3) { shop, _, delivery in
                let before = delivery(server.platform)
                _ = try await before.step()
                #expect(try await shop.records().map(\.attempts) == [1, 1, 1])
                shop.clock.advance(byMilliseconds: -86_400_000)
                let paid = shop.clock.now
                _ = try await shop.store.checkout(
                    userID: UserID(1), items: [RequestedItem(productID: ProductID(1), quantity: 1)], issuedCouponID: nil, in: .at(paid)
                ).value
                server.react { _ in .status(200) }
                let delivery = restarts ? delivery(server.platform) : before
                var time: Duration = .zero
                while let pause = try await delivery.step() {
                    delivery.advance(by: pause)
                    time += pause
                }
                #expect(time <= .seconds(1))
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 4))
            }
        }
    }

    @Test("a pause goes on after a restart, no longer than it would have been")
    func restarted() async throws {
        try await withPlatform(react: { _ in .status(422) }) { server in
            try await withOutbox(orders: 1) { shop, _, delivery in
                let first = delivery(server.platform)
                var pause: Duration = .zero
                for _ in 0..<3 {
                    pause = try #require(try await first.step())
                    if try await shop.records()[0].attempts < 3 { first.advance(by: pause) }
                }
                let second = delivery(server.platform)
                let rest = try #require(try await second.step())
                let difference = rest > pause ? rest - pause : pause - rest
                #expect(difference <= .milliseconds(1), "\(rest) of \(pause)")
                #expect(server.posts.count == 3)
            }
        }
    }

    @Test("what is parked is retried all together, and what waited behind it follows in order")
    func retryAll() async throws {
        try await withPlatform(react: { _ in .status(422) }) { server in
            try await withOutbox(orders: 40) { shop, payments, delivery in
                for payment in payments.prefix(10) {
                    _ = try await shop.store.refund(paymentID: payment.id, items: nil, in: .at(shop.clock.now)).value
                }
                let delivery = delivery(server.platform)
                try await delivery.stepUntilQuiet()
                let records = try await shop.records()
                #expect(records.prefix(40).allSatisfy { $0.delivery == .parked })
                #expect(records.dropFirst(40).allSatisfy { $0.delivery == .waiting } && records.count == 50)
                server.react { _ in .status(200) }
                #expect(try await delivery.step() == nil)
                #expect(server.posts.count == 40 * Int(PlatformDelivery.triesWhereRefused), "a parked sale holds back its refund")
                #expect(try await shop.store.retryAllParked(at: shop.clock.now, step: 7) == 40)
                #expect(try await delivery.step() == nil)
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 50))
                try server.expectOrder(of: records.map(\.event))
            }
        }
    }

    @Test("while the store cannot note what was taken, nothing is posted twice")
    func storeDown() async throws {
        try await withPlatform(react: { _ in .status(200) }) { server in
            try await withOutbox(orders: 10) { shop, _, delivery in
                let delivery = delivery(server.platform)
                let foreign = try shop.foreignConnection()
                try await foreign.writeWithoutTransaction { db in
                    try db.execute(
                        sql: "CREATE TRIGGER full BEFORE UPDATE ON events BEGIN SELECT RAISE(FAIL, 'no room'); END")
                }
                for _ in 0..<3 { await #expect(throws: StoreError.self) { try await delivery.step() } }
                #expect(server.posts.count == 10)
                try await foreign.writeWithoutTransaction { try $0.execute(sql: "DROP TRIGGER full") }
                #expect(try await delivery.step() == nil)
                #expect(server.posts.count == 10)
                #expect(try await shop.deliveries() == Array(repeating: .delivered, count: 10))
            }
        }
    }

    @Test("a platform of any manners takes every event in the end, in order for each order", arguments: 0..<4)
    func random(run: Int) async throws {
        var random = SeededGenerator()
        let dice = Mutex(random)
        // How the platform treats a post changes with the hour.
        let manners = Mutex([200])
        let react: @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction = { post in
            let status = dice.withLock { dice in manners.withLock { $0.randomElement(using: &dice) ?? 200 } }
            switch status {
            case 0: return .hang(.seconds(3_600))
            case 1: return .status(503, retryAfter: "\(dice.withLock { Int.random(in: 0...60, using: &$0) })")
            default: return .status(status)
            }
        }
        let hours = [[200], [200, 200, 500], [500], [503, 429], [1], [200, 422], [404], [200, 0], [0], [200, 500, 422, 408, 1, 301]]
        try await withPlatform(react: react) { server in
            try await withOutbox(orders: 0) { shop, _, makeDelivery in
                var platform = server.platform
                platform.timeoutMilliseconds = 300
                var delivery = makeDelivery(platform)
                var payments: [PaymentID] = []
                for _ in 0..<12 {
                    manners.withLock { $0 = hours.randomElement(using: &random) ?? [200] }
                    for _ in 0..<Int.random(in: 1...4, using: &random) {
                        if let payment = payments.randomElement(using: &random), Bool.random(using: &random) {
                            _ = try await shop.store.refund(
                                paymentID: payment, items: [RequestedItem(productID: ProductID(1), quantity: 1)], in: .at(shop.clock.now))
                        } else {
                            payments.append(try await shop.sell([(ProductID(1), 3)], to: UserID(1), on: shop.day(ago: 0)).id)
                        }
                        for _ in 0..<Int.random(in: 0...3, using: &random) {
                            let pause = try await delivery.step() ?? .zero
                            delivery.advance(by: pause)
                        }
                    }
                    if Int.random(in: 0..<4, using: &random) == 0 { delivery = makeDelivery(platform) }
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        shop.clock.advance(byMilliseconds: Int64.random(in: -86_400_000...86_400_000, using: &random))
                    }
                }
                manners.withLock { $0 = [200] }
                try await delivery.stepUntilQuiet()
                _ = try await shop.store.retryAllParked(at: shop.clock.now)
                try await delivery.stepUntilQuiet()
                let records = try await shop.records()
                #expect(!records.isEmpty && records.allSatisfy { $0.delivery == .delivered }, "\(random)")
                try server.expectOrder(of: records.map(\.event), "\(random)")
            }
        }
    }
}

extension DataPlatformServer {
    /// Every event was taken, and those of each order in their order.
    func expectOrder(of events: [OrderEvent], _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let orders = Dictionary(uniqueKeysWithValues: events.map { ($0.id.description, $0.orderID) })
        var (seen, lines): (Set<String>, [OrderID: [Int64]]) = ([], [:])
        for key in taken where seen.insert(key).inserted {
            lines[try #require(orders[key], comment, sourceLocation: sourceLocation), default: []].append(Int64(key) ?? 0)
        }
        #expect(seen == Set(orders.keys), comment, sourceLocation: sourceLocation)
        for line in lines.values { #expect(line == line.sorted(), comment, sourceLocation: sourceLocation) }
    }
}
