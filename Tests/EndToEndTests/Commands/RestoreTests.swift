import FaultPoints
import Foundation
import GRDB
import JSON
import NIOCore
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A disk is lost, and a backup restored")
    struct RestoreTests {}
}

extension EndToEnd.RestoreTests {
    /// What is left when the backup is restored.
    enum Loss: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case folder = "the folder with its private Redis is gone"
        case store = "a crash leaves the store, its log and the private Redis of the lost incarnation"
        case givenRedis = "the folder is gone, and the given Redis serves the lost incarnation"

        var testDescription: String { rawValue }
    }

    /// A shop at a real service that posts to a platform of the test.
    private final class Shop: Sendable {
        let folder: String
        let redis: TemporaryRedis?
        let platform: DataPlatformServer

        init(_ folder: String, _ redis: TemporaryRedis?, _ platform: DataPlatformServer) {
            (self.folder, self.redis, self.platform) = (folder, redis, platform)
        }

        var redisFlags: [String] { redis.map { ["--redis", $0.url] } ?? [] }

        func tool(_ arguments: String..., environment: [String: String] = [:]) async throws -> Tool.Output {
            try await Tool.run(arguments + ["--data", folder], environment: environment)
        }

        /// Runs `body` beside a service, which is killed with whatever it was doing.
        func serving(untilReady: Bool = true, _ body: (People) async throws -> Void) async throws {
            let flags = ["--port", "0", "--data-platform", platform.url, "--recovery-interval", "300ms"] + redisFlags
            try await withServe(folder, flags, environment: ["FIRSTCOME_DATA_PLATFORM_SECRET": "a secret"]) { serve in
                let pool = HTTPPool(port: serve.port, maximumConnections: 8)
                let tokens = try await tool("token", "--user", "1-4").lines
                let people = People(
                    serve: serve, admin: Caller(pool: pool, token: try await tool("token", "--admin").lines[0]),
                    users: tokens.enumerated().map { Caller(pool: pool, token: $0.element, id: Int64($0.offset + 1)) })
                if untilReady { try await people.ready() }
                try await body(people)
                await pool.close()
            }
        }

        /// Every body that came under each key. Delivery is correct where each has one.
        var bodies: [String: Set<String>] {
            platform.posts.reduce(into: [:]) { $0[$1.idempotencyKey, default: []].insert($1.body) }
        }

        func lose(_ loss: Loss) async throws {
            guard loss != .store else { return }
            try await PrivateRedis(dataFolder: folder).stop()
            try FileManager.default.removeItem(atPath: folder)
        }
    }

    private struct People: Sendable {
        let serve: ServeProcess
        let admin: Caller
        let users: [Caller]

        func ready() async throws { try await eventually("the service is ready") { try await admin.get("/readyz").status == 200 } }

        func delivered(_ count: Int) async throws {
            try await eventually("\(count) events are delivered") {
                try await admin.get("/admin/events?state=delivered&limit=100").expect(200).items().count == count
            }
        }

        /// The sequence of a coupon that the user won, or held already.
        func claim(_ coupon: Int64, by user: Int, expecting status: Int) async throws -> Int64 {
            let answer = try await users[user - 1].claim(coupon).expect(status)
            return status == 201 ? try answer.int("sequence") : try answer.int("issuedCoupon", "sequence")
        }

        func unitsSold(_ count: Int64) async throws {
            try await eventually("the top list counts \(count)") {
                try await admin.get("/products/top").expect(200).items().first?["unitsSold"]?.int == count
            }
        }
    }

    private static func withShop(_ loss: Loss, _ body: (Shop, _ backups: String) async throws -> Void) async throws {
        let platform = try await DataPlatformServer { _ in .status(200) }
        let redis = loss == .givenRedis ? try await offPool { try TemporaryRedis() } : nil
        let backups = TemporaryFolder()
        var failure: (any Error)?
        do { try await withDataFolder { try await body(Shop($0, redis, platform), backups.path) } } catch { failure = error }
        backups.remove()
        redis?.end()
        await platform.close()
        if let failure { throw failure }
    }

    /// Before the backup: four people, one coupon claimed, two units sold and delivered. After it: another coupon, two more sales and a
    /// refund, delivered too.
    private static func trade(_ shop: Shop, backup: String) async throws -> (coupon: Int64, product: Int64) {
        var ids: (coupon: Int64, product: Int64) = (0, 0)
        try await shop.serving { people in
            for user in people.users {
                _ = try await people.admin.post("/users", #"{"name": "김하늘"}"#).expect(201)
                try await user.charge(1_000_000)
            }
            ids = (try await people.admin.makeCoupon(quantity: 10), try await people.admin.makeProduct(price: 1_000))
            #expect(try await people.claim(ids.coupon, by: 1, expecting: 201) == 1)
            _ = try await people.users[0].checkout(ids.product, 2).expect(201)
            try await people.delivered(1)
            #expect(try await shop.tool("backup", backup).status == 0)

            #expect(try await people.claim(ids.coupon, by: 2, expecting: 201) == 2)
            _ = try await people.users[1].checkout(ids.product, 3).expect(201)
            let payment = try await people.users[2].checkout(ids.product, 4).expect(201).int("payment", "paymentId")
            _ = try await people.admin.refund(payment).expect(201)
            try await people.delivered(4)
            try await people.unitsSold(5)
        }
        return ids
    }

    /// The restored shop goes on: who holds a coupon of the backup keeps it, the others' are given again, and sales count from there.
    private static func tradeOn(_ shop: Shop, _ ids: (coupon: Int64, product: Int64)) async throws {
        try await shop.serving { people in
            #expect(try await people.claim(ids.coupon, by: 1, expecting: 409) == 1)
            #expect(try await people.claim(ids.coupon, by: 3, expecting: 201) == 2)
            #expect(try await people.claim(ids.coupon, by: 2, expecting: 201) == 3)
            #expect(try await people.admin.get("/coupons/\(ids.coupon)").expect(200).int("remaining") == 7)
            _ = try await people.users[1].checkout(ids.product, 7).expect(201)
            let payment = try await people.users[2].checkout(ids.product, 1).expect(201).int("payment", "paymentId")
            _ = try await people.admin.refund(payment).expect(201)
            try await people.delivered(4)
            try await people.unitsSold(9)
            let audit = try await Tool.run(["audit", "--data", shop.folder] + shop.redisFlags)
            #expect(audit.status == 0 && audit.lines.last == "every invariant holds", "\(audit)")
        }
        for (key, bodies) in shop.bodies { #expect(bodies.count == 1, "event \(key) was told with \(bodies.count) contents") }
    }

    @Test(
        "the restored shop gives nothing twice, tells no event id twice with other content, and its audit is clean",
        arguments: Loss.allCases)
    func drill(_ loss: Loss) async throws {
        try await Self.withShop(loss) { shop, backups in
            let backup = backups + "/backup.sqlite"
            let ids = try await Self.trade(shop, backup: backup)
            try await shop.lose(loss)
            let restored = try await shop.tool("restore", backup)
            #expect(restored.status == 0 && restored.standardOutput.contains("1 issued coupons, 1 orders, 1 payments"), "\(restored)")
            if let redis = shop.redis { try await Self.handOver(redis, shop, ids.coupon) }
            try await Self.tradeOn(shop, ids)
            #expect(shop.bodies.count == 4 + 3)
        }
    }

    /// The Redis of the lost incarnation is believed by nobody, until an operator says that it serves the restored store.
    private static func handOver(_ redis: TemporaryRedis, _ shop: Shop, _ coupon: Int64) async throws {
        let before = try await offPool { try redis.cli("DEBUG", "DIGEST") }
        try await shop.serving(untilReady: false) { people in
            try await eventually("it says whose the Redis is") {
                let answer = try await people.admin.get("/readyz")
                return answer.status == 503 && answer.text.contains("redis:other-store")
            }
            #expect(try await people.users[3].claim(coupon).status == 503)
            #expect(try await people.users[0].balance == 998_000)
            let lines = people.serve.standardError.split(separator: "\n").filter { $0.contains(" error ") }
            #expect(lines.count == 1 && lines[0].contains("must not be used: it serves store "), "\(lines)")
        }
        let audit = try await Tool.run(["audit", "--data", shop.folder] + shop.redisFlags)
        #expect(audit.status == 1 && audit.standardOutput.isEmpty && audit.complaint.count == 1, "\(audit)")
        #expect(audit.standardError.contains("it serves store "))
        let unnamed = try await shop.tool("audit")
        #expect(unnamed.status == 1 && unnamed.standardError.contains("used the Redis at \(redis.url); name it with --redis"), "\(unnamed)")
        #expect(try PrivateRedis(dataFolder: shop.folder).runningPID == nil)

        let mistaken = try await Tool.run(["redis", "take", "--data", shop.folder] + shop.redisFlags)
        let owner = try #require(
            mistaken.standardError.firstMatch(of: #/pass --from ([0-9a-f]{16}:\d+)/#).map { String($0.1) }, "\(mistaken)")
        #expect(mistaken.status == 1)
        let shown = try await Tool.run(["redis", "show", "--data", shop.folder] + shop.redisFlags)
        #expect(shown.status == 0 && shown.standardOutput.contains("--from \(owner)"), "\(shown)")
        #expect(try await offPool { try redis.cli("DEBUG", "DIGEST") } == before)
        let taken = try await Tool.run(["redis", "take", "--data", shop.folder, "--from", owner] + shop.redisFlags)
        #expect(taken.status == 0, "\(taken)")
    }

    @Test("the same backup restored twice is two incarnations: no event id of one comes again in the other")
    func twice() async throws {
        try await Self.withShop(.store) { shop, backups in
            let backup = backups + "/backup.sqlite"
            let ids = try await Self.trade(shop, backup: backup)
            for _ in 1...2 {
                #expect(try await shop.tool("restore", backup).status == 0)
                try await Self.tradeOn(shop, ids)
            }
            #expect(shop.bodies.count == 4 + 3 + 3)
        }
    }

    @Test("a disk lost without a backup, and a new shop for the same platform: no event id comes again")
    func startedAfresh() async throws {
        try await Self.withShop(.folder) { shop, backups in
            _ = try await Self.trade(shop, backup: backups + "/first.sqlite")
            try await shop.lose(.folder)
            try FileManager.default.createDirectory(atPath: shop.folder, withIntermediateDirectories: true)
            _ = try await Self.trade(shop, backup: backups + "/second.sqlite")
            #expect(shop.bodies.count == 8 && shop.bodies.values.allSatisfy { $0.count == 1 })
        }
    }

    @Test(
        "a restore that is killed leaves the former store or the restored one, whole",
        arguments: [FaultPoint.afterRestoreCopy, .beforeRestoreRename, .afterRestoreRename])
    func killed(_ point: FaultPoint) async throws {
        try await Self.withShop(.store) { shop, backups in
            let backup = backups + "/backup.sqlite"
            let ids = try await Self.trade(shop, backup: backup)
            let killed = try await shop.tool("restore", backup, environment: [FaultPoint.variable: "\(point.rawValue):1"])
            #expect(killed.status == 9 && killed.standardOutput.isEmpty, "\(killed)")
            let isRestored = point == .afterRestoreRename
            try await shop.serving { people in
                _ = try await people.claim(ids.coupon, by: 2, expecting: isRestored ? 201 : 409)
                try await people.unitsSold(isRestored ? 2 : 5)
                #expect(try await shop.tool("audit").status == 0)
            }
            #expect(try await shop.tool("restore", backup).status == 0)
            let left = try FileManager.default.contentsOfDirectory(atPath: shop.folder).filter { $0.hasPrefix("store.sqlite.restoring") }
            #expect(left.isEmpty)
            if !isRestored { try await Self.tradeOn(shop, ids) }
        }
    }

    @Test("a restore is refused while a service runs, of a missing file, and of what is no store; the store stays as it is")
    func refused() async throws {
        try await Self.withShop(.store) { shop, backups in
            let backup = backups + "/backup.sqlite"
            let ids = try await Self.trade(shop, backup: backup)
            try await shop.serving { people in
                let busy = try await shop.tool("restore", backup)
                #expect(busy.status == 1 && busy.complaint.count == 1 && busy.standardError.contains("is in use"), "\(busy)")
            }
            try Data("no store".utf8).write(to: URL(fileURLWithPath: backups + "/letter.txt"))
            for file in ["/nothing.sqlite", "/letter.txt"] {
                let output = try await shop.tool("restore", backups + file)
                #expect(output.status == 1 && output.complaint.count == 1 && output.standardOutput.isEmpty, "\(output)")
            }
            try await shop.serving { people in
                #expect(try await people.claim(ids.coupon, by: 2, expecting: 409) == 2)
                try await people.unitsSold(5)
            }
        }
    }

    @Test("a backup that is copied over the store by hand, beside what a crash left, is refused by serve and taken by restore")
    func copiedByHand() async throws {
        try await Self.withShop(.store) { shop, backups in
            let backup = backups + "/backup.sqlite"
            let ids = try await Self.trade(shop, backup: backup)
            #expect(FileManager.default.fileExists(atPath: shop.folder + "/store.sqlite-wal"))
            try FileManager.default.removeItem(atPath: shop.folder + "/store.sqlite")
            try FileManager.default.copyItem(atPath: backup, toPath: shop.folder + "/store.sqlite")
            let refused = try await shop.tool("serve", "--port", "0")
            #expect(
                refused.status == 1 && refused.complaint.count == 1 && refused.standardError.contains("firstcome restore"), "\(refused)")
            #expect(try await shop.tool("restore", backup).status == 0)
            try await Self.tradeOn(shop, ids)
        }
    }
}
