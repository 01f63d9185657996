import API
import App
import Commerce
import HTTPServer
import JSON
import NIOCore
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Operators who watch the service", .everyEngine)
    struct LiveStreamTests {}
}

extension EndToEnd.LiveStreamTests {
    /// A client of the stream. Its calls block.
    ///
    /// Safety of `@unchecked Sendable`: each test uses it from one `offPool` body at a time.
    private final class Watcher: @unchecked Sendable {
        let client: RawHTTPClient
        let head: RawHTTPResponse

        init(_ live: LiveService, _ query: String = "") throws {
            client = try RawHTTPClient(port: live.port)
            try client.send("GET /api/v1/admin/live\(query) HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer \(live.admin.token ?? "")\r\n\r\n")
            head = try client.readHead()
        }

        func next() throws -> JSONValue {
            let event = String(decoding: try client.readChunk(), as: UTF8.self)
            guard event.hasPrefix("event: snapshot\ndata: "), event.hasSuffix("\n\n") else { throw RawHTTPClient.Failure.malformed(event) }
            return try JSONParser.parse(ByteBuffer(string: String(event.dropFirst("event: snapshot\ndata: ".count))))
        }

        /// The first event that satisfies the condition.
        func first(where condition: (JSONValue) -> Bool) throws -> JSONValue {
            for _ in 0..<120 {
                let event = try next()
                if condition(event) { return event }
            }
            throw RawHTTPClient.Failure.timedOut
        }
    }

    @Test("a watcher sees campaigns, winners, claims, payments and health, at once and then as they change")
    func watching() async throws {
        try await LiveService.run { live in
            let first = try await live.admin.makeCoupon(quantity: 3)
            let watched = try await live.admin.makeCoupon(quantity: 2)
            let users = try await [live.newUser(balance: 100_000), live.newUser(balance: 100_000), live.newUser()]
            let product = try await live.admin.makeProduct(price: 1_000, stock: 50)
            let watcher = try await offPool { try Watcher(live, "?couponId=\(watched)") }
            #expect(watcher.head.status == 200 && watcher.head["content-type"] == "text/event-stream")
            #expect(watcher.head["cache-control"] == "no-store" && watcher.head["x-request-id"] != nil)
            let begun = try await offPool { try watcher.next() }
            #expect(begun["sale"]?["couponId"] == .integer(watched) && begun["sale"]?["latestWinners"] == .array([]))
            let listed = begun["campaigns"]?.elements?.compactMap { $0["couponId"] } ?? []
            #expect(listed.count == 2 && listed.contains(.integer(first)) && listed.contains(.integer(watched)))
            #expect(begun["timeZone"] == .string("Asia/Seoul") && begun["claims"]?["wonPerSecond"] == .null)
            let engine = Engine.database == nil ? "sqlite" : "postgresql"
            #expect(begun["health"]?["store"]?["engine"] == .string(engine))
            for user in users { _ = try await user.claim(watched) }
            _ = try await users[0].checkout(product, 2).expect(201)
            let won = try await offPool {
                try watcher.first { $0["sale"]?["latestWinners"]?.elements?.count == 2 && $0["claims"]?["wonPerSecond"] != .null }
            }
            #expect(won["sale"]?["latestWinners"]?.elements?.compactMap { $0["sequence"] } == [.integer(2), .integer(1)])
            let campaign = won["campaigns"]?.elements?.first { $0["couponId"] == .integer(watched) }
            #expect(campaign?["remaining"] == .integer(0) && campaign?["status"] == .string("SOLD_OUT"))
            #expect(won["health"]?["ready"] == .bool(true) && won["health"]?["missing"] == .array([]))
            // What is quiet again is zero, and its times unknown.
            let quiet = try await offPool { try watcher.first { $0["payments"]?["p50"] == .null } }
            #expect(quiet["payments"]?["wonPerSecond"]?.isZero == true)
            // Claims and payments while somebody watches.
            let other = try await live.admin.makeCoupon(quantity: 2)
            for user in users { _ = try await user.claim(other) }
            _ = try await users[1].checkout(product, 3).expect(201)
            let busy = try await offPool { try watcher.first { $0["payments"]?["p50"] != .null } }
            #expect(busy["payments"]?["wonPerSecond"]?.isZero == false && busy["payments"]?["perSecond"]?.isZero == false)
            try await offPool { watcher.client.close() }
            try await eventually("the stream has ended") { live.running.server.statistics.requestsInFlight == 0 }
        }
    }

    @Test("at most 32 watch one service; one more is told when to come back, and may come when another has left")
    func bound() async throws {
        try await LiveService.run { live in
            let watchers = try await offPool { try (0..<32).map { _ in try Watcher(live) } }
            for watcher in watchers { #expect(watcher.head.status == 200) }
            let refused = try await live.admin.get("/admin/live")
            #expect(refused.status == 503 && refused.code == "TEMPORARILY_UNAVAILABLE" && refused[header: "retry-after"] == "5")
            try await offPool { watchers[0].client.reset() }
            try await eventually("a place is free") {
                try await offPool {
                    let next = try Watcher(live)
                    defer { next.client.close() }
                    return next.head.status == 200
                }
            }
            try await offPool { for watcher in watchers { watcher.client.close() } }
        }
    }

    @Test("a service that stops ends the stream in order")
    func drain() async throws {
        try await LiveService.run { live in
            let watcher = try await offPool { try Watcher(live) }
            async let stopped: Void = live.running.server.drain(deadline: .seconds(60))
            try await offPool {
                while case let chunk = try watcher.client.readChunk(), !chunk.isEmpty {}
                #expect(try watcher.client.readsEnd())
            }
            await stopped
        }
    }
}

extension JSONValue {
    fileprivate var isZero: Bool {
        switch self {
        case .integer(let number): number == 0
        case .number(let text): Double(text) == 0
        case .null, .bool, .hugeInteger, .string, .array, .object: false
        }
    }
}
