import Commerce
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import PostgresStore

/// Three services on one database that want the same rows at the same time.
@Suite struct SeveralWritersTests {
    /// Runs `count` operations at once, each on the next of the stores.
    private static func hammer<Value: Sendable>(
        _ stores: [TransactionalStore], _ count: Int, _ operation: @escaping @Sendable (TransactionalStore, Int) async throws -> Value
    ) async throws -> [Value] {
        try await withThrowingTaskGroup(of: Value.self) { group in
            for index in 0..<count {
                let store = stores[index % stores.count]
                group.addTask { try await operation(store, index) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static func expectSound(_ home: PostgresHome, _ store: TransactionalStore) async throws {
        #expect(try await store.snapshot { snapshot throws(StoreError) in try snapshot.audit() }.filter { !$0.holds } == [])
        #expect(try home.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == "0")
    }

    @Test("users of three services get ids without a gap, and each service comes to know them all")
    func users() async throws {
        try await PostgresHome.with { home in
            let stores = [try home.open(), try home.open(), try home.open()]
            let users = try await Self.hammer(stores, 90) { store, index in
                try await store.createUser(name: "User \(index)", in: .at(noon)).value.id.rawValue
            }
            #expect(users.sorted() == Array(1...90))
            #expect(try stores[0].makePointReader().user(UserID(90)) != nil)
            #expect(stores[0].userCount == 90)
            try await Self.expectSound(home, stores[0])
        }
    }

    @Test("of one user's charges and payments at three services each counts once, and no balance is shown that never was")
    func user() async throws {
        try await PostgresHome.with { home in
            let stores = [try home.open(), try home.open(), try home.open()]
            let user = try await stores[0].createUser(name: "Jin", in: .at(noon)).value.id
            let tea = try await stores[1].createProduct(name: "Tea", price: Won(900), stock: 1_000, in: .at(noon)).value.id
            _ = try await stores[2].charge(userID: user, amount: Won(20_000), in: .at(noon)).value
            // More payments than the balance allows, and charges among them: each answers the balance it left.
            let results = try await Self.hammer(stores, 180) { store, index -> Won? in
                if index % 6 == 0 { return try await store.charge(userID: user, amount: Won(1_001), in: .at(noon)).value.balance }
                let items = [RequestedItem(productID: tea, quantity: 1)]
                let result = try await store.checkout(userID: user, items: items, issuedCouponID: nil, in: .at(noon))
                return result.isDone ? try result.value.payment.balance : nil
            }
            let balances = results.compactMap(\.self).map(\.rawValue)
            let paid = balances.count - 30
            #expect(paid >= 22 && paid < 150, "\(paid) payments")
            let rows = try home.sql("SELECT balance_after FROM transfers ORDER BY id").split(separator: "\n").compactMap { Int64($0) }
            #expect(rows.dropFirst().sorted() == balances.sorted())
            let left = 20_000 + 30 * 1_001 - Int64(paid) * 900
            #expect(try home.sql("SELECT balance FROM users") == "\(left)")
            #expect(rows.last == left)
            try await Self.expectSound(home, stores[1])
        }
    }

    @Test("of orders for one product no more are paid than there are units, whichever service takes them")
    func product() async throws {
        try await PostgresHome.with { home in
            let stores = [try home.open(), try home.open(), try home.open()]
            // Each service connects before they meet.
            for index in 0..<12 {
                let user = try await stores[index % 3].createUser(name: "U", in: .at(noon)).value
                _ = try await stores[0].charge(userID: user.id, amount: Won(1_000_000), in: .at(noon)).value
            }
            let tea = try await stores[0].createProduct(name: "Tea", price: Won(1_000), stock: 100, in: .at(noon)).value.id
            let other = try await stores[0].createProduct(name: "Cup", price: Won(500), stock: 1_000, in: .at(noon)).value.id
            let results = try await Self.hammer(stores, 240) { store, index in
                let items = [RequestedItem(productID: tea, quantity: 1), RequestedItem(productID: other, quantity: 2)]
                return try await store.checkout(
                    userID: UserID(Int64(index % 12 + 1)), items: index % 2 == 0 ? items : items.reversed(), issuedCouponID: nil,
                    in: .at(noon))
            }
            #expect(results.count { $0.isDone } == 100)
            let numbers = results.compactMap { try? $0.value.order.number }
            #expect(Set(numbers.map(\.counter)).count == 100, "an order number was given twice")
            #expect(try stores[1].makePointReader().product(tea)?.stock == 0)
            #expect(try home.sql("SELECT min(place), max(place), count(*) FROM events") == "1|100|100")
            // Refunds of the same payments by all services.
            let payments = results.compactMap { try? $0.value.payment.id }
            let refunds = try await Self.hammer(stores, 300) { store, index in
                try await store.refund(paymentID: payments[index % 100], items: nil, in: .at(noon))
            }
            #expect(refunds.count { $0.isDone } == 100)
            try await Self.expectSound(home, stores[2])
        }
    }

    @Test("of one campaign's claims each sequence and each user wins once, whichever service decides")
    func campaign() async throws {
        try await PostgresHome.with { home in
            let stores = [try home.open(), try home.open(), try home.open()]
            for index in 0..<60 { _ = try await stores[index % 3].createUser(name: "U", in: .at(noon)).value }
            let terms = CampaignTerms(
                name: "Launch", discount: .fixed(amount: Won(1_000)), quantity: 20, opensAt: noon, closesAt: nil, validForSeconds: 3_600,
                minOrderAmount: .zero, restoreOnRefund: false)
            for store in stores { _ = try await store.createCampaign(terms, in: .at(noon)).value }
            let campaign = try await stores[0].createCampaign(terms, in: .at(noon)).value
            let records = try await Self.hammer(stores, 180) { store, index in
                // Three users for each sequence: a gate that lost its mind.
                let claim = Claim(
                    couponID: campaign.id, userID: UserID(Int64(index % 60 + 1)), sequence: Int64(index % 60 / 3 + 1),
                    epoch: campaign.epoch,
                    issuedAt: noon)
                return try await store.recordClaim(claim).value
            }
            var issued = 0
            for record in records { if case .issued = record { issued += 1 } }
            #expect(issued == 20)
            #expect(try await stores[1].claims(of: campaign.id, limit: 100).map(\.sequence) == Array(1...20))
            try await Self.expectSound(home, stores[0])
        }
    }

    @Test("a request that reaches all services under one key takes effect once, and all get its answer")
    func key() async throws {
        try await PostgresHome.with { home in
            let stores = [try home.open(), try home.open(), try home.open()]
            let user = try await stores[0].createUser(name: "Jin", in: .at(noon)).value.id
            for round in 0..<20 {
                let key = IdempotencyKey(scope: "1", key: "key \(round)", fingerprint: [7])
                let results = try await Self.hammer(stores, 6) { store, _ in
                    let write = IdempotentWrite<Charge>(key: key) { StoredResponse(status: 201, body: Array("\($0.balance)".utf8)) }
                    return try await store.charge(userID: user, amount: Won(1_000), in: WriteContext(at: noon, idempotency: write))
                }
                #expect(results.count { $0.isDone } == 1)
                let answer = StoredResponse(status: 201, body: Array("\((round + 1) * 1_000)".utf8))
                #expect(results.count { $0 == .replayed(answer) } == 5)
            }
            #expect(try home.sql("SELECT balance FROM users") == "20000")
            try await Self.expectSound(home, stores[0])
        }
    }

    @Test("an order that expires while its payment waits for another service is not paid: that service may have called it expired")
    func expiryWhileWaiting() async throws {
        try await PostgresHome.with { home in
            let store = try home.open()
            let user = try await store.createUser(name: "이바다", in: .at(noon)).value.id
            _ = try await store.charge(userID: user, amount: Won(50_000), in: .at(noon)).value
            let tea = try await store.createProduct(name: "Tea", price: Won(700), stock: 10, in: .at(noon)).value.id
            let items = [RequestedItem(productID: tea, quantity: 1)]
            let order = try await store.placeOrder(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value
            let other = try await store.placeOrder(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value
            let blocker = try PostgresConnection.open(home.configuration().connection)
            defer { blocker.close() }
            _ = try blocker.send(within: hangLimit) { batch in
                batch.begin()
                batch.execute(PostgresStatement(nil, "SELECT FROM orders WHERE id = \(order.id) FOR UPDATE"))
            }
            let last = try #require(order.expiresAt.advanced(byMilliseconds: -1))
            let paying = Task { try await store.pay(orderID: order.id, by: user, in: .at(last)) }
            try await eventually("the payment waits for the order") {
                try home.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == "1"
            }
            try await Task.sleep(for: .milliseconds(5))
            try blocker.rollBack(within: hangLimit)
            #expect(try await paying.value == .refused(.orderNotPayable(.expired)))
            _ = try await store.pay(orderID: other.id, by: user, in: .at(noon)).value
        }
    }
}
