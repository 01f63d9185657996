import Crypto
import FaultPoints
import Foundation
import JSON
import NIOCore
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Delivery to the data platform")
    struct DeliveryTests {}
}

extension EndToEnd.DeliveryTests {
    private typealias Post = DataPlatformServer.Post
    private static let secret = "a secret of both"

    /// A shop at a real service that posts to a platform of the test.
    private struct Shop {
        let serve: ServeProcess
        let platform: DataPlatformServer
        let admin: Caller
        let user: Caller
        let product: Int64

        /// Sells some units in one step; answers the order's and the payment's id.
        func sell(_ units: Int64 = 4) async throws -> (order: Int64, payment: Int64) {
            let sale = try await user.checkout(product, units).expect(201)
            return (try sale.int("order", "orderId"), try sale.int("payment", "paymentId"))
        }

        func events(_ state: String) async throws -> [JSONValue] {
            try await admin.get("/admin/events?state=\(state)&limit=100").expect(200).items()
        }

        func allDelivered(_ count: Int) async throws {
            try await eventually("\(count) events are delivered") { try await events("delivered").count == count }
        }

        func retry(_ event: Int64) async throws -> HTTPAnswer { try await admin.post("/admin/events/\(event)/retry") }
    }

    private static func withPlatform(
        _ react: @escaping @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction,
        _ body: (DataPlatformServer, _ folder: String) async throws -> Void
    ) async throws {
        let platform = try await DataPlatformServer(react: react)
        do {
            try await withDataFolder { try await body(platform, $0) }
        } catch {
            await platform.close()
            throw error
        }
        await platform.close()
    }

    private static func withShop(
        _ platform: DataPlatformServer, _ folder: String, _ arguments: [String] = [], environment: [String: String] = [:],
        _ body: (Shop) async throws -> Void
    ) async throws {
        try makeStoreCountingFrom1(folder)
        let flags = ["--port", "0", "--data-platform", platform.url, "--order-hold", "10m"] + arguments
        let environment = environment.merging(["FIRSTCOME_DATA_PLATFORM_SECRET": secret]) { $1 }
        try await withServe(folder, flags, environment: environment) { serve in
            let pool = HTTPPool(port: serve.port, maximumConnections: 32)
            let admin = Caller(pool: pool, token: try await Tool.run("token", "--data", folder, "--admin").lines[0])
            let user = Caller(pool: pool, token: try await Tool.run("token", "--data", folder, "--user", "1").lines[0], id: 1)
            if try await admin.get("/users/1").status == 404 {
                _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                for _ in 0..<5 { try await user.charge(1_000_000) }
                _ = try await admin.makeProduct(price: 1_000, stock: 100_000)
            }
            try await body(Shop(serve: serve, platform: platform, admin: admin, user: user, product: 1))
            await pool.close()
        }
    }

