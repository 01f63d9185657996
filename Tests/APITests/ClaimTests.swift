import Commerce
import HTTPServer
import JSON
import NIOCore
import Redis
import TestSupport
import Testing

@testable import API

@Suite("Claims, on a real Redis")
struct ClaimTests {
    private static let path = "/api/v1/coupons/1/claims"

    /// An application with three users and one campaign of two coupons.
    private func withCampaign(_ body: @escaping @Sendable (ApplicationFixture) async throws -> Void) async throws {
        let redis = try TemporaryRedis()
        defer { redis.end() }
        try await ApplicationFixture.run(redis: .unix(path: redis.socketPath)) { app in
            for name in ["김하늘", "이바다", "박나무"] {
                _ = try await app.send(.post, "/api/v1/users", as: .anyAdmin, "{\"name\":\"\(name)\"}")
            }
            // The window is judged by Redis' own clock, so it opens at the epoch.
            let coupon = """
                {"name":"쿠폰","discount":{"type":"FIXED","amount":1000},"quantity":2,"opensAt":"1970-01-01T00:00:00Z"}
                """
            try #require(try await app.send(.post, "/api/v1/coupons", as: .anyAdmin, coupon).status == 201)
            try await body(app)
        }
    }

    @Test("two win, in order; a third is too late; who asks again is shown what they have")
    func firstCome() async throws {
        try await withCampaign { app in
            let first = try await app.send(.post, Self.path, as: .user(UserID(1)))
            #expect(first.status == 201)
            #expect(try first.json["sequence"] == .integer(1))
            let second = try await app.send(.post, Self.path, as: .user(UserID(2)))
            #expect(try second.json["sequence"] == .integer(2))
            let late = try await app.send(.post, Self.path, as: .user(UserID(3)))
            #expect(late.status == 409 && late.code == "COUPON_SOLD_OUT")
            let again = try await app.send(.post, Self.path, as: .user(UserID(1)))
            #expect(again.status == 409 && again.code == "COUPON_ALREADY_CLAIMED")
            #expect(try again.json["issuedCoupon"] == (try first.json))
            #expect(try await app.send(.get, "/api/v1/coupons/1").json["status"] == .string("SOLD_OUT"))
        }
    }

    @Test("claims are counted by outcome, and requests without an identity by reason")
    func counted() async throws {
        try await withCampaign { app in
            for user: Int64 in [1, 2, 3, 1, 9] { _ = try await app.send(.post, Self.path, as: .user(UserID(user))) }
            _ = try await app.send(.post, "/api/v1/coupons/7/claims", as: .user(UserID(1)))
            _ = try await app.send(.post, Self.path)
            let page = String(buffer: try await app.send(.get, "/metrics").body)
            let counts = page.matches(of: #/(?m)^firstcome_(?:claims|tokens_refused)_total\{[a-z]+="([a-z_]+)"\} (\d+)$/#)
            // User 9 does not exist, and is refused before the claim.
            let expected = ["issued": "2", "sold_out": "1", "already_claimed": "1", "coupon_not_found": "1", "missing": "1"]
            for match in counts { #expect(String(match.2) == expected[String(match.1), default: "0"], "\(match.0)") }
            #expect(Set(expected.keys).isSubset(of: counts.map { String($0.1) }))
        }
    }

    @Test("a claim with a key is replayed byte for byte, where one without is refused")
    func replay() async throws {
        try await withCampaign { app in
            let first = try await app.send(.post, Self.path, as: .user(UserID(1)), key: "once")
            let again = try await app.send(.post, Self.path, as: .user(UserID(1)), key: "once")
            #expect(first.status == 201 && again.status == 201 && again.body == first.body)
            #expect(again.header("idempotent-replayed") == "true")
            #expect(try await app.send(.post, Self.path, as: .user(UserID(1)), key: "twice").code == "COUPON_ALREADY_CLAIMED")
        }
    }

    @Test("a campaign that does not exist, has not opened or has closed is told apart")
    func windows() async throws {
        try await withCampaign { app in
            #expect(try await app.send(.post, "/api/v1/coupons/9/claims", as: .user(UserID(1))).code == "COUPON_NOT_FOUND")
            let future = #"{"name":"a","discount":{"type":"PERCENT","percent":5},"quantity":1,"opensAt":"9000-01-01T00:00:00Z"}"#
            _ = try await app.send(.post, "/api/v1/coupons", as: .anyAdmin, future)
            let early = try await app.send(.post, "/api/v1/coupons/2/claims", as: .user(UserID(1)))
            #expect(early.code == "COUPON_NOT_OPEN" && early.header("retry-after") != nil)
            #expect(try early.json["opensAt"] == .string("9000-01-01T00:00:00.000Z"))
            let past = """
                {"name":"b","discount":{"type":"PERCENT","percent":5},"quantity":1,"opensAt":"1970-01-01T00:00:00Z",\
                "closesAt":"1970-01-02T00:00:00Z"}
                """
            _ = try await app.send(.post, "/api/v1/coupons", as: .anyAdmin, past)
            #expect(try await app.send(.post, "/api/v1/coupons/3/claims", as: .user(UserID(1))).code == "COUPON_CLOSED")
        }
    }
}
