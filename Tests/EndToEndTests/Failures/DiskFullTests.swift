import Foundation
import JSON
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A full disk", .needsSmallDisk)
    struct DiskFullTests {}
}

extension EndToEnd.DiskFullTests {
    typealias RedisPlace = ServiceOnDisk.RedisPlace

    /// What people had before the disk was full.
    private struct Shop {
        let service: ServiceOnDisk
        let users: [Caller]
        let product: Int64
        let coupon: Int64
        let payment: Int64
        let toPay: Int64
        let toCancel: Int64

        static let quantity: Int64 = 8

        init(_ service: ServiceOnDisk) async throws {
            self.service = service
            users = try await service.newUsers(10, balance: 100_000)
            product = try await service.admin.makeProduct(price: 1_000, stock: 50)
            coupon = try await service.admin.makeCoupon(quantity: Self.quantity)
            payment = try await users[0].checkout(product, 2).expect(201).int("payment", "paymentId")
            toPay = try await users[0].order(product, 3).expect(201).int("orderId")
            toCancel = try await users[0].order(product, 4).expect(201).int("orderId")
            _ = try await users[1].claim(coupon).expect(201)
            // The win is sealed in the background; without room on the disk it would not be.
            try await eventually("the win is sealed") {
                try await users[1].get("/users/\(users[1].id)/coupons").items().first?["receipt"] != nil
            }
        }

        private init(_ shop: Shop, _ service: ServiceOnDisk, _ users: [Caller]) {
            (self.service, self.users, product, coupon) = (service, users, shop.product, shop.coupon)
            (payment, toPay, toCancel) = (shop.payment, shop.toPay, shop.toCancel)
        }

        /// The same people and things, at a service that was started again.
        func reopened(by service: ServiceOnDisk) async throws -> Shop {
            var users: [Caller] = []
            for user in self.users { users.append(try await service.caller(user: user.id)) }
            return Shop(self, service, users)
        }

