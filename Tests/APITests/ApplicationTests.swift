import Commerce
import HTTPServer
import JSON
import Logging
import NIOCore
import NIOPosix
import Store
import Testing

@testable import API

private let user = Identity.user(UserID(1))

@Suite("The application, without a socket and with Redis away")
struct ApplicationTests {
    /// An application with one user, number 1.
    private func withUser(_ body: @escaping @Sendable (ApplicationFixture) async throws -> Void) async throws {
        try await ApplicationFixture.run { app in
            let made = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"김하늘"}"#)
            try #require(made.status == 201)
            try await body(app)
        }
    }

    @Test("a user who is made can be read where Location says")
    func location() async throws {
        try await ApplicationFixture.run { app in
            let made = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"김하늘"}"#)
            #expect(made.status == 201 && made.contentType == "application/json")
            let location = try #require(made.header("location"))
            #expect(location == "/api/v1/users/1")
            let read = try await app.send(.get, location, as: user)
            #expect(read.status == 200 && read.header("cache-control") == "no-store")
            #expect(try read.json == (try made.json))
        }
    }

    @Test("the same key gives the first answer again, byte for byte, and changes nothing")
    func replay() async throws {
        try await withUser { app in
            let path = "/api/v1/users/1/balance/charges"
            let first = try await app.send(.post, path, as: user, key: "a", #"{"amount":5000}"#)
            let again = try await app.send(.post, path, as: user, key: "a", #"{"amount":5000}"#)
            #expect(first.status == 201 && again.status == 201 && again.body == first.body)
            #expect(first.header("idempotent-replayed") == nil && again.header("idempotent-replayed") == "true")
            #expect(try await app.send(.get, "/api/v1/users/1/balance", as: user).json["balance"] == .integer(5000))
            let withoutKey = try await app.send(.post, path, as: user, #"{"amount":5000}"#)
            #expect(try withoutKey.json["balance"] == .integer(10_000))
        }
    }

    @Test("a replay carries the Location of the first answer")
    func replayedLocation() async throws {
        try await ApplicationFixture.run { app in
            for replayed in [nil, "true"] as [String?] {
                let made = try await app.send(.post, "/api/v1/users", as: .anyAdmin, key: "k", #"{"name":"a"}"#)
                #expect(made.header("location") == "/api/v1/users/1" && made.header("idempotent-replayed") == replayed)
            }
        }
    }

    @Test("a key of another body, route or method is refused; another person's key is another key")
    func reuse() async throws {
        try await withUser { app in
            let path = "/api/v1/users/1/balance/charges"
            _ = try await app.send(.post, path, as: user, key: "a", #"{"amount":5000}"#)
            let otherBody = try await app.send(.post, path, as: user, key: "a", #"{"amount":5001}"#)
            #expect(otherBody.status == 422 && otherBody.code == "IDEMPOTENCY_KEY_REUSED")
            let otherRoute = try await app.send(.post, "/api/v1/payments", as: user, key: "a", #"{"amount":5000}"#)
            #expect(otherRoute.code == "IDEMPOTENCY_KEY_REUSED")
            let admin = try await app.send(.post, path, as: .anyAdmin, key: "a", #"{"amount":5000}"#)
            #expect(admin.status == 201 && admin.header("idempotent-replayed") == nil)
        }
    }

    @Test("a refusal is not remembered, so the same key may succeed later")
    func refusalsAreForgotten() async throws {
        try await withUser { app in
            _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, #"{"name":"감귤","price":2000,"stock":5}"#)
            let order = #"{"items":[{"productId":1,"quantity":2}]}"#
            let poor = try await app.send(.post, "/api/v1/checkout", as: user, key: "c", order)
            #expect(poor.status == 409 && poor.code == "INSUFFICIENT_BALANCE")
            _ = try await app.send(.post, "/api/v1/users/1/balance/charges", as: user, #"{"amount":5000}"#)
            let paid = try await app.send(.post, "/api/v1/checkout", as: user, key: "c", order)
            #expect(paid.status == 201 && paid.header("location") == "/api/v1/orders/1")
            #expect(try paid.json["payment"]?["balance"] == .integer(1000))
        }
    }

    @Test("of a hundred parallel requests with one key one takes effect, and the others get its answer or 409")
    func parallel() async throws {
        try await withUser { app in
            let path = "/api/v1/users/1/balance/charges"
            let answers = try await app.sendTogether(100, .post, path, as: user, key: "p", #"{"amount":1000}"#)
            let successes = answers.filter { $0.status == 201 }
            #expect(successes.count { $0.header("idempotent-replayed") == nil } == 1)
            #expect(Set(successes.map { String(buffer: $0.body) }).count == 1)
            #expect(answers.allSatisfy { $0.status == 201 || $0.code == "IDEMPOTENCY_KEY_IN_USE" })
            #expect(try await app.send(.get, "/api/v1/users/1/balance", as: user).json["balance"] == .integer(1000))
        }
    }

    @Test(
        "a key that is empty, too long or not visible ASCII is refused",
        arguments: ["", " ", "a b", "키", String(repeating: "k", count: 256)])
    func badKey(key: String) async throws {
        try await withUser { app in
            let answer = try await app.send(.post, "/api/v1/users/1/balance/charges", as: user, key: key, #"{"amount":1000}"#)
            #expect(answer.status == 400 && answer.code == "INVALID_REQUEST")
            #expect(try answer.json["errors"]?.elements?.first?["field"] == .string("Idempotency-Key"))
            #expect(try await app.send(.get, "/api/v1/users/1/balance", as: user).json["balance"] == .integer(0))
        }
    }

    @Test("charges outside the policy are refused by their own code", arguments: ["0", "-1", "999", "1000001", "9223372036854775807"])
    func amounts(amount: String) async throws {
        try await withUser { app in
            let answer = try await app.send(.post, "/api/v1/users/1/balance/charges", as: user, "{\"amount\":\(amount)}")
            #expect(answer.status == 400 && answer.code == "AMOUNT_OUT_OF_RANGE")
        }
    }

    @Test("no token, a stranger, an admin on a user's route and a missing user are told apart")
    func authorization() async throws {
        try await withUser { app in
            let balance = "/api/v1/users/1/balance"
            let missing = try await app.send(.get, balance)
            #expect(missing.status == 401 && missing.header("www-authenticate")?.hasPrefix("Bearer") == true)
            #expect(try await app.send(.get, balance, as: .user(UserID(2))).code == "FORBIDDEN")
            #expect(try await app.send(.get, balance, as: .anyAdmin).status == 200)
            #expect(try await app.send(.get, "/api/v1/users/2/balance", as: .user(UserID(2))).code == "USER_NOT_FOUND")
            #expect(try await app.send(.post, "/api/v1/orders", as: .anyAdmin, "{}").code == "FORBIDDEN")
            #expect(try await app.send(.post, "/api/v1/users", as: user, #"{"name":"a"}"#).code == "FORBIDDEN")
            #expect(try await app.send(.get, "/api/v1/orders/1", as: .user(UserID(9))).code == "USER_NOT_FOUND")
        }
    }

    @Test("an order of somebody else can be neither read nor cancelled nor paid")
    func ownership() async throws {
        try await withUser { app in
            _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"이바다"}"#)
            _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, #"{"name":"감귤","price":2000,"stock":5}"#)
            let placed = try await app.send(.post, "/api/v1/orders", as: user, #"{"items":[{"productId":1,"quantity":2}]}"#)
            #expect(placed.status == 201)
            let stranger = Identity.user(UserID(2))
            #expect(try await app.send(.get, "/api/v1/orders/1", as: stranger).code == "FORBIDDEN")
            #expect(try await app.send(.post, "/api/v1/orders/1/cancel", as: stranger).code == "FORBIDDEN")
            #expect(try await app.send(.post, "/api/v1/payments", as: stranger, #"{"orderId":1}"#).code == "FORBIDDEN")
            #expect(try await app.send(.get, "/api/v1/orders/1", as: user).json["status"] == .string("PENDING"))
            #expect(try await app.send(.post, "/api/v1/orders/1/cancel", as: .anyAdmin).json["status"] == .string("CANCELLED"))
        }
    }

    @Test("an unknown path is 404, a known one with another method 405 with Allow, a malformed one 400")
    func routing() async throws {
        try await ApplicationFixture.run { app in
            #expect(try await app.send(.get, "/api/v1/nothing").code == "NOT_FOUND")
            let wrong = try await app.send(.delete, "/api/v1/products/1")
            #expect(wrong.code == "METHOD_NOT_ALLOWED" && wrong.header("allow") == "GET, HEAD, PATCH")
            #expect(try await app.send(.get, "/api/v1/products/%zz").code == "INVALID_REQUEST")
            for id in ["0", "-1", "abc", "01", "9223372036854775808", "1.0"] {
                let answer = try await app.send(.get, "/api/v1/products/\(id)")
                #expect(answer.status == 400, "\(id)")
                #expect(try answer.json["errors"]?.elements?.first?["field"] == .string("productId"))
            }
        }
    }

    @Test("a body of another type is 415, one that is no object 400, and a claim's is not looked at")
    func bodies() async throws {
        try await withUser { app in
            #expect(try await app.send(.post, "/api/v1/users", as: .anyAdmin, "name=a", contentType: "text/plain").status == 415)
            #expect(try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"a"}"#, contentType: nil).status == 415)
            #expect(try await app.send(.post, "/api/v1/users", as: .anyAdmin, "{").status == 400)
            // There is no such campaign, which is found out where the body is passed over.
            for type in ["application/json", "text/plain"] {
                #expect(try await app.send(.post, "/api/v1/coupons/1/claims", as: user, "nonsense", contentType: type).status == 404)
            }
            let nothing = try await app.send(.post, "/api/v1/users", as: .anyAdmin)
            #expect(try nothing.json["errors"]?.elements?.first?["field"] == .string("name"))
        }
    }

    @Test("a cursor that no list gave out is refused, one that a list gave out goes on")
    func cursors() async throws {
        try await ApplicationFixture.run { app in
            for name in ["가", "나", "다"] {
                _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, "{\"name\":\"\(name)\",\"price\":1,\"stock\":1}")
            }
            let bad = try await app.send(.get, "/api/v1/products?cursor=nonsense")
            #expect(bad.status == 400)
            #expect(try bad.json["errors"]?.elements?.first?["field"] == .string("cursor"))
            let first = try await app.send(.get, "/api/v1/products?limit=2")
            let cursor = try #require(try first.json["nextCursor"]?.text)
            let second = try await app.send(.get, "/api/v1/products?limit=2&cursor=\(cursor)")
            #expect(try second.json["items"]?.elements?.count == 1)
            #expect(try second.json["nextCursor"] == .null)
        }
    }

    @Test("with Redis away reads of campaigns and the top list answer, and a claim is 503 with Retry-After")
    func withoutRedis() async throws {
        try await withUser { app in
            let coupon = #"{"name":"쿠폰","discount":{"type":"FIXED","amount":1000},"quantity":1}"#
            #expect(try await app.send(.post, "/api/v1/coupons", as: .anyAdmin, coupon).status == 201)
            #expect(try await app.send(.get, "/api/v1/coupons/1").json["status"] == .string("OPEN"))
            let top = try await app.send(.get, "/api/v1/products/top")
            #expect(top.status == 200)
            #expect(try top.json["items"] == .array([]))
            let claim = try await app.send(.post, "/api/v1/coupons/1/claims", as: user)
            #expect(claim.status == 503 && claim.code == "TEMPORARILY_UNAVAILABLE" && claim.header("retry-after") != nil)
            let ready = try await app.send(.get, "/readyz")
            #expect(ready.status == 503)
            #expect(try ready.json["missing"]?.elements?.contains(.string("redis")) == true)
            #expect(try await app.send(.get, "/healthz").status == 200)
        }
    }

    @Test("the metrics count each route by status code, in the text format")
    func metrics() async throws {
        try await ApplicationFixture.run { app in
            for _ in 0..<3 { _ = try await app.send(.get, "/healthz") }
            _ = try await app.send(.get, "/api/v1/products/1")
            _ = try await app.send(.get, "/nothing")
            let answer = try await app.send(.get, "/metrics")
            #expect(answer.contentType == "text/plain; version=0.0.4; charset=utf-8")
            let text = String(buffer: answer.body)
            #expect(text.contains("firstcome_http_requests_total{method=\"GET\",route=\"/healthz\",code=\"200\"} 3\n"))
            #expect(
                text.contains("firstcome_http_requests_total{method=\"GET\",route=\"/api/v1/products/{productId}\",code=\"404\"} 1\n"))
            #expect(text.contains("firstcome_http_requests_total{method=\"\",route=\"none\",code=\"404\"} 1\n"))
            #expect(text.contains("firstcome_http_request_seconds_bucket{method=\"GET\",route=\"/healthz\",le=\"+Inf\"} 3\n"))
            #expect(text.contains("firstcome_http_request_seconds_count{method=\"GET\",route=\"/healthz\"} 3\n"))
            #expect(text.contains("# TYPE firstcome_store_commits_total counter\n"))
            let names = text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] }
            #expect(Set(names).count == names.count)
        }
    }

    @Test("the server's numbers can be read for years, and are gone with the server")
    func serverStatistics() async throws {
        try await ApplicationFixture.run { app in
            #expect(app.api.serverStatistics == nil)
            try withExtendedLifetime(
                HTTPListener(
                    configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0),
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton, handler: { _ in HTTPResponse(status: 200) },
                    refusalResponse: { HTTPResponse(status: $0.status) }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            ) { server in
                app.api.report(servers: [server])
                // Reading it once wrapped it once more: after some ten thousand scrapes the stack overflowed.
                for _ in 0..<200_000 { try #require(app.api.serverStatistics?.openConnections == 0) }
            }
            #expect(app.api.serverStatistics == nil)
        }
    }

    @Test("events are listed for admins, and one that is not parked cannot be retried")
    func events() async throws {
        try await withUser { app in
            _ = try await app.send(.post, "/api/v1/products", as: .anyAdmin, #"{"name":"감귤","price":1000,"stock":5}"#)
            _ = try await app.send(.post, "/api/v1/users/1/balance/charges", as: user, #"{"amount":1000}"#)
            _ = try await app.send(.post, "/api/v1/checkout", as: user, #"{"items":[{"productId":1,"quantity":1}]}"#)
            let waiting = try await app.send(.get, "/api/v1/admin/events?state=waiting", as: .anyAdmin)
            #expect(try waiting.json["items"]?.elements?.first?["type"] == .string("ORDER_PAID"))
            #expect(try await app.send(.get, "/api/v1/admin/events?state=parked", as: .anyAdmin).json["items"] == .array([]))
            #expect(try await app.send(.post, "/api/v1/admin/events/1/retry", as: .anyAdmin).code == "EVENT_NOT_PARKED")
            #expect(try await app.send(.post, "/api/v1/admin/events/2/retry", as: .anyAdmin).code == "EVENT_NOT_FOUND")
            _ = try await app.store.park(EventID(1), error: "the platform answered 500")
            let retried = try await app.send(.post, "/api/v1/admin/events/1/retry", as: .anyAdmin)
            #expect(try retried.json["state"] == .string("waiting"))
        }
    }
}
