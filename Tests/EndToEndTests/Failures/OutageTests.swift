import API
import App
import Commerce
import Foundation
import HTTPServer
import JSON
import Redis
import Services
import Store
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Health, and what goes on while Redis does not", .everyEngine)
    struct OutageTests {}
}

extension EndToEnd.OutageTests {
    private static func withExternalRedis(
        _ change: (inout LiveService.Setup) -> Void = { _ in }, _ body: (LiveService, TemporaryRedis) async throws -> Void
    ) async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        var setup = LiveService.Setup()
        setup.redis = try RedisEndpoint(url: redis.url)
        change(&setup)
        try await LiveService.run(setup) { try await body($0, redis) }
    }

    @Test("a service that is ready says so, and its metrics count its requests and its commits")
    func ready() async throws {
        try await LiveService.run { live in
            #expect(try await live.guest.get("/healthz").expect(200).text == #"{"status":"ok"}"#)
            // Asked without HTTP, so that one request is counted below.
            try await eventually("the campaigns have been looked at") { await live.running.services.readiness().isReady }
            #expect(try await live.guest.get("/readyz").expect(200).text == #"{"status":"ready"}"#)
            _ = try await live.newUser(balance: 1_000)
            let metrics = try await live.guest.get("/metrics").expect(200)
            #expect(metrics[header: "content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            let lines = metrics.text.split(separator: "\n").map(String.init)
            #expect(lines.contains(#"firstcome_http_requests_total{method="POST",route="/api/v1/users",code="201"} 1"#))
            #expect(lines.contains(#"firstcome_http_request_seconds_count{method="GET",route="/readyz"} 1"#))
            #expect(lines.contains("firstcome_http_requests_in_flight 0"))
            let commits = try #require(lines.first { $0.hasPrefix("firstcome_store_commits_total ") }).split(separator: " ").last.flatMap {
                Int($0)
            }
            #expect((commits ?? 0) >= 2)
            for line in lines where !line.hasPrefix("#") { #expect(line.wholeMatch(of: /[a-z_]+(\{.*\})? [-+.e0-9]+/) != nil, "\(line)") }
        }
    }

    @Test("with Redis away claims are told to come back, everything else goes on, and afterwards nothing is missing")
    func redisAway() async throws {
        try await Self.withExternalRedis { live, redis in
            let (admin, guest) = (live.admin, live.guest)
            let product = try await admin.makeProduct(price: 1_000)
            let coupon = try await admin.makeCoupon(quantity: 10)
            let user = try await live.newUser(balance: 50_000)
            let winner = try await live.newUser()
            let won = try await winner.claim(coupon).expect(201)
            try await offPool { redis.kill() }

            let refused = try await user.claim(coupon)
            #expect(refused.status == 503 && refused.code == "TEMPORARILY_UNAVAILABLE", "\(refused.text)")
            #expect(refused[header: "retry-after"].flatMap { Int($0) } ?? 0 >= 1)
            let readiness = try await guest.get("/readyz")
            #expect(readiness.status == 503 && readiness[header: "retry-after"] != nil)
            #expect(try readiness.value("missing").elements?.contains(.string("redis")) == true)
            #expect(try await guest.get("/healthz").status == 200)
            #expect(try await guest.get("/metrics").status == 200)

            try await user.charge(1_000)
            #expect(try await user.balance == 51_000)
            let paid = try await user.checkout(product, 3).expect(201)
            let order = try await user.order(product, 2).expect(201).int("orderId")
            _ = try await user.pay(order).expect(201)
            _ = try await admin.refund(paid.int("payment", "paymentId"), product, 1).expect(201)
            for path in ["/products", "/products/\(product)", "/products/top", "/coupons", "/coupons/\(coupon)"] {
                #expect(try await guest.get(path).status == 200, "\(path)")
            }
            #expect(try await user.get("/users/\(user.id)/orders").items().count == 2)
            // A campaign made now stands in the store and opens when Redis is back.
            let later = try await admin.makeCoupon(quantity: 1)
            #expect(try await admin.get("/admin/events?state=waiting").items().count == 3)

            try await offPool { try redis.start() }
            // The server comes back empty: what it knew is rebuilt from the store.
            try await eventually("the service is ready again") { try await guest.get("/readyz").status == 200 }
            #expect(try await user.claim(coupon).expect(201).int("sequence") == 2)
            #expect(try await winner.claim(coupon).value("issuedCoupon") == won.json())
            #expect(try await user.claim(later).status == 201)
            try await eventually("the outbox catches up") {
                try await live.redis(RedisCommand("XLEN", "events:{orders}")).integer == 3
            }
            try await eventually("the sales are counted") {
                try await guest.get("/products/top").items().map { $0["unitsSold"]?.int } == [4]
            }
            let report = try await live.audit()
            #expect(report.isClean, "\(report.checks.flatMap(\.violations))")
        }
    }

    @Test("a service that starts while Redis is away serves what it can and joins Redis when it comes")
    func startWithoutRedis() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        try await offPool { redis.kill() }
        var setup = LiveService.Setup()
        setup.redis = try RedisEndpoint(url: redis.url)
        try await LiveService.run(setup) { live in
            let user = try await live.newUser(balance: 1_000)
            let coupon = try await live.admin.makeCoupon(quantity: 3)
            #expect(try await live.guest.get("/readyz").status == 503)
            #expect(try await user.claim(coupon).status == 503)
            try await offPool { try redis.start() }
            try await eventually("the service is ready") { try await live.guest.get("/readyz").status == 200 }
            #expect(try await user.claim(coupon).expect(201).int("sequence") == 1)
        }
    }

    @Test("the private redis-server that is killed is started again, and no winner is forgotten")
    func privateRedisRestarts() async throws {
        try await LiveService.run { live in
            let coupon = try await live.admin.makeCoupon(quantity: 50)
            let users = try await live.newUsers(60)
            for user in users[..<20] { _ = try await user.claim(coupon).expect(201) }
            let server = try PrivateRedis(dataFolder: live.folder)
            let killed = try #require(server.runningPID)
            kill(killed, SIGKILL)
            try await eventually("another redis-server runs") { server.runningPID.map { $0 != killed } == true }
            try await eventually("the service is ready") { try await live.guest.get("/readyz").status == 200 }
            for user in users[..<20] { #expect(try await user.claim(coupon).code == "COUPON_ALREADY_CLAIMED") }
            var rest: [TestSupport.HTTPAnswer] = []
            for user in users[20...] { rest.append(try await user.claim(coupon)) }
            #expect(rest.statusCounts == ["201": 30, "409 COUPON_SOLD_OUT": 10])
            let stored = try await live.store.claims(of: CouponID(coupon), afterSequence: 0, limit: 100)
            #expect(stored.map(\.sequence) == Array(1...50))
            let report = try await live.audit()
            #expect(report.isClean, "\(report.checks.flatMap(\.violations))")
        }
    }

    @Test("requests beyond what runs at once are told to come back, and those that run are answered")
    func tooMany() async throws {
        try await Self.withExternalRedis {
            $0.maximumRequestsInFlight = 8
        } _: { live, redis in
            let coupon = try await live.admin.makeCoupon(quantity: 100)
            let users = try await live.newUsers(40)
            // A Redis that stands still keeps the first claims inside their handlers.
            redis.pause()
            async let claims = together(users) { try await $0.claim(coupon) }
            try await eventually("the excess is refused") { live.running.server.statistics.refusedRequests >= 32 }
            let health = try await live.guest.get("/healthz")
            redis.resume()
            #expect(health.status == 429 && health.code == "TOO_MANY_REQUESTS")
            #expect(health[header: "retry-after"] != nil)
            let answers = try await claims
            #expect(answers.statusCounts["429 TOO_MANY_REQUESTS"] == 32)
            // Winners, or people told to ask again where the pause outlasted the deadline of a command.
            #expect(answers.filter { $0.status == 201 || $0.status == 503 }.count == 8, "\(answers.statusCounts)")
            for user in users {
                let again = try await user.claim(coupon)
                #expect(again.status == 201 || again.code == "COUPON_ALREADY_CLAIMED")
            }
            #expect(try await live.sortedSet("coupon:{\(coupon)}:claims").map(\.score) == Array(1...40))
        }
    }

    @Test("what goes wrong inside is a 500 that tells nothing of the inside")
    func internalError() async throws {
        try await Self.withExternalRedis { live, redis in
            let coupon = try await live.admin.makeCoupon(quantity: 10)
            let user = try await live.newUser()
            _ = try await offPool { try redis.cli("ACL", "SETUSER", "default", "-evalsha", "-eval") }
            let answer = try await user.claim(coupon)
            #expect(answer.status == 500 && answer.code == "INTERNAL")
            #expect(answer.text.wholeMatch(of: /.*(NOPERM|redis|Redis|evalsha|ACL|Swift).*/) == nil, "\(answer.text)")
            _ = try await offPool { try redis.cli("ACL", "SETUSER", "default", "+@all") }
            #expect(try await user.claim(coupon).status == 201)
        }
    }

    @Test("a stop lets a running request finish, takes no new ones, and leaves neither process nor port behind")
    func gracefulStop() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        let folder = TemporaryFolder()
        defer {
            redis.end()
            folder.remove()
        }
        var setup = LiveService.Setup()
        setup.redis = try RedisEndpoint(url: redis.url)
        let running = try await LiveService.start(in: folder.path, setup)
        let port = try #require(running.server.port)
        let end = Instant(milliseconds: 4_102_444_800_000)
        let pool = HTTPPool(port: port, maximumConnections: 4)
        let admin = Caller(pool: pool, token: running.tokenKey.sign(.anyAdmin, issuedAt: WallClock.system.now, expiresAt: end))
        let id = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201).int("userId")
        let coupon = try await admin.makeCoupon()
        let user = Caller(
            pool: pool, token: running.tokenKey.sign(.user(UserID(id)), issuedAt: WallClock.system.now, expiresAt: end), id: id)

        redis.pause()
        async let claim = user.claim(coupon)
        try await eventually("the claim is inside its handler") { running.server.statistics.requestsInFlight == 1 }
        async let stopped: Void = running.stop()
        try await eventually("nobody can connect any more") {
            (try? await offPool { try RawHTTPClient(port: port).exchange("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status }) != 200
        }
        redis.resume()
        let answer = try await claim
        await stopped
        #expect(answer.status == 201, "\(answer.text)")
        #expect(answer[header: "connection"] == "close")
        // The row is on disk: the next service answers with it.
        let next = try await LiveService.start(in: folder.path, setup)
        let nextPool = HTTPPool(port: try #require(next.server.port), maximumConnections: 1)
        let again = try await Caller(pool: nextPool, token: user.token, id: id).claim(coupon)
        #expect(try again.value("issuedCoupon") == answer.json())
        await next.stop()
    }
}