    private static func isSigned(_ post: Post) throws -> Bool {
        let hex = try #require(post.signature.hasPrefix("sha256=") ? post.signature.dropFirst(7) : nil)
        let code = stride(from: 0, to: hex.count, by: 2).compactMap { UInt8(hex.dropFirst($0).prefix(2), radix: 16) }
        let key = SymmetricKey(data: Array(secret.utf8))
        return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: Array(post.body.utf8), using: key)
    }

    private static func number(_ post: Post, _ path: String...) throws -> Int64 {
        var value = try JSONParser.parse(.init(string: post.body))
        for name in path { value = try #require(value[name]) }
        return try #require(value.int)
    }

    @Test("each event is posted until it is taken: signed, under its id, with the same bytes each time, and in order for each order")
    func resends() async throws {
        // What comes for the first time is turned away, in one of several manners.
        let seen = SeenKeys()
        try await Self.withPlatform { post in
            guard seen.isNew(post.idempotencyKey) else { return .status(204) }
            return .status([500, 503, 404, 429][(Int(post.idempotencyKey) ?? 0) % 4])
        } _: { platform, folder in
            try await Self.withShop(platform, folder) { shop in
                var orders: Set<Int64> = []
                for number in 0..<8 {
                    let (order, payment) = try await shop.sell()
                    orders.insert(order)
                    guard number.isMultiple(of: 2) else { continue }
                    _ = try await shop.admin.refund(payment, shop.product, 1).expect(201)
                    _ = try await shop.admin.refund(payment).expect(201)
                }
                try await shop.allDelivered(16)
                let posts = platform.posts
                #expect(posts.count == 32)
                var taken: [Int64: [(event: Int64, type: String)]] = [:]
                for (event, tries) in Dictionary(grouping: posts, by: \.idempotencyKey) {
                    #expect(tries.count == 2 && Set(tries).count == 1, "event \(event): \(tries)")
                }
                seen.reset()
                for post in posts {
                    #expect(try Self.isSigned(post), "\(post)")
                    #expect(post.method == "POST" && post.path == "/events" && post.contentType == "application/json")
                    let event = try Self.number(post, "eventId")
                    #expect(String(event) == post.idempotencyKey)
                    guard !seen.isNew(post.idempotencyKey) else { continue }
                    let type = try #require(try JSONParser.parse(.init(string: post.body))["type"]?.string)
                    taken[try Self.number(post, "order", "orderId"), default: []].append((event, type))
                }
                #expect(Set(taken.keys) == orders)
                for events in taken.values {
                    #expect(events.map(\.event) == events.map(\.event).sorted())
                    #expect(events.map(\.type) == ["ORDER_PAID", "ORDER_REFUNDED", "ORDER_REFUNDED"].prefix(events.count).map(\.self))
                }
                // Nothing of an order is tried before what came earlier was taken.
                for events in Dictionary(grouping: posts, by: { try? Self.number($0, "order", "orderId") }).values {
                    let keys = try events.map { try Self.number($0, "eventId") }
                    #expect(keys == keys.sorted(), "\(keys)")
                }
            }
        }
    }

    @Test("a platform that hangs on everything, or is gone, costs payments nothing, and one that hangs on one order holds up no other")
    func slowOrDead() async throws {
        try await Self.withPlatform { _ in
            .status(200)
        } _: { platform, folder in
            // A payment that waited for a post would wait longer than anybody waits for this test.
            try await Self.withShop(platform, folder, ["--data-platform-timeout", "1h"]) { shop in
                for _ in 0..<50 { _ = try await shop.sell(1) }
                try await Self.sellMany(shop)
                platform.react { $0.idempotencyKey == "351" ? .hang(.seconds(3_600)) : .status(200) }
                let first = try await shop.sell(1)
                try await eventually("the hanging order's event is under way") {
                    platform.posts.contains { $0.idempotencyKey == "351" }
                }
                for _ in 0..<40 { _ = try await shop.sell(1) }
                try await eventually("all other orders' events have passed") {
                    let waiting = try await shop.events("waiting")
                    return waiting.compactMap { $0["orderId"]?.int } == [first.order]
                }
                platform.react { _ in .hang(.seconds(3_600)) }
                let answered = platform.answered
                try await Self.sellMany(shop)
                #expect(try await shop.events("waiting").count == 100)
                #expect(platform.answered == answered, "no post had its answer meanwhile")
                await platform.close()
                try await Self.sellMany(shop)
            }
        }
    }

    /// 300 checkouts, 10 at a time.
    private static func sellMany(_ shop: Shop) async throws {
        try await withThrowingTaskGroup { group in
            for _ in 0..<10 { group.addTask { for _ in 0..<30 { _ = try await shop.sell(1) } } }
            try await group.waitForAll()
        }
    }

    @Test("what keeps failing is parked, seen and retried by admins alone, and the later events of its order follow in order")
    func parked() async throws {
        try await Self.withPlatform { _ in
            .status(200)
        } _: { platform, folder in
            try await Self.withShop(platform, folder, ["--data-platform-tries", "3"]) { shop in
                platform.react { $0.idempotencyKey == "1" ? .status(422) : .status(200) }
                let (order, payment) = try await shop.sell()
                _ = try await shop.admin.refund(payment, shop.product, 1).expect(201)
                _ = try await shop.admin.refund(payment).expect(201)
                _ = try await shop.sell()
                try await eventually("the event is parked") { try await shop.events("parked").count == 1 }
                let parked = try #require(try await shop.events("parked").first)
                #expect(parked["eventId"]?.int == 1 && parked["orderId"]?.int == order && parked["attempts"]?.int == 3)
                #expect(parked["lastError"]?.string?.contains("422") == true)
                #expect(try await shop.events("waiting").compactMap { $0["eventId"]?.int }.sorted() == [2, 3])
                #expect(try await shop.events("delivered").compactMap { $0["eventId"]?.int } == [4])
                #expect(platform.posts.map(\.idempotencyKey).sorted() == ["1", "1", "1", "4"])

                for stranger in [shop.user, Caller(pool: shop.user.pool)] {
                    let status = stranger.token == nil ? 401 : 403
                    #expect(try await stranger.get("/admin/events?state=parked").status == status)
                    #expect(try await stranger.post("/admin/events/1/retry").status == status)
                }
                #expect(try await shop.retry(2).code == "EVENT_NOT_PARKED")
                #expect(try await shop.retry(99).code == "EVENT_NOT_FOUND")

                platform.react { _ in .status(200) }
                // Two operators at once: one of them sends it.
                let answers = try await together([1, 1]) { try await shop.retry($0) }
                #expect(answers.statusCounts == ["200": 1, "409 EVENT_NOT_PARKED": 1])
                try await shop.allDelivered(4)
                #expect(platform.posts.map(\.idempotencyKey).suffix(3) == ["1", "2", "3"])
                #expect(Set(platform.posts.filter { $0.idempotencyKey == "1" }).count == 1)
                #expect(try await shop.retry(1).code == "EVENT_NOT_PARKED")
                #expect(try await shop.events("parked").isEmpty)
            }
        }
    }

    @Test("a platform that takes an event too late sees it again, the same, and its state only moves forward")
    func late() async throws {
        try await Self.withPlatform { post in
            post.idempotencyKey == "1" ? .hang(.milliseconds(4_000)) : .status(200)
        } _: { platform, folder in
            let flags = ["--data-platform-tries", "2", "--data-platform-timeout", "1s"]
            try await Self.withShop(platform, folder, flags) { shop in
                _ = try await shop.sell(1)
                try await eventually("the event is parked, for others are taken meanwhile") {
                    _ = try await shop.sell(1)
                    try await Task.sleep(for: .milliseconds(50))
                    return try await shop.events("parked").count == 1
                }
                try await eventually("the platform has taken both, and nobody listened") { platform.underWay == 0 }
                #expect(try await shop.events("parked").count == 1)
                platform.react { _ in .status(200) }
                #expect(try await shop.retry(1).status == 200)
                try await eventually("it is delivered") {
                    let (parked, waiting) = (try await shop.events("parked"), try await shop.events("waiting"))
                    return parked.isEmpty && waiting.isEmpty
                }
                let posts = platform.posts.filter { $0.idempotencyKey == "1" }
                #expect(posts.count == 3 && Set(posts).count == 1)
            }
        }
    }

    @Test("all that is parked is retried by one call, of an admin alone, and nothing else is")
    func retryAll() async throws {
        try await Self.withPlatform {
            (Int($0.idempotencyKey) ?? 0) <= 3 ? .status(422) : .status(200)
        } _: { platform, folder in
            try await Self.withShop(platform, folder, ["--data-platform-tries", "1"]) { shop in
                let (_, payment) = try await shop.sell()
                for _ in 0..<4 { _ = try await shop.sell() }
                _ = try await shop.admin.refund(payment).expect(201)
                try await eventually("the events are parked") { try await shop.events("parked").count == 3 }
                try await eventually("the others are delivered") { try await shop.events("delivered").count == 2 }
                for stranger in [shop.user, Caller(pool: shop.user.pool)] {
                    #expect(try await stranger.post("/admin/events/retry").status == (stranger.token == nil ? 401 : 403))
                }
                #expect(try await shop.events("waiting").compactMap { $0["eventId"]?.int } == [6])
                platform.react { _ in .status(200) }
                let answer = try await shop.admin.post("/admin/events/retry").expect(200)
                #expect(try answer.json()["retried"]?.int == 3)
                try await shop.allDelivered(6)
                #expect(platform.posts.count == 9)
                let keys = platform.posts.map(\.idempotencyKey)
                #expect(try #require(keys.lastIndex(of: "1")) < #require(keys.firstIndex(of: "6")), "the refund comes behind its sale")
                // Nothing is parked any more; a body changes nothing.
                #expect(try await shop.admin.post("/admin/events/retry", #"{"all": true}"#).expect(200).json()["retried"]?.int == 0)
            }
        }
    }

    #if DEBUG
    @Test("killed between the platform's 200 and the mark, the service sends the event again after its restart: same id, same bytes")
    func killedBeforeTheMark() async throws {
        try await Self.withPlatform { _ in
            .status(200)
        } _: { platform, folder in
            try await Self.withShop(platform, folder, environment: [FaultPoint.variable: "\(FaultPoint.afterDelivery.rawValue):1"]) {
                shop in
                // The answer may be lost with the process.
                _ = try? await shop.sell()
                let status = try await shop.serve.wait()
                #expect(status == nil)
            }
            #expect(platform.posts.count == 1)
            try await Self.withShop(platform, folder) { shop in
                try await shop.allDelivered(1)
                #expect(platform.posts.count == 2 && Set(platform.posts).count == 1, "\(platform.posts)")
                #expect(try Self.isSigned(try #require(platform.posts.last)))
                _ = try await shop.sell()
                try await shop.allDelivered(2)
                #expect(platform.posts.map(\.idempotencyKey) == ["1", "1", "2"])
            }
        }
    }
    #endif
}
