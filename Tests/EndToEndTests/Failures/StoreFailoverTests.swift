import Commerce
import Foundation
import JSON
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("serve while the store's primary dies and its standby takes over")
    struct StoreFailoverTests {}
}

extension EndToEnd.StoreFailoverTests {
    /// People who order and pay, one order after the other, and repeat each request under its key until it is answered.
    private final class Shoppers: Sendable {
        private let state = Mutex((purchases: [Purchase](), isStopped: false))

        struct Purchase: Sendable, Hashable {
            let order: Int64
            let payment: Int64
            let user: Int64
        }

        var purchases: [Purchase] { state.withLock { $0.purchases } }
        func stop() { state.withLock { $0.isStopped = true } }

        /// Waits until this many orders are paid, or somebody got an answer that nobody expects.
        func havePaid(_ count: Int, _ claim: String) async throws {
            try await eventually(claim) { state.withLock { $0.purchases.count >= count || $0.isStopped } }
        }

        func shop(_ users: [Caller], _ product: Int64) async throws {
            try await withThrowingTaskGroup { group in
                for user in users {
                    group.addTask {
                        // Without an expected answer, the others stop too.
                        defer { self.stop() }
                        var round = 0
                        while !self.state.withLock({ $0.isStopped }) {
                            round += 1
                            let order = try await self.post(user, "/orders", Caller.orderBody(product, 1), "order-\(round)").int("orderId")
                            let paid = try await self.post(user, "/payments", #"{"orderId": \#(order)}"#, "payment-\(round)")
                            let purchase = Purchase(order: order, payment: try paid.int("paymentId"), user: user.id)
                            self.state.withLock { $0.purchases.append(purchase) }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }

        private func post(_ user: Caller, _ path: String, _ body: String, _ key: String) async throws -> HTTPAnswer {
            var answer: HTTPAnswer?
            try await eventually("\(path) is answered") {
                let next = try await user.post(path, body, key: key)
                guard next.status == 503 || next.status == 429 || next.code == "IDEMPOTENCY_KEY_IN_USE" else {
                    answer = try next.expect(201)
                    return true
                }
                return false
            }
            return try #require(answer)
        }
    }

    /// Runs `body` with a `serve` on a primary with a synchronous standby, both with the settings that its start demands.
    private static func withPair(_ body: (PostgresPair, String, ServeProcess) async throws -> Void) async throws {
        let pair = try await offPool { try PostgresPair(settings: ["fsync": "on"]) }
        defer { pair.end() }
        try await eventually("commits wait for the standby") { try await offPool { try pair.isSynchronous } }
        try await withDataFolder { folder in
            try await withServe(folder, ["--port", "0", "--store", pair.url]) { try await body(pair, folder, $0) }
        }
    }

    @Test("every order and payment that was answered is there after a failover under load, once, and readiness says no in between")
    func underLoad() async throws {
        try await Self.withPair { pair, folder, serve in
            let pool = HTTPPool(port: serve.port, maximumConnections: 32)
            let guest = Caller(pool: pool)
            let admin = Caller(pool: pool, token: try await Tool.run("token", "--store", pair.url, "--admin").lines[0])
            let tokens = try await Tool.run("token", "--store", pair.url, "--user", "1-12").lines
            let users = tokens.enumerated().map { Caller(pool: pool, token: $0.element, id: Int64($0.offset + 1)) }
            for user in users {
                _ = try await admin.post("/users", #"{"name": "이바다"}"#).expect(201)
                try await user.charge(1_000_000)
            }
            let product = try await admin.makeProduct(price: 100, stock: 1_000_000)
            try await eventually("the service is ready") { try await guest.get("/readyz").status == 200 }

            let shoppers = Shoppers()
            let load = Task { try await shoppers.shop(users, product) }
            do {
                try await shoppers.havePaid(40, "orders are paid")
                try await offPool { pair.primary.stop(.killed) }
                try await eventually("readiness names the store") {
                    let readiness = try await guest.get("/readyz")
                    return try readiness.status == 503 && readiness.value("missing").elements?.contains(.string("store")) == true
                }
                #expect(try await guest.get("/healthz").status == 200)
                let before = shoppers.purchases.count
                try await offPool { try pair.promote() }
                try await eventually("the service is ready again") { try await guest.get("/readyz").status == 200 }
                try await shoppers.havePaid(before + 40, "orders are paid again")
            } catch {
                shoppers.stop()
                load.cancel()
                _ = await load.result
                throw error
            }
            shoppers.stop()
            try await load.value

            let purchases = shoppers.purchases
            #expect(purchases.count >= 80)
            let paid = "SELECT o.id, p.id, o.user_id FROM orders o LEFT JOIN payments p ON p.order_id = o.id ORDER BY o.id"
            let rows = try await offPool { try pair.standby.sql(paid, in: pair.database) }.split(separator: "\n").map(String.init)
            #expect(rows == purchases.sorted { $0.order < $1.order }.map { "\($0.order)|\($0.payment)|\($0.user)" })
            for user in users {
                let own = purchases.filter { $0.user == user.id }
                #expect(try await user.balance == 1_000_000 - Int64(own.count) * 100)
                for purchase in own { #expect(try await user.get("/orders/\(purchase.order)").expect(200).string("status") == "PAID") }
            }
            #expect(try await admin.stock(of: product) == 1_000_000 - Int64(purchases.count))
            let audit = try await Tool.run("audit", "--store", pair.url, "--data", folder)
            #expect(audit.status == 0, "\(audit)")
            await pool.close()
            #expect(try await serve.end() == 0)
        }
    }
}
