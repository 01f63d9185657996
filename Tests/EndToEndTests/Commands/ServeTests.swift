import Commerce
import Foundation
import JSON
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve as a process")
    struct ServeTests {}
}

extension EndToEnd.ServeTests {
    private static func callers(_ serve: ServeProcess, _ folder: String) async throws -> (
        admin: Caller, user: @Sendable (Int64) async throws -> Caller
    ) {
        let pool = HTTPPool(port: serve.port, maximumConnections: 16)
        let token = { @Sendable (who: [String]) in try #require(try await Tool.run(["token", "--data", folder] + who).lines.first) }
        return (
            Caller(pool: pool, token: try await token(["--admin"])),
            { id in Caller(pool: pool, token: try await token(["--user", String(id)]), id: id) }
        )
    }

    private static func isRunning(_ pid: Int32) -> Bool {
        guard let state = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        // A zombie has ended; whoever adopted it has only not been told yet.
        return state.split(separator: ")").last?.split(separator: " ").first != "Z"
    }

    @Test("serve says where it listens, answers, keeps a second one off its folder, and ends with SIGTERM in order")
    func lifecycle() async throws {
        try await withDataFolder { folder in
            try await withServe(folder) { serve in
                #expect(
                    serve.firstLine
                        == "firstcome listens on http://127.0.0.1:\(serve.port) (data \(folder), Redis unix://\(folder)/redis/redis.sock)")
                let (admin, user) = try await Self.callers(serve, folder)
                try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
                let id = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201).int("userId")
                #expect(try await user(id).balance == 0)

                let second = try await Tool.run("serve", "--data", folder, "--port", "0")
                #expect(second.status != 0 && second.standardOutput.isEmpty && second.complaint.count == 1, "\(second)")
                #expect(second.standardError.contains("in use by another firstcome"))
                let demo = try await Tool.run("demo", "--data", folder)
                #expect(demo.status != 0 && demo.complaint.count == 1)
                // The tools that only look work beside it.
                #expect(try await Tool.run("audit", "--data", folder).status == 0)
                #expect(try await Tool.run("ranking", "show", "--data", folder).status == 0)

                let redis = try #require(try PrivateRedis(dataFolder: folder).runningPID)
                #expect(try await serve.end(SIGTERM) == 0)
                #expect(!Self.isRunning(redis))
                #expect(!serve.standardError.contains("error") && !serve.standardError.contains("warning"), "\(serve.standardError)")
            }
        }
    }

    @Test("a port that is taken and a Redis that must not be used are refused at the start, in one line")
    func refusedStarts() async throws {
        let redis = try await offPool { try TemporaryRedis(arguments: ["--maxmemory-policy", "allkeys-lru"], onTCP: true) }
        defer { redis.end() }
        try await withDataFolder { folder in
            let evicting = try await Tool.run("serve", "--data", folder, "--port", "0", "--redis", redis.url)
            #expect(evicting.status != 0 && evicting.standardOutput.isEmpty && evicting.complaint.count == 1, "\(evicting)")
            #expect(evicting.standardError.contains("allkeys-lru"))
            let port = String(try #require(redis.port))
            let taken = try await Tool.run("serve", "--data", folder, "--port", port)
            #expect(taken.status != 0 && taken.standardOutput.isEmpty && taken.complaint.count == 1, "\(taken)")
            #expect(taken.standardError.contains("in use"))
            #expect(try PrivateRedis(dataFolder: folder).runningPID == nil)
            let nowhere = try await Tool.run("serve", "--data", folder, "--redis", "http://localhost")
            #expect(nowhere.status == 64 && nowhere.standardError.contains("--redis"), "\(nowhere)")
            let long = "/tmp/" + String(repeating: "d", count: 110)
            defer { try? FileManager.default.removeItem(atPath: long) }
            let unreachable = try await Tool.run("serve", "--data", long, "--port", "0")
            #expect(
                unreachable.status != 0 && unreachable.complaint.count == 1 && unreachable.standardError.contains("too long"),
                "\(unreachable)")
        }
    }

    @Test("flags of the environment set port, limits, zone and Redis, and the machine's TZ decides nothing")
    func environment() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        try await withDataFolder { folder in
            let port = try TemporaryRedis.freePort()
            let environment = [
                "FIRSTCOME_PORT": String(port), "FIRSTCOME_TIME_ZONE": "America/New_York", "FIRSTCOME_CHARGE_MIN": "5",
                "FIRSTCOME_REDIS": redis.url,
                "FIRSTCOME_ORDER_HOLD": "7m", "FIRSTCOME_LOG_LEVEL": "debug", "TZ": "Pacific/Kiritimati",
            ]
            try await withServe(folder, [], environment: environment) { serve in
                #expect(serve.port == port && serve.firstLine.contains("Redis \(redis.url)"))
                let (admin, user) = try await Self.callers(serve, folder)
                _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                let buyer = try await user(1)
                #expect(try await buyer.charge(5).int("balance") == 5)
                let product = try await admin.makeProduct(price: 1)
                let order = try await buyer.order(product).expect(201)
                let (created, expires) = (try order.string("createdAt"), try order.string("expiresAt"))
                #expect(try Self.milliseconds(expires) - Self.milliseconds(created) == 7 * 60_000)

                let top = try await admin.get("/products/top").expect(200)
                #expect(try top.string("window", "timeZone") == "America/New_York")
                let formatter = DateFormatter()
                formatter.locale = Locale(identifier: "en_US_POSIX")
                formatter.timeZone = TimeZone(identifier: "America/New_York")
                formatter.dateFormat = "yyyy-MM-dd"
                let asOf = Date(timeIntervalSince1970: Double(try Self.milliseconds(try top.string("asOf"))) / 1_000)
                #expect(try top.string("window", "to") == formatter.string(from: asOf))
                #expect(try await serve.end() == 0)
                // What the log says about requests holds nothing that opens a door.
                #expect(serve.standardError.contains("path=/api/v1/users/1/balance/charges"))
                for secret in [try #require(admin.token), try #require(buyer.token)] { #expect(!serve.standardError.contains(secret)) }
                // A Redis that somebody else owns is left alone.
                #expect(try redis.cli("PING") == "PONG")
            }
        }
    }

    private static func milliseconds(_ instant: String) throws -> Int64 { try #require(Instant(rfc3339: instant)).milliseconds }

    @Test("killed right after a win: the redis-server lives on, the next serve adopts it, and the win is there")
    func killedAfterWin() async throws {
        try await withDataFolder { folder in
            var (won, charged): (HTTPAnswer?, HTTPAnswer?)
            var redis: Int32 = 0
            try await withServe(folder) { serve in
                let (admin, user) = try await Self.callers(serve, folder)
                for _ in 0..<2 { _ = try await admin.post("/users", #"{"name": "김하늘"}"#).expect(201) }
                let coupon = try await admin.makeCoupon(quantity: 2)
                let buyer = try await user(1)
                redis = try #require(try PrivateRedis(dataFolder: folder).runningPID)
                charged = try await buyer.post("/users/1/balance/charges", #"{"amount": 9000}"#, key: "before-the-crash")
                won = try await buyer.post("/coupons/\(coupon)/claims", key: "win")
                #expect(try await serve.end(SIGKILL) == nil)
            }
            let first = try #require(won).expect(201)
            #expect(Self.isRunning(redis))
            try await withServe(folder) { serve in
                #expect(try PrivateRedis(dataFolder: folder).runningPID == redis)
                let (admin, user) = try await Self.callers(serve, folder)
                try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 }
                let buyer = try await user(1)
                let again = try await buyer.post("/coupons/1/claims", key: "win").expect(201)
                #expect(again.body == first.body && again[header: "idempotent-replayed"] == "true")
                let charge = try await buyer.post("/users/1/balance/charges", #"{"amount": 9000}"#, key: "before-the-crash").expect(201)
                #expect(charge.body == charged?.body)
                #expect(try await buyer.balance == 9_000)
                #expect(try await user(2).claim(1).expect(201).int("sequence") == 2)
                #expect(try await Tool.run("audit", "--data", folder).status == 0)
                #expect(try await serve.end(SIGINT) == 0)
                #expect(!Self.isRunning(redis))
            }
        }
    }

    @Test("the lines that demo prints work as they are pasted", .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/curl")))
    func tour() async throws {
        try await withDataFolder { folder in
            let port = try TemporaryRedis.freePort()
            let demo = try await Tool.run("demo", "--data", folder, "--url", "http://127.0.0.1:\(port)")
            try await withServe(folder, ["--port", String(port)]) { _ in
                let script = demo.lines.drop { !$0.hasPrefix("API=") }.joined(separator: "\n")
                let output = try await Tool.run(program: ["sh", "-c", "exec 2>&1\n" + script]).standardOutput
                for member in ["chargeId", "issuedCouponId", "orderNumber", "paymentId", "unitsSold", "entryId", "couponId"] {
                    #expect(output.contains("\"\(member)\":"), "\(member): \(output)")
                }
                #expect(!output.contains("/problems/"), "\(output)")
                #expect(output.contains("}\n1\n1\n"), "the one claim, seen in Redis: \(output)")
            }
        }
    }
}
