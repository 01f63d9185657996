import Commerce
import HTTPServer
import JSON
import Logging
import NIOCore
import Services
import TestSupport
import Testing

@testable import API

/// Limits of clients over the whole application. The rates are so low that no token comes back while a test runs.
@Suite("Limits of clients")
struct ClientLimitTests {
    private func limits(user: String? = nil, address: String? = nil, proxies: String? = nil) throws -> RequestLimits {
        var limits = RequestLimits()
        limits.user = try user.map { try #require(RateLimit($0)) }
        limits.address = try address.map { try #require(RateLimit($0)) }
        if let proxies { limits.trustedProxies = try #require(TrustedProxies(proxies)) }
        return limits
    }

    private let home = IPAddress("192.0.2.1") ?? .unspecified
    private let elsewhere = IPAddress("192.0.2.2") ?? .unspecified

    @Test("without limits no answer has a field about them")
    func off() async throws {
        try await ApplicationFixture.run { app in
            let answer = try await app.send(.get, "/api/v1/products", from: home)
            #expect(answer.status == 200 && answer.header("ratelimit") == nil && answer.header("ratelimit-policy") == nil)
        }
    }

    @Test("each answer says what is left; then 429 with the time until the next request is granted")
    func address() async throws {
        try await ApplicationFixture.run(limits: try limits(address: "2/h:3")) { app in
            for left in [2, 1, 0] {
                let answer = try await app.send(.get, "/api/v1/products", from: home)
                #expect(answer.status == 200)
                #expect(answer.header("ratelimit-policy") == #""address";q=3;w=5400"#)
                let state = try #require(answer.header("ratelimit"))
                #expect(state.hasPrefix(#""address";r=\#(left);t="#))
            }
            let refusal = try await app.send(.get, "/api/v1/products", from: home)
            #expect(refusal.status == 429 && refusal.code == "TOO_MANY_REQUESTS")
            #expect(refusal.contentType == "application/problem+json" && refusal.header("cache-control") == "no-store")
            let wait = try #require(refusal.header("retry-after").flatMap { Int($0) })
            #expect((1...1_800).contains(wait) && refusal.header("ratelimit") == #""address";r=0;t=\#(wait)"#)
            #expect(refusal.headers.count { $0.name == "retry-after" } == 1)
            #expect(try await app.send(.get, "/api/v1/products", from: elsewhere).status == 200)
        }
    }

    @Test("what watches the service is never limited; every other path is, with a route or without")
    func routes() async throws {
        try await ApplicationFixture.run(limits: try limits(address: "1/h")) { app in
            #expect(try await app.send(.get, "/nothing", from: home).status == 404)
            for path in ["/api/v1/products", "/openapi.json", "/nothing", "/api/v1/users/%FF"] {
                #expect(try await app.send(.get, path, from: home).status == 429, "\(path)")
            }
            #expect(try await app.send(.patch, "/api/v1/users", from: home).status == 429)
            for (path, status) in [("/healthz", 200), ("/metrics", 200), ("/readyz", 503)] {
                let answer = try await app.send(.get, path, from: home)
                #expect(answer.status == status && answer.header("ratelimit") == nil, "\(path)")
            }
        }
    }

    @Test("forged tokens use up the address; the 401 says so")
    func forgedTokens() async throws {
        try await ApplicationFixture.run(limits: try limits(user: "100/h", address: "2/h")) { app in
            let forged = [(name: "Authorization", value: "Bearer a.b.c")]
            let first = try await app.send(.get, "/api/v1/users/1", fields: forged, from: home)
            #expect(first.status == 401 && first.header("www-authenticate") != nil)
            #expect(first.header("ratelimit")?.hasPrefix(#""address";r=1;t="#) == true)
            #expect(first.header("ratelimit")?.contains("user") == false)
            #expect(first.header("ratelimit-policy") == #""address";q=2;w=3600, "user";q=100;w=3600"#)
            #expect(try await app.send(.get, "/api/v1/users/1", from: home).status == 401)
            #expect(try await app.send(.get, "/api/v1/users/1", fields: forged, from: home).status == 429)
        }
    }

    @Test("a user has one bucket wherever they come from, and a refused one leaves the handler alone")
    func user() async throws {
        try await ApplicationFixture.run(limits: try limits(user: "2/h", address: "100/h")) { app in
            for name in ["Lee", "Kim"] { _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, #"{"name":"\#(name)"}"#) }
            let (lee, kim) = (Identity.user(UserID(1)), Identity.user(UserID(2)))
            let charge = "/api/v1/users/1/balance/charges"
            for peer in [home, elsewhere] {
                let answer = try await app.send(.post, charge, as: lee, #"{"amount":1000}"#, from: peer)
                #expect(answer.status == 201)
                #expect(answer.header("ratelimit")?.contains(#", "user";r="#) == true)
            }
            let refusal = try await app.send(.post, charge, as: lee, #"{"amount":1000}"#, from: home)
            #expect(refusal.status == 429 && refusal.header("ratelimit")?.contains(#""user";r=0;t="#) == true)
            #expect(try await app.send(.get, "/api/v1/users/1/balance", as: .anyAdmin).json["balance"] == .integer(2_000))
            #expect(try await app.send(.get, "/api/v1/users/2/balance", as: kim, from: home).status == 200)
            // Open routes do not look at the token.
            #expect(try await app.send(.get, "/api/v1/products", as: lee, from: home).status == 200)
        }
    }

    @Test("admins have no bucket of their own, but their address has")
    func admins() async throws {
        try await ApplicationFixture.run(limits: try limits(user: "1/h", address: "3/h")) { app in
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await app.send(.get, "/api/v1/admin/events", as: .anyAdmin, from: home).status) }
            #expect(statuses == [200, 200, 200, 429])
        }
    }

    @Test("behind a trusted proxy each client has a bucket; a client that names another address is not believed")
    func proxies() async throws {
        try await ApplicationFixture.run(limits: try limits(address: "1/h", proxies: "10.0.0.0/8")) { app in
            let proxy = try #require(IPAddress("10.0.0.7"))
            func send(_ value: String, from peer: IPAddress) async throws -> Int {
                try await app.send(.get, "/api/v1/products", fields: [("X-Forwarded-For", value)], from: peer).status
            }
            #expect(try await send("192.0.2.1", from: proxy) == 200)
            #expect(try await send("192.0.2.1", from: proxy) == 429)
            #expect(try await send("198.51.100.9, 192.0.2.1", from: proxy) == 429)
            #expect(try await send("192.0.2.3", from: proxy) == 200)
            #expect(try await send("198.51.100.1", from: home) == 429)
            #expect(try await send("2001:db8::1", from: proxy) == 200)
            #expect(try await send("2001:db8::ffff:2", from: proxy) == 429)
            #expect(try await send("2001:db8:0:1::1", from: proxy) == 200)
            #expect(try await send("nonsense", from: proxy) == 200)
            #expect(try await send("more nonsense", from: proxy) == 429)
        }
    }

    @Test("a client that is refused costs the limiter alone: nothing is counted as a task or waits")
    func cheap() async throws {
        try await ApplicationFixture.run(limits: try limits(address: "1/h")) { app in
            let request = try #require(HTTPRequest(method: "GET", target: "/api/v1/products", eventLoop: app.loop, peer: home))
            let forms = try await app.loop.submit {
                let responder = app.api.responder(on: app.loop)
                return (0..<3).map { _ in
                    if case .now(let response) = responder(request) { response.status } else { 0 }
                }
            }.get()
            // The first one is a list, which needs a task.
            #expect(forms == [0, 429, 429])
        }
    }
}
