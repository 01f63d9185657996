import Commerce
import Foundation
import Store
import TestSupport
import Testing

/// Runs the same random operations on the store and on the model, and compares every answer and, at the end, everything.
@Suite struct ModelTests {
    @Test("random operations do to the store what they do to the model", arguments: 0..<4)
    func random(run: UInt64) async throws {
        let home = try TemporaryStore()
        try await Self.walk(on: home, stores: [home.store], seed: TestSettings.seed &+ run)
    }

    @Test("random operations do to the store on PostgreSQL what they do to the model, by one service and by three", arguments: [1, 3])
    func randomOnPostgres(services: Int) async throws {
        try await TemporaryStore.withPostgres { home, database in
            var stores = [home.store]
            for _ in 1..<services { stores.append(try TemporaryStore.open(on: database)) }
            defer { for store in stores { store.close() } }
            try await Self.walk(on: home, stores: stores, seed: TestSettings.seed &+ UInt64(services))
            #expect(try database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == "0")
        }
    }

    private static func walk(on home: TemporaryStore, stores: [TransactionalStore], seed: UInt64) async throws {
        var walk = try await RandomWalk(home, stores: stores, seed: seed)
        for step in 0..<600 {
            let (said, expected, operation) = try await walk.step()
            try #require(said == expected, "SEED=\(seed) step \(step): \(operation)")
        }
        try await walk.compare(seed: seed)
    }
}

private struct RandomWalk {
    let home: TemporaryStore
    var model: StoreModel
    var generator: SeededGenerator
    var now = noon
    let campaign: Campaign
    /// Each step is made by one of them.
    let stores: [TransactionalStore]
    /// The ids of the model's coupons, orders and payments: those from sequences have gaps.
    var coupons: [IssuedCouponID] = []
    var orders: [OrderID] = []
    var payments: [PaymentID] = []

    init(_ home: TemporaryStore, stores: [TransactionalStore], seed: UInt64) async throws {
        (self.home, self.stores) = (home, stores)
        generator = SeededGenerator(seed: seed)
        _ = try await home.store.makeUsers(8)
        let prices: [Int64] = [999, 3_333, 10_000]
        let stock: [Int64] = [50, 20, 5]
        for (price, units) in zip(prices, stock) { _ = try await home.store.makeProduct(price: price, stock: units) }
        model = StoreModel(
            balances: Array(repeating: 0, count: 8), stock: stock, held: [0, 0, 0], prices: prices)
        campaign = try await home.store.makeCampaign(
            .fixed(amount: Won(model.discount)), quantity: Int64(model.quantity), minOrder: model.minimum, restoreOnRefund: true,
            validForSeconds: 1_000_000_000)
    }

