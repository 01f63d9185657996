import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Campaigns that ended long ago")
    struct ArchivedCampaignsTests {}
}

extension EndToEnd.ArchivedCampaignsTests {
    private static func metric(_ name: String, _ guest: Caller) async throws -> Int? {
        let line = try await guest.get("/metrics").expect(200).text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }.map { Int($0) }
    }

    /// How soon it listens and is ready depends on the machine: `make bench` has a place for that.
    @Test("a million coupons of ended campaigns keep nobody waiting: their claims are not read, and Redis ends up without their gates")
    func million() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        let shop = EndedCampaigns(campaigns: 1_000, claimsOfEach: 1_000)
        try await withDataFolder { folder in
            try await offPool {
                try shop.make(in: folder)
                try shop.loadGates(ofFirst: 20, into: redis)
            }
            // With one loop there is one connection to Redis, so one look at the start.
            let arguments = ["--port", "0", "--redis", redis.url, "--loops", "1"]
            try await withServe(folder, arguments) { serve in
                let guest = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await guest.get("/readyz").status == 200 }
                // The open campaign's gate was built, which needs no comparison.
                try await eventually("the gates of ended campaigns are gone") {
                    try redis.cli("KEYS", "coupon:*").split(separator: "\n").allSatisfy { $0.hasPrefix("coupon:{\(shop.open)}") }
                }
                #expect(try redis.cli("ZCARD", "coupon:{\(shop.open)}:claims") == "1000")
                // Both sides of the gates that were there, before these were removed.
                let compared = try await Self.metric("firstcome_recovery_claims_compared_total", guest)
                #expect(compared == 2 * 20 * 1_000)
                let admin = Caller(
                    pool: HTTPPool(port: serve.port, maximumConnections: 1),
                    token: try await Tool.run("token", "--data", folder, "--admin").lines[0])
                #expect(try await admin.get("/coupons/7").expect(200).string("status") == "CLOSED")
                try await serve.end(SIGTERM)
            }
            // The second start has nothing to remove, and compares the open campaign's gate alone.
            try await withServe(folder, arguments) { serve in
                let guest = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1))
                try await eventually("the service is ready") { try await guest.get("/readyz").status == 200 }
                #expect(try await Self.metric("firstcome_recovery_claims_compared_total", guest) == 2 * 1_000)
                let audit = try await Tool.run("audit", "--data", folder, "--redis", redis.url)
                #expect(
                    audit.status == 0 && audit.standardOutput.contains("1000 rows  no archived campaign has a gate in Redis"), "\(audit)")
            }
        }
    }

    @Test("--archive-after decides how long a campaign stays, by flag or variable, and takes no zero")
    func flag() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        try await withDataFolder { folder in
            let arguments = ["--port", "0", "--redis", redis.url, "--recovery-interval", "50ms"]
            try await withServe(folder, arguments, environment: ["FIRSTCOME_ARCHIVE_AFTER": "1ms"]) { serve in
                let token = try await Tool.run("token", "--data", folder, "--admin").lines[0]
                let admin = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1), token: token)
                _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                let coupon = try await admin.makeCoupon(quantity: 3)
                let tokens = try await Tool.run("token", "--data", folder, "--user", "1").lines
                let user = Caller(pool: HTTPPool(port: serve.port, maximumConnections: 1), token: tokens[0], id: 1)
                _ = try await user.claim(coupon).expect(201)
                let past = #"{"closesAt": "2020-01-02T00:00:00Z", "opensAt": "2020-01-01T00:00:00Z"}"#
                let patch = try await admin.patch("/coupons/\(coupon)", past)
                #expect(patch.status == 200, "\(patch.text)")
                try await eventually("the gate is gone") {
                    try redis.cli("EXISTS", "coupon:{\(coupon)}", "coupon:{\(coupon)}:claims") == "0"
                }
                #expect(try await admin.get("/coupons/\(coupon)").expect(200).string("status") == "CLOSED")
                #expect(try await user.get("/users/1/coupons").items().count == 1)
                let future = #"{"closesAt": "2090-01-01T00:00:00Z"}"#
                #expect(try await admin.patch("/coupons/\(coupon)", future).status == 200)
                #expect(try redis.cli("ZRANGE", "coupon:{\(coupon)}:claims", "0", "-1") == "1")
            }
            let zero = try await Tool.run("serve", "--data", folder, "--archive-after", "0s")
            #expect(zero.status == 64 && zero.standardError.contains("--archive-after"), "\(zero)")
        }
    }
}