        /// One write of each kind, each to be sent under a key of its own.
        var posts: [(caller: Caller, path: String, body: String?, success: Int)] {
            let user = users[0]
            return [
                (user, "/users/\(user.id)/balance/charges", #"{"amount": 7000}"#, 201),
                (user, "/orders", Caller.orderBody(product, 1), 201),
                (user, "/payments", #"{"orderId": \#(toPay)}"#, 201),
                (user, "/orders/\(toCancel)/cancel", nil, 200),
                (user, "/checkout", Caller.orderBody(product, 5), 201),
                (service.admin, "/payments/\(payment)/refunds", nil, 201),
                (service.admin, "/users", #"{"name": "김하늘"}"#, 201),
                (service.admin, "/products", #"{"name": "요가 매트", "price": 1, "stock": 1}"#, 201),
                (
                    service.admin, "/coupons",
                    #"{"name": "선착순", "discount": {"type": "FIXED", "amount": 1}, "quantity": 1, "opensAt": "2020-01-01T00:00:00Z"}"#, 201
                ),
            ]
        }

        func send(_ round: String) async throws -> [HTTPAnswer] {
            var answers: [HTTPAnswer] = []
            for (index, post) in posts.enumerated() {
                answers.append(try await post.caller.post(post.path, post.body, key: "\(round)-\(index)"))
            }
            return answers
        }

        /// What everybody can read of it, byte for byte, without what moves by itself.
        ///
        /// - Parameter withCampaign: whether what is left of the campaign is among it.
        func reads(withCampaign: Bool = true) async throws -> [String] {
            let user = users[0]
            var texts: [String] = []
            for path in [
                "/users/\(user.id)", "/users/\(user.id)/balance", "/users/\(user.id)/balance/history", "/users/\(user.id)/orders",
                "/users/2/coupons", "/products", "/products/\(product)", "/coupons/\(coupon)", "/orders/\(toPay)", "/payments/\(payment)",
            ] {
                let answer = try await (path == "/users/2/coupons" ? users[1] : user).get(path)
                #expect(answer.status == 200, "\(path): \(answer.text)")
                if withCampaign || path != "/coupons/\(coupon)" { texts.append(answer.text) }
            }
            for path in ["/healthz", "/metrics", "/openapi.json", "/products/top", "/coupons"] {
                #expect(try await user.get(path).status == 200, "\(path)")
            }
            return texts
        }

        /// Every write is answered 503 with Retry-After, as a problem.
        ///
        /// - Parameter afterRestart: whether the service was started again: while it had room, it may have stored the claims that Redis had
        ///   decided before.
        func expectRefusals(_ key: String, afterRestart: Bool = false) async throws {
            var answers = try await send(key)
            for user in users[2...6] {
                let claim = try await user.post("/coupons/\(coupon)/claims", key: key)
                if !(afterRestart && claim.code == "COUPON_ALREADY_CLAIMED") { answers.append(claim) }
            }
            answers.append(try await service.admin.patch("/products/\(product)", #"{"price": 2000}"#))
            answers.append(try await service.admin.patch("/coupons/\(coupon)", #"{"quantity": 100}"#))
            answers.append(try await service.admin.patch("/coupons/\(coupon)", #"{"quantity": 7}"#))
            answers += try await together(Array(repeating: users[3], count: 200)) {
                try await $0.post("/users/\($0.id)/balance/charges", #"{"amount": 1000}"#)
            }
            #expect(answers.statusCounts == ["503 TEMPORARILY_UNAVAILABLE": answers.count])
            for answer in answers { #expect(answer[header: "retry-after"].flatMap { Int($0) } ?? 0 >= 1) }
        }

        /// Every success that people were told is there, nothing of what was refused, and what was refused can be had now.
        func expectRecovery(_ key: String) async throws {
            try await eventually("the service takes writes again by itself") {
                try await users[7].post("/users/8/balance/charges", #"{"amount": 1000}"#, key: "first").status == 201
            }
            #expect(try await users[7].balance == 101_000)
            #expect(try await users[0].balance == 98_000)
            #expect(try await users[3].balance == 100_000)
            let first = try await send(key)
            #expect(zip(first, posts).allSatisfy { $0.status == $1.success }, "\(first.map(\.text))")
            let again = try await send(key)
            #expect(zip(first, again).allSatisfy { $0.status == $1.status && $0.body == $1.body })
            #expect(again.allSatisfy { $0[header: "idempotent-replayed"] == "true" })
            // 98,000 + 7,000 - 3,000 for the order - 5,000 by checkout + 2,000 back.
            #expect(try await users[0].balance == 99_000)
            // 50 - 3 paid - 5 paid - 1 held.
            #expect(try await service.admin.stock(of: product) == 41)
            #expect(try await service.admin.get("/users/11").status == 200)
            #expect(try await service.admin.get("/users/12").status == 404)
            try await expectEveryCouponOnce()
            try await eventually("the service is ready") { try await service.admin.get("/readyz").status == 200 }
            try await eventually("every event is delivered") {
                try await service.admin.get("/admin/events?state=waiting").items().isEmpty
            }
            try await eventually("the ranking has counted every event") { try await service.metric("firstcome_ranking_lag_events") == 0 }
            let audit = try await service.audit()
            #expect(audit.status == 0, "\(audit)")
        }

        /// A claim that was refused while the disk was full may have its place already: whoever asks again gets that one.
        private func expectEveryCouponOnce() async throws {
            var answers: [HTTPAnswer] = []
            for user in users { answers.append(try await user.claim(coupon)) }
            let lists = try await withThrowingTaskGroup { group in
                for user in users { group.addTask { try await user.get("/users/\(user.id)/coupons").items() } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(lists.allSatisfy { $0.count <= 1 })
            #expect(lists.flatMap { $0 }.compactMap { $0["sequence"]?.int }.sorted() == Array(1...Self.quantity))
            for (user, answer) in zip(users, answers) {
                #expect([201, 409].contains(answer.status), "\(answer.text)")
                let has = try await user.get("/users/\(user.id)/coupons").items().count == 1
                #expect(has == (answer.code != "COUPON_SOLD_OUT"))
            }
            #expect(try await service.admin.get("/coupons/\(coupon)").int("remaining") == 0)
        }
    }

    @Test(
        "while the disk is full every write is told to come back and reads go on; with room again all goes on by itself and nothing is lost",
        arguments: RedisPlace.allCases)
    func fullForAWhile(redis: RedisPlace) async throws {
        try await ServiceOnDisk.withDisk(redis: redis) { disk, log, redisURL in
            let service = try await ServiceOnDisk.start(on: disk, redisURL: redisURL, log: log)
            let shop = try await Shop(service)
            let before = try await shop.reads()
            try await service.fillDisk()
            try await shop.expectRefusals("while-full")
            #expect(try await shop.reads() == before)
            #expect(try await service.metric("firstcome_store_commit_failures_total") > 10)
            #expect(disk.bytesFree == 0)
            if redis == .onTheDisk {
                // Redis refuses even PING once it has noticed, up to two seconds after a write; who comes new is told why.
                try await eventually("Redis refuses everybody") {
                    let refused = try await disk.tool("ranking", "show")
                    return refused.status == 1 && refused.complaint.count == 1 && refused.standardError.contains("MISCONF")
                }
            }
            try disk.free()
            try await shop.expectRecovery("while-full")
            #expect(try await service.serve.end(SIGTERM) == 0)
            // The log is as short as the news: it may lie on the disk that is full.
            let lines = service.serve.standardError.split(separator: "\n")
            #expect(lines.count { $0.contains("the store cannot write, and goes on when it can again") } == 1)
            #expect(lines.count { $0.contains("the store writes again") } == 1)
            #expect(lines.count < 40, "\(service.serve.standardError)")
        }
    }

    @Test(
        "killed while the disk is full, it starts again on the full disk, serves reads, and goes on when there is room",
        arguments: RedisPlace.allCases)
    func killedWhileFull(redis: RedisPlace) async throws {
        try await ServiceOnDisk.withDisk(redis: redis) { disk, log, redisURL in
            let first = try await ServiceOnDisk.start(on: disk, redisURL: redisURL, log: log)
            let shop = try await Shop(first)
            // A service that starts has room for a moment, and stores claims that Redis had decided.
            let before = try await shop.reads(withCampaign: false)
            try await first.fillDisk()
            try await shop.expectRefusals("while-full")
            #expect(try await first.serve.end(SIGKILL) == nil)
            if redis == .onTheDisk {
                // Its restart on a full disk is the harder case: it has no room for its log either.
                try disk.fillLastPage(of: "redis/redis.log")
                kill(try #require(try PrivateRedis(dataFolder: disk.pathFromOutside).runningPID), SIGKILL)
            }
            try disk.fill()
            let second = try await ServiceOnDisk.start(on: disk, redisURL: redisURL, log: log)
            let shopAgain = try await shop.reopened(by: second)
            #expect(try await shopAgain.reads(withCampaign: false) == before)
            // Opening the store gives the room of its write-ahead log back.
            try await second.fillDisk()
            try await shopAgain.expectRefusals("after-the-restart", afterRestart: true)
            try disk.free()
            try await shopAgain.expectRecovery("after-the-restart")
            #expect(try await second.serve.end(SIGTERM) == 0)
        }
    }

    @Test("a folder that cannot be opened on a full disk is refused in one line, with nothing left running, and opens when there is room")
    func cannotStart() async throws {
        try await ServiceOnDisk.withDisk(redis: .onTheDisk) { disk, log, _ in
            let folder = disk.pathFromOutside
            try disk.fill()
            for command in ["serve", "demo"] {
                let fresh = try await disk.tool(command)
                #expect(fresh.status == 1 && fresh.complaint.count == 1, "\(fresh)")
                #expect(fresh.standardError.contains("No space left") || fresh.standardError.contains("is full"))
            }
            try disk.free()
            let service = try await ServiceOnDisk.start(on: disk, redisURL: nil, log: log)
            let shop = try await Shop(service)
            let before = try await shop.reads()
            #expect(try await service.serve.end(SIGKILL) == nil)
            await (try PrivateRedis(dataFolder: folder)).stop()
            // What opening a store needs room for.
            try FileManager.default.removeItem(atPath: folder + "/store.sqlite-shm")
            try disk.fill()
            for command in [
                ["serve", "--port", "0"], ["audit"], ["ranking", "show"], ["ranking", "rebuild"], ["backup", disk.folder + "/copy"],
            ] {
                let refused = try await disk.tool(command)
                #expect(refused.status == 1 && refused.standardOutput.isEmpty && refused.complaint.count == 1, "\(command): \(refused)")
                #expect(refused.standardError.contains("the disk that holds the store is full"), "\(command): \(refused)")
                #expect(try PrivateRedis(dataFolder: folder).runningPID == nil, "\(command)")
            }
            try disk.free()
            let again = try await ServiceOnDisk.start(on: disk, redisURL: nil, log: log)
            #expect(try await shop.reopened(by: again).reads() == before)
            #expect(try await again.audit().status == 0)
            #expect(try await again.serve.end(SIGTERM) == 0)
        }
    }

    @Test("a backup that finds no room says so and leaves no half of a copy")
    func backup() async throws {
        try await ServiceOnDisk.withDisk(redis: .elsewhere) { disk, log, redisURL in
            let service = try await ServiceOnDisk.start(on: disk, redisURL: redisURL, log: log)
            let users = try await service.newUsers(3, balance: 5_000)
            let copy = disk.folder + "/copy.sqlite"
            try await service.fillDisk()
            let refused = try await disk.tool("backup", copy)
            #expect(refused.status == 1 && refused.complaint == ["Error: the disk that holds the store is full"], "\(refused)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: disk.pathFromOutside).filter { $0.hasPrefix("copy") } == [])
            try disk.free()
            #expect(try await disk.tool("backup", copy).status == 0)
            #expect(try await users[0].balance == 5_000)
            #expect(try await service.serve.end(SIGTERM) == 0)
        }
    }

    @Test("what the data platform takes while the disk is full is marked once there is room, and not sent again")
    func delivery() async throws {
        let platform = try await DataPlatformServer { _ in .status(500) }
        do {
            try await ServiceOnDisk.withDisk(redis: .elsewhere) { disk, log, redisURL in
                let service = try await ServiceOnDisk.start(
                    on: disk, redisURL: redisURL, log: log, ["--data-platform", platform.url, "--data-platform-secret", "s"])
                let user = try await service.newUsers(1, balance: 10_000)[0]
                let product = try await service.admin.makeProduct(price: 1_000)
                _ = try await user.checkout(product).expect(201)
                func states(_ state: String) async throws -> Int {
                    try await service.admin.get("/admin/events?state=\(state)").expect(200).items().count
                }
                try await eventually("the platform has refused it once") { platform.answered == 1 }
                try await service.fillDisk()
                platform.react { _ in .status(200) }
                try await eventually("it was taken") { platform.answered == 2 }
                #expect(try await states("waiting") == 1)
                try disk.free()
                try await eventually("it is marked") { try await states("delivered") == 1 }
                let posts = platform.posts
                #expect(posts.count == 2 && Set(posts).count == 1)
                #expect(try await user.balance == 9_000)
                #expect(try await service.serve.end(SIGTERM) == 0)
                #expect(platform.posts.count == posts.count, "delivered is the end")
            }
        } catch {
            await platform.close()
            throw error
        }
        await platform.close()
    }
}