    private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }
    private func id<Entity>(_ index: Int) -> Identifier<Entity> { Identifier(Int64(index + 1)) }

    /// One operation on both: what the store said, what the model says, and what it was.
    mutating func step() async throws -> (String, String, String) {
        now = Instant(milliseconds: now.milliseconds + Int64(pick(60_000)))
        switch pick(10) {
        case 0, 1: return try await charge()
        case 2: return try await claim()
        case 3, 4: return try await place(paying: false)
        case 5: return try await place(paying: true)
        case 6 where !model.orders.isEmpty: return try await pay()
        case 7 where !model.orders.isEmpty: return try await cancel()
        case 8 where !model.payments.isEmpty: return try await refund()
        default:
            return ("\(try await store().expireOrders(at: now))", "\(model.expire(now: now.milliseconds))", "expire")
        }
    }

    private mutating func store() -> TransactionalStore { stores[stores.count == 1 ? 0 : pick(stores.count)] }

    private mutating func charge() async throws -> (String, String, String) {
        let (user, amount) = (pick(8), [Int64(999), 1_000, 54_321, 1_000_000][pick(4)])
        let said = try await store().charge(userID: id(user), amount: Won(amount), in: .at(now))
        return ("\(said.isDone)", "\(model.charge(user, amount))", "charge \(user) \(amount)")
    }

    private mutating func claim() async throws -> (String, String, String) {
        let user = pick(8)
        let claim = Claim(
            couponID: campaign.id, userID: id(user), sequence: Int64(model.coupons.count + 1), epoch: 0, issuedAt: now)
        let record = try await store().recordClaim(claim).value
        let said = if case .issued(let coupon) = record { coupon } else { nil as IssuedCoupon? }
        if let said { coupons.append(said.id) }
        return ("\(said != nil)", "\(model.claim(user))", "claim \(user)")
    }

    private mutating func place(paying: Bool) async throws -> (String, String, String) {
        let user = pick(8)
        let wishes = (0...pick(3)).map { _ in (product: pick(3), quantity: Int64(pick(4) + 1)) }
        let coupon = pick(2) == 0 ? nil : pick(model.quantity)
        let items = wishes.map { RequestedItem(productID: id($0.product), quantity: $0.quantity) }
        // A coupon that is not issued yet has an id that none has.
        let couponID = coupon.map { coupons.indices.contains($0) ? coupons[$0] : IssuedCouponID(999_999) }
        var said = false
        if paying {
            if case .done(let checkout) = try await store().checkout(userID: id(user), items: items, issuedCouponID: couponID, in: .at(now))
            {
                said = true
                orders.append(checkout.order.id)
                payments.append(checkout.payment.id)
            }
        } else if case .done(let order) = try await store().placeOrder(
            userID: id(user), items: items, issuedCouponID: couponID, in: .at(now))
        {
            said = true
            orders.append(order.id)
        }
        let expected = model.place(user, wishes, coupon: coupon, now: now.milliseconds, paying: paying)
        return ("\(said)", "\(expected)", "\(paying ? "checkout" : "place") \(user) \(wishes) coupon \(coupon ?? -1)")
    }

    private mutating func pay() async throws -> (String, String, String) {
        let order = pick(model.orders.count)
        let user = pick(4) == 0 ? pick(8) : model.orders[order].owner
        let payment = try? await store().pay(orderID: orders[order], by: id(user), in: .at(now)).value
        if let payment { payments.append(payment.id) }
        return ("\(payment != nil)", "\(model.pay(order, user, now: now.milliseconds))", "pay \(order) by \(user)")
    }

    private mutating func cancel() async throws -> (String, String, String) {
        let order = pick(model.orders.count)
        let said = try await store().cancelOrder(orders[order], by: nil, in: .at(now)).isDone
        return ("\(said)", "\(model.cancel(order, now: now.milliseconds))", "cancel \(order)")
    }

    private mutating func refund() async throws -> (String, String, String) {
        let payment = pick(model.payments.count)
        let product = pick(4) == 0 ? nil : pick(3)
        let quantity = Int64(pick(3) + 1)
        let items = product.map { [RequestedItem(productID: id($0), quantity: quantity)] }
        let said = try await store().refund(paymentID: payments[payment], items: items, in: .at(now))
        let amount: Int64? = if case .done(let refund) = said { refund.amount.rawValue } else { nil }
        return ("\(amount ?? -1)", "\(model.refund(payment, product, quantity) ?? -1)", "refund \(payment) \(product ?? -1) x\(quantity)")
    }

    func compare(seed: UInt64) async throws {
        let reader = try home.store.makePointReader()
        for user in model.balances.indices {
            #expect(try reader.balance(of: id(user))?.amount.rawValue == model.balances[user], "SEED=\(seed) user \(user)")
        }
        for product in model.stock.indices {
            let stored = try reader.product(id(product))
            #expect(stored?.stock == model.stock[product] && stored?.held == model.held[product], "SEED=\(seed) product \(product)")
        }
        for (index, coupon) in model.coupons.enumerated() {
            let stored = try reader.issuedCoupon(coupons[index])
            let state: IssuedCoupon.State = coupon.used ? .used : coupon.order == nil ? .issued : .held
            #expect(stored?.state == state, "SEED=\(seed) coupon \(index)")
            #expect(stored?.orderID == coupon.order.map { orders[$0] }, "SEED=\(seed) coupon \(index)")
        }
        for (index, order) in model.orders.enumerated() {
            #expect(try reader.order(orders[index])?.storedStatus == order.status, "SEED=\(seed) order \(index)")
        }
        for (index, order) in model.payments.enumerated() {
            #expect(
                try reader.payment(payments[index])?.refundedAmount.rawValue == model.orders[order].refunded,
                "SEED=\(seed) payment \(index)")
        }
        let broken = try await home.audit().filter { !$0.holds }
        #expect(broken.isEmpty, "SEED=\(seed)")
        #expect(!model.payments.isEmpty && model.orders.contains { $0.status == .refunded }, "SEED=\(seed): the walk went nowhere")
    }
}
