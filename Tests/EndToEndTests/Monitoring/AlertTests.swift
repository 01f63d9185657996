import Commerce
import Foundation
import GRDB
import NIOCore
import Redis
import Services
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    /// Each alert has to fire in a running service in which what it watches is broken.
    @Suite("Alerts", .serialized)
    struct AlertTests {}
}

extension EndToEnd.AlertTests {
    private static func withRedis(
        divisor: Int = 60, _ change: (inout LiveService.Setup) -> Void = { _ in },
        _ body: (LiveService, TemporaryRedis, PrometheusServer) async throws -> Void
    ) async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        var setup = LiveService.Setup()
        setup.redis = try RedisEndpoint(url: redis.url)
        change(&setup)
        try await LiveService.run(setup) { live in
            try await PrometheusServer.run(scraping: live.port, divisor: divisor) { try await body(live, redis, $0) }
        }
    }

    private static func withService(
        _ change: (inout LiveService.Setup) -> Void = { _ in }, _ body: (LiveService, PrometheusServer) async throws -> Void
    ) async throws {
        var setup = LiveService.Setup()
        change(&setup)
        try await LiveService.run(setup) { live in
            try await PrometheusServer.run(scraping: live.port) { try await body(live, $0) }
        }
    }

    @Test("a service that is well raises no alert while people shop")
    func well() async throws {
        try await Self.withService { live, prometheus in
            let users = try await live.newUsers(4, balance: 1_000_000)
            let (coupon, product) = (
                try await live.admin.makeCoupon(quantity: 2), try await live.admin.makeProduct(price: 1, stock: 100_000)
            )
            // Longer than any duration of the rules is in this copy.
            try await eventually("rules were evaluated for long") {
                for user in users {
                    _ = try await user.claim(coupon)
                    _ = try await user.checkout(product).expect(201)
                    _ = try await live.guest.get("/products/\(product)").expect(200)
                }
                _ = try await live.guest.post("/orders").expect(401)
                return try await prometheus.number("count_over_time(firstcome_ready[1h])") ?? 0 >= 20
            }
            // The others depend on how busy the machine is.
            let slow = "FirstcomeSlow.*|FirstcomeRedisSlow|FirstcomeEventLoopsBlocked"
            #expect(try await prometheus.number("count(count_over_time(ALERTS{alertname!~\"\(slow)\"}[1h])) or vector(0)") == 0)
        }
    }

    @Test("without Redis: the service is not ready, has no connection, and answers claims 503; afterwards the alerts end")
    func redisAway() async throws {
        try await Self.withRedis { live, redis, prometheus in
            let coupon = try await live.admin.makeCoupon()
            let user = try await live.newUser()
            redis.kill()
            try await prometheus.expect("FirstcomeRedisDisconnected", "FirstcomeNotReady", "FirstcomeUnavailableAnswers") {
                _ = try await user.claim(coupon).expect(503)
            }
            try await offPool { try redis.start() }
            try await eventually("the alerts end") {
                for alert in ["FirstcomeRedisDisconnected", "FirstcomeNotReady"] where try await prometheus.fires(alert) { return false }
                return true
            }
        }
    }

    @Test("a lease of the duties that a service took which is gone for good")
    func dutiesNotDone() async throws {
        try await Engine.$current.withValue(.postgres) {
            try await Self.withRedis { live, _, prometheus in
                try await eventually("the service has the duties") {
                    try await live.guest.get("/metrics").text.contains("firstcome_duties_held 1")
                }
                let database = try #require(live.storeDatabase)
                _ = try await offPool {
                    try database.sql("UPDATE duties SET holder = 1, term = term + 1, until = now() + interval '1 hour'")
                }
                try await prometheus.expect("FirstcomeDutiesNotDone")
            }
        }
    }

    @Test("without one primary of a cluster: the service is ready, and the alert names the loss and ends with it")
    func primaryAway() async throws {
        try await withTemporaryRedisCluster(replicasEach: 0) { cluster in
            var setup = LiveService.Setup()
            setup.redis = try RedisEndpoint(url: cluster.url)
            try await LiveService.run(setup) { live in
                try await PrometheusServer.run(scraping: live.port) { prometheus in
                    let sales = try cluster.primary(of: "ranking:{sales}:store")
                    let gone = try #require(cluster.nodes.first { $0 != sales })
                    try await eventually("ready") { try await live.guest.get("/readyz").status == 200 }
                    gone.server.kill()
                    try await prometheus.expect("FirstcomeRedisPrimariesAway")
                    _ = try await live.guest.get("/readyz").expect(200)
                    #expect(try await !prometheus.fires("FirstcomeRedisDisconnected"))
                    try await cluster.restart(gone)
                    try await eventually("the alert ends") { try await !prometheus.fires("FirstcomeRedisPrimariesAway") }
                }
            }
        }
    }

    @Test("a Redis that is lost again and again")
    func redisFlaps() async throws {
        try await Self.withRedis { live, redis, prometheus in
            try await prometheus.expect("FirstcomeRedisFlapping") {
                _ = try redis.cli("CLIENT", "KILL", "TYPE", "normal")
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    @Test("a Redis that takes most of a second makes answers slow")
    func redisSlow() async throws {
        try await Self.withRedis { live, redis, prometheus in
            let coupon = try await live.admin.makeCoupon(quantity: 100_000)
            try await prometheus.expect("FirstcomeRedisSlow", "FirstcomeSlowAnswers") {
                let user = try await live.newUsers(1)[0]
                redis.pause()
                async let claim = user.claim(coupon)
                try await Task.sleep(for: .milliseconds(800))
                redis.resume()
                _ = try await claim
            }
        }
    }

    @Test("a Redis without memory: gates are missing, recovery fails, and the ranking lags and grows old")
    func redisFull() async throws {
        try await Self.withRedis(divisor: 120) { live, redis, prometheus in
            let coupon = try await live.admin.makeCoupon()
            let product = try await live.admin.makeProduct(price: 1, stock: 100_000)
            let user = try await live.newUser(balance: 1_000_000)
            try await prometheus.expect(
                "FirstcomeCampaignNotLoaded", "FirstcomeRecoveryFailing", "FirstcomeRankingLag", "FirstcomeRankingOld"
            ) {
                // Without it a computation would find that nothing has changed.
                _ = try redis.cli("DEL", "ranking:{sales}:unchanged")
            } after: {
                _ = try redis.cli("CONFIG", "SET", "maxmemory", "1")
                _ = try redis.cli("DEL", "coupon:{\(coupon)}", "coupon:{\(coupon)}:claims")
                for _ in 0..<110 { _ = try await user.checkout(product).expect(201) }
            }
        }
    }

    @Test("a gate that has lost a claim")
    func gateContradicted() async throws {
        try await Self.withRedis { live, redis, prometheus in
            let coupon = try await live.admin.makeCoupon()
            let users = try await live.newUsers(3)
            for user in users { _ = try await user.claim(coupon).expect(201) }
            try await prometheus.expect("FirstcomeGatesContradicted") {
                _ = try redis.cli("ZREM", "coupon:{\(coupon)}:claims", "\(users[0].id)")
            }
        }
    }

    @Test("a row that cannot be read is answered 500")
    func internalError() async throws {
        try await Self.withService { live, prometheus in
            let user = try await live.newUser(balance: 100_000)
            let order = try await user.order(try await live.admin.makeProduct()).expect(201).int("orderId")
            try live.database { db in
                try db.execute(sql: "PRAGMA ignore_check_constraints = ON")
                try db.execute(sql: "UPDATE orders SET status = 9 WHERE id = ?", arguments: [order])
            }
            try await prometheus.expect("FirstcomeInternalErrors") { _ = try await user.get("/orders/\(order)").expect(500) }
        }
    }

    @Test("a store that another program keeps locked cannot commit")
    func storeLocked() async throws {
        try await Self.withService { live, prometheus in
            let user = try await live.newUser()
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            let foreign = try DatabaseQueue(path: live.folder + "/store.sqlite", configuration: configuration)
            try foreign.unsafeReentrantWrite { try $0.execute(sql: "BEGIN IMMEDIATE") }
            try await prometheus.expect("FirstcomeCommitFailures", "FirstcomeUnavailableAnswers") {
                _ = try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#).expect(503)
            }
            try foreign.unsafeReentrantWrite { try $0.execute(sql: "ROLLBACK") }
            try foreign.close()
            try await eventually("the store writes again") {
                try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#).status == 201
            }
        }
    }

    @Test("a disk that takes long to flush")
    func slowDisk() async throws {
        try await withDataFolder { folder in
            let (sign, executable) = (folder + "/slow", try Tool.executable())
            let library = executable.deletingLastPathComponent().appending(path: "libSlowDisk.so").path
            try #require(FileManager.default.fileExists(atPath: library))
            let serve = try await ServeProcess.start(
                folder, wrapping: { ["env", "LD_PRELOAD=\(library)", "FIRSTCOME_SLOW_DISK=\(sign)"] + $0 })
            do {
                let token = try await Tool.run("token", "--data", folder, "--admin").lines[0]
                let pool = HTTPPool(port: serve.port, maximumConnections: 1)
                let admin = Caller(pool: pool, token: token)
                try await PrometheusServer.run(scraping: serve.port) { prometheus in
                    _ = try await admin.makeProduct()
                    try Data().write(to: URL(filePath: sign))
                    try await prometheus.expect("FirstcomeSlowCommits") { _ = try await admin.makeProduct() }
                    try FileManager.default.removeItem(atPath: sign)
                }
                await pool.close()
                #expect(try await serve.end() == 0)
            } catch {
                _ = try? await serve.end(SIGKILL)
                throw error
            }
        }
    }

    @Test("a write-ahead log that has grown past its bound")
    func logLong() async throws {
        try await Self.withService { live, prometheus in
            _ = try await live.newUser()
            // SQLite knows how much of the file counts; only its size is changed.
            try await prometheus.expect("FirstcomeWriteAheadLogLong") {
                #expect(truncate(live.folder + "/store.sqlite-wal", 700 << 20) == 0)
            }
        }
    }

    @Test("events that the data platform refuses are parked, and events that it does not take grow old")
    func outbox() async throws {
        let platform = try await DataPlatformServer { _ in .status(422) }
        do {
            try await Self.withService {
                $0.platform = DataPlatform(url: platform.url, secret: Array("secret".utf8))
                $0.platform?.maximumTries = 1
            } _: { live, prometheus in
                let user = try await live.newUser(balance: 100_000)
                let product = try await live.admin.makeProduct()
                _ = try await user.checkout(product).expect(201)
                try await prometheus.expect("FirstcomeEventsParked")
                platform.react { _ in .status(500) }
                _ = try await user.checkout(product).expect(201)
                live.clock.advance(byMilliseconds: 600_000)
                try await prometheus.expect("FirstcomeOutboxStalled")
            }
        } catch {
            await platform.close()
            throw error
        }
        await platform.close()
    }

    @Test("more requests than the service admits")
    func shed() async throws {
        try await Self.withRedis {
            $0.maximumRequestsInFlight = 1
        } _: { live, redis, prometheus in
            let coupon = try await live.admin.makeCoupon(quantity: 100_000)
            try await prometheus.expect("FirstcomeRequestsShed") {
                // Claims of users who have no coupon yet wait for Redis, so that all but one are too many.
                let users = try await live.newUsers(3)
                redis.pause()
                async let claims = (users[0].claim(coupon), users[1].claim(coupon), users[2].claim(coupon))
                try await eventually("further requests are refused") {
                    try await live.guest.post("/coupons/\(coupon)/claims").status == 429
                }
                redis.resume()
                _ = try await claims
            }
        }
    }

    @Test("a flood of tokens that are not the service's")
    func tokens() async throws {
        try await Self.withService { live, prometheus in
            var stranger = live.guest
            stranger.token = "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"
            try await prometheus.expect("FirstcomeTokensRefused") {
                for _ in 0..<20 { _ = try await stranger.get("/users/1").expect(401) }
            }
        }
    }

    @Test("an event loop that something blocks")
    func blockedLoop() async throws {
        let loop = Mutex<(any EventLoop)?>(nil)
        try await Self.withService {
            $0.configureChannel = { channel in loop.withLock { $0 = channel.eventLoop } }
        } _: { live, prometheus in
            _ = try await live.guest.get("/healthz").expect(200)
            let eventLoop = try #require(loop.withLock { $0 })
            try await prometheus.expect("FirstcomeEventLoopsBlocked") {
                // Longer than the 100 ms of the rule, and so short that a scrape comes through.
                try await eventLoop.submit { _ = usleep(200_000) }.get()
            }
        }
    }

    @Test("a certificate that ends soon, a key set that cannot be read, and an access log on a full disk")
    func filesOfAService() async throws {
        let files = TemporaryFolder()
        defer { files.remove() }
        let certificate = try await TestCertificate(in: files.path, days: 365)
        let (keys, log) = (files.path + "/keys.json", files.path + "/access.log")
        try TokenIssuer.document([.ed25519("k")]).write(toFile: keys, atomically: true, encoding: .utf8)
        let flags = [
            "--port", "0", "--admin-listen", "127.0.0.1:0", "--tls-cert", certificate.certificate, "--tls-key", certificate.key,
            "--jwks", keys, "--access-log", log,
        ]
        try await withDataFolder { folder in
            try await withServe(folder, flags) { serve in
                let port = try await serve.operatorsPort
                let pool = HTTPPool(port: port, maximumConnections: 8)
                let caller = Caller(pool: pool)
                try await PrometheusServer.run(scraping: port, divisor: 600) { prometheus in
                    let alerts = ["FirstcomeCertificateEnds", "FirstcomeKeySetUnreadable", "FirstcomeAccessLogIncomplete"]
                    try await eventually("rules were evaluated") {
                        try await prometheus.number("count_over_time(firstcome_key_set_readable[1h])") ?? 0 >= 3
                    }
                    for alert in alerts { #expect(try await !prometheus.fires(alert)) }
                    _ = try await TestCertificate(in: files.path, days: 10)
                    try "{}".write(toFile: keys, atomically: true, encoding: .utf8)
                    try FileManager.default.removeItem(atPath: log)
                    try FileManager.default.createSymbolicLink(atPath: log, withDestinationPath: "/dev/full")
                    serve.send(SIGHUP)
                    // Long enough that a few thousand fill the memory which waiting requests may take.
                    let path = "/" + String(repeating: "p", count: 1_000)
                    try await prometheus.expect("FirstcomeCertificateEnds", "FirstcomeKeySetUnreadable", "FirstcomeAccessLogIncomplete") {
                        _ = try await together(Array(0..<400)) { _ in try await caller.get(path).expect(404) }
                    }
                }
                await pool.close()
            }
        }
    }

    @Test("descriptors that run short")
    func descriptors() async throws {
        try await withDataFolder { folder in
            try await withServe(folder, ["--port", "0", "--loops", "1"]) { serve in
                try await PrometheusServer.run(scraping: serve.port) { prometheus in
                    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(serve.pid)/fd").count
                    // Less than the 32 that accepting connections leaves free.
                    let lowered = try await Tool.run(program: ["prlimit", "--pid", "\(serve.pid)", "--nofile=\(open + 8):"])
                    #expect(lowered.status == 0, "\(lowered)")
                    try await prometheus.expect("FirstcomeDescriptorsShort", "FirstcomeAcceptFailures") {
                        try await offPool { _ = try? RawHTTPClient(port: serve.port, timeoutMilliseconds: 300) }
                    }
                }
            }
        }
    }

    @Test("a service that ends again and again, and one that has ended")
    func restarts() async throws {
        let redis = try await offPool { try TemporaryRedis() }
        defer { redis.end() }
        try await withDataFolder { folder in
            let port = try TemporaryRedis.freePort()
            let arguments = ["--port", "\(port)", "--redis", redis.url]
            var serve = try await ServeProcess.start(folder, arguments)
            do {
                try await PrometheusServer.run(scraping: port, divisor: 10) { prometheus in
                    try await prometheus.expect("FirstcomeRestarting") {
                        let starts = try await prometheus.number("count_over_time(process_start_time_seconds[1h])") ?? 0
                        try await serve.end(SIGKILL)
                        serve = try await ServeProcess.start(folder, arguments)
                        try await eventually("the new process is scraped") {
                            try await prometheus.number("count_over_time(process_start_time_seconds[1h])") ?? 0 > starts + 1
                        }
                    }
                    try await serve.end(SIGKILL)
                    try await prometheus.expect("FirstcomeDown")
                }
            } catch {
                _ = try? await serve.end(SIGKILL)
                throw error
            }
        }
    }
}
