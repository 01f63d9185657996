import Foundation
import JSON
import NIOCore
import Synchronization
import TestSupport
import Testing

extension EndToEnd {
    @Suite("A rolling upgrade")
    struct RollingUpgradeTests {}
}

extension EndToEnd.RollingUpgradeTests {
    /// The build of the release before, see `make upgrade-test`.
    private static let former = ProcessInfo.processInfo.environment["FIRSTCOME_FORMER_BINARY"]

    /// What a customer was told.
    private struct Told {
        var charged: Int64 = 0
        var paid: Int64 = 0
        var refunded: Int64 = 0
        var orders: Set<Int64> = []
        /// What was bought with each payment.
        var payments: [Int64: (product: Int64, units: Int64)] = [:]
        var refunds = 0
        /// Units bought less units refunded, by product.
        var units: [Int64: Int64] = [:]
        /// The sequence of the coupon, by campaign.
        var coupons: [Int64: Int64] = [:]
    }

    private struct Customer {
        let id: Int64
        let token: String
        var told = Told()
    }

    private struct Shelf: Sendable {
        let products: [Int64]
        let campaigns: [Int64]
        let admin: String
    }

    private static let (stock, quantity, price): (Int64, Int64, Int64) = (1_000_000, 20, 700)

    @Test(
        "services are replaced one by one under load, back and forth: nothing is lost or doubled, and every refused request succeeds when it is sent again",
        .enabled(if: former != nil, "FIRSTCOME_FORMER_BINARY names no build of the release before"))
    func replacing() async throws {
        let former = try #require(Self.former)
        let present = try Tool.executable().path
        try await Self.withShop { shop in
            for number in 1...3 { try await shop.start(number, former) }
            let shelf = try await Self.open(shop, by: former)
            let tokens = try await Self.tokens(shop, by: former, "--user", "1-24")
            let (isOver, done, failed) = (Counter(), Counter(), Counter())
            let customers = try await withThrowingTaskGroup(of: Customer.self) { group in
                for (index, token) in tokens.enumerated() {
                    group.addTask {
                        var customer = Customer(id: Int64(index + 1), token: token)
                        var random = SeededGenerator(seed: UInt64(index))
                        do {
                            while isOver.value == 0 {
                                try await Self.shop(&customer, at: shop, shelf, &random)
                                done.add()
                            }
                            return customer
                        } catch {
                            failed.add()
                            throw error
                        }
                    }
                }
                // Whatever is replaced, all customers go on meanwhile and for some time after.
                func underLoad(_ change: () async throws -> Void) async throws {
                    guard failed.value == 0 else { return }
                    try await change()
                    let reached = done.value + 150
                    try await eventually("customers shop") { done.value >= reached || failed.value > 0 }
                }
                // However it ends, the customers end too.
                defer { isOver.add() }
                try await underLoad {}
                // The schema is the former release's until the first of this release starts.
                for number in 1...3 { try await underLoad { try await shop.replace(number, by: present) } }
                // One goes back, as after a release that is no good, and a former one may be started again at any time.
                for _ in 0..<2 { try await underLoad { try await shop.replace(2, by: former) } }
                try await underLoad { try await shop.replace(2, by: present) }
                isOver.add()
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(shop.retries.value > 0, "no request met a service that was going away")
            try await Self.verify(customers, shop, shelf, former: former)
        }
    }

    private static func withShop(_ body: (UpgradedShop) async throws -> Void) async throws {
        let server = try await offPool { try TemporaryPostgres(settings: ["fsync": "on"]) }
        let redis = try await offPool { try TemporaryRedis() }
        let folder = TemporaryFolder()
        // A few events are refused the first time, so that some wait when a service ends.
        let seen = Mutex<Set<String>>([])
        let platform = try await DataPlatformServer { post in
            let isFirst = seen.withLock { $0.insert(post.idempotencyKey).inserted }
            return .status(isFirst && (Int(post.idempotencyKey) ?? 0) % 7 == 0 ? 500 : 200)
        }
        let shop = UpgradedShop(server: server, redis: redis, platform: platform, folder: folder.path)
        let result: Result<Void, any Error>
        do {
            _ = try await offPool { try server.sql("CREATE DATABASE shop ENCODING 'UTF8' TEMPLATE template0") }
            result = .success(try await body(shop))
        } catch {
            result = .failure(error)
        }
        await shop.end()
        await platform.close()
        try await offPool {
            redis.end()
            server.end()
            folder.remove()
        }
        try result.get()
    }

    private static func tokens(_ shop: UpgradedShop, by executable: String, _ choice: String...) async throws -> [String] {
        let output = try await Tool.run(program: [executable, "token", "--store", shop.store] + choice)
        #expect(output.status == 0, "\(output.standardError)")
        return output.lines
    }

    private static func open(_ shop: UpgradedShop, by executable: String) async throws -> Shelf {
        let admin = try await tokens(shop, by: executable, "--admin")[0]
        let caller = Caller(pool: try shop.anyPool, token: admin)
        for _ in 0..<24 { _ = try await caller.post("/users", #"{"name": "이바다"}"#).expect(201) }
        var (products, campaigns): ([Int64], [Int64]) = ([], [])
        for _ in 0..<8 { products.append(try await caller.makeProduct(price: price, stock: stock)) }
        for _ in 0..<12 { campaigns.append(try await caller.makeCoupon(quantity: quantity)) }
        return Shelf(products: products, campaigns: campaigns, admin: admin)
    }
}

// MARK: - Shopping

extension EndToEnd.RollingUpgradeTests {
    /// One random step, which is repeated until it is answered, and then once more, to be answered the same.
    private static func shop(
        _ customer: inout Customer, at shop: UpgradedShop, _ shelf: Shelf, _ random: inout SeededGenerator
    ) async throws {
        func ask(_ method: String, _ path: String, _ body: String?, token: String? = nil) async throws -> HTTPAnswer {
            let key = UUID().uuidString
            let token = token ?? customer.token
            let answer = try await shop.ask(method, path, body, token: token, key: key).expect(201)
            let again = try await shop.ask(method, path, body, token: token, key: key)
            #expect(again.status == 201 && again.body == answer.body, "\(answer.text) and \(again.text)")
            return answer
        }
        let product = shelf.products.randomElement(using: &random) ?? 0
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<2:
            let amount = Int64.random(in: 1...50, using: &random) * 1_000
            let path = "/users/\(customer.id)/balance/charges"
            _ = try await ask("POST", path, #"{"amount": \#(amount)}"#)
            customer.told.charged += amount
        case 2..<4:
            guard let campaign = shelf.campaigns.randomElement(using: &random) else { return }
            let answer = try await shop.ask("POST", "/coupons/\(campaign)/claims", nil, token: customer.token)
            try claimed(campaign, answer, &customer)
        case 4..<6 where !customer.told.payments.isEmpty:
            guard let (payment, bought) = customer.told.payments.randomElement(using: &random) else { return }
            let answer = try await shop.ask(
                "POST", "/payments/\(payment)/refunds", "{}", token: shelf.admin, key: UUID().uuidString)
            // It may have been refunded before.
            guard answer.code != "REFUND_EXCEEDS_PAYMENT" else { return }
            customer.told.refunded += try answer.expect(201).int("amount")
            customer.told.refunds += 1
            customer.told.units[bought.product, default: 0] -= bought.units
        default:
            let units = Int64.random(in: 1...3, using: &random)
            guard customer.told.charged + customer.told.refunded - customer.told.paid >= units * price else { return }
            let answer: HTTPAnswer
            if Bool.random(using: &random) {
                let order = try await ask("POST", "/orders", Caller.orderBody(product, units)).int("orderId")
                answer = try await ask("POST", "/payments", #"{"orderId": \#(order)}"#)
                customer.told.orders.insert(order)
                customer.told.payments[try answer.int("paymentId")] = (product, units)
            } else {
                answer = try await ask("POST", "/checkout", Caller.orderBody(product, units))
                customer.told.orders.insert(try answer.int("order", "orderId"))
                customer.told.payments[try answer.int("payment", "paymentId")] = (product, units)
            }
            customer.told.paid += units * price
            customer.told.units[product, default: 0] += units
        }
    }

    private static func claimed(_ campaign: Int64, _ answer: HTTPAnswer, _ customer: inout Customer) throws {
        let known = customer.told.coupons[campaign]
        switch (answer.status, answer.code) {
        case (201, _):
            // An answer that was lost would make it 409.
            #expect(known == nil, "user \(customer.id) has coupon \(campaign) twice")
            customer.told.coupons[campaign] = try answer.int("sequence")
        case (409, "COUPON_ALREADY_CLAIMED"):
            let sequence = try answer.int("issuedCoupon", "sequence")
            #expect(known == nil || known == sequence, "user \(customer.id), coupon \(campaign)")
            customer.told.coupons[campaign] = sequence
        default: #expect(answer.code == "COUPON_SOLD_OUT" && known == nil, "\(answer.status) \(answer.text)")
        }
    }
}

// MARK: - What is left

extension EndToEnd.RollingUpgradeTests {
    private static func verify(_ customers: [Customer], _ shop: UpgradedShop, _ shelf: Shelf, former: String) async throws {
        let admin = Caller(pool: try shop.anyPool, token: shelf.admin)
        for customer in customers {
            let told = customer.told
            let balance = try await Caller(pool: admin.pool, token: customer.token, id: customer.id).balance
            #expect(balance == told.charged - told.paid + told.refunded, "user \(customer.id)")
        }
        let payments = customers.reduce(0) { $0 + $1.told.payments.count }
        let refunds = customers.reduce(0) { $0 + $1.told.refunds }
        let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM payments), (SELECT count(*) FROM refunds)"
        #expect(try shop.server.sql(counts, in: "shop") == "\(payments)|\(payments)|\(refunds)")
        #expect(payments > 100 && refunds > 10)

        for product in shelf.products {
            let sold = customers.reduce(0) { $0 + $1.told.units[product, default: 0] }
            #expect(try await admin.stock(of: product) == stock - sold, "product \(product)")
        }
        for campaign in shelf.campaigns {
            let sequences = customers.compactMap { $0.told.coupons[campaign] }.sorted()
            #expect(sequences == Array(1...Int64(sequences.count)) && sequences.count <= quantity, "campaign \(campaign): \(sequences)")
        }
        try await verifyRanking(customers, admin)
        try await verifyEvents(shop, count: payments + refunds)
        for executable in [try Tool.executable().path, former] {
            let audit = try await Tool.run(program: [executable, "audit", "--store", shop.store, "--redis", shop.redis.url])
            #expect(audit.status == 0 && audit.standardOutput.contains("every invariant holds"), "\(audit)")
        }
    }

    /// The first five by units of the last days, which are those of this test.
    private static func verifyRanking(_ customers: [Customer], _ admin: Caller) async throws {
        var units: [Int64: Int64] = [:]
        for customer in customers { units.merge(customer.told.units, uniquingKeysWith: +) }
        let best = units.values.sorted(by: >).prefix(5)
        try await eventually("the ranking has counted everything") {
            let items = try await admin.get("/products/top").expect(200).items()
            return items.count == 5
                && zip(items, best).allSatisfy { item, sold in
                    item["unitsSold"]?.int == sold && units[item["productId"]?.int ?? 0] == sold
                }
        }
    }

    /// Each event was taken at least once, always with the same body, and those of an order first in their order.
    private static func verifyEvents(_ shop: UpgradedShop, count: Int) async throws {
        try await eventually("every event is delivered") {
            try shop.server.sql("SELECT count(*) FROM events WHERE delivery <> 1", in: "shop") == "0"
        }
        let taken = Set(shop.platform.taken)
        #expect(taken.count == count)
        var (bodies, orders): ([String: String], [Int64: [Int64]]) = ([:], [:])
        for post in shop.platform.posts {
            if let body = bodies[post.idempotencyKey] {
                #expect(body == post.body)
                continue
            }
            bodies[post.idempotencyKey] = post.body
            let json = try JSONParser.parse(ByteBuffer(string: post.body))
            orders[json["order"]?["orderId"]?.int ?? 0, default: []].append(try #require(Int64(post.idempotencyKey)))
        }
        for (order, events) in orders { #expect(events == events.sorted(), "order \(order)") }
    }
}
