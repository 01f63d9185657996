import Commerce
import Dispatch
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Store

/// Changes that SQLite's books gather in memory and write once for a group.
@Suite("Gathered writes", .temporaryStore)
struct GatheringTests: StoreSuite {
    @Test("a product that every job of a group changes is written once, and as the jobs left it")
    func hotProduct() async throws {
        let users = try await store.makeUsers(64, balance: 100_000)
        let tea = try await store.makeProduct(stock: 100)
        var orders: [OrderID] = []
        for user in users { orders.append(try await store.order(user, [(tea, 1)]).id) }
        let version = store.rowVersions.version(of: tea.rawValue, in: .products)
        let group = try await Group(store)
        for (order, user) in zip(orders, users) { group.add(PayOrder(order: order, user: user, now: noon, trace: nil)) }
        for user in users.prefix(36) {
            let request = OrderRequest(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil)
            group.add(CheckOut(request: request, now: noon, trace: nil))
        }
        let request = OrderRequest(userID: users[0], items: wishes([(tea, 1)]), issuedCouponID: nil)
        group.add(CheckOut(request: request, now: noon, trace: nil))
        let results = try await group.results()
        #expect(results.prefix(100).allSatisfy { $0 == "done" })
        #expect(results.last == "refused: \(Refusal.outOfStock(tea, available: 0))")
        #expect(store.rowVersions.version(of: tea.rawValue, in: .products) == version + 1)
        let product = try #require(try reader.product(tea))
        #expect(product.stock == 0 && product.held == 0)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("a campaign that several jobs of a group issue coupons of gives out its last coupon once")
    func hotCampaign() async throws {
        let users = try await store.makeUsers(30)
        let campaign = try await store.makeCampaign(quantity: 20)
        let group = try await Group(store)
        for (index, user) in users.enumerated() {
            let claim = Claim(couponID: campaign.id, userID: user, sequence: Int64(index + 1), epoch: 0, issuedAt: noon)
            group.add(RecordClaims(writes: [ClaimWrite(claim)], campaign: campaign.id))
        }
        group.add(UpdateCampaign(id: campaign.id, change: CampaignChange(quantity: 19), condition: nil))
        group.add(UpdateCampaign(id: campaign.id, change: CampaignChange(quantity: 21), condition: nil))
        let last = Claim(couponID: campaign.id, userID: users[29], sequence: 99, epoch: 0, issuedAt: noon)
        group.add(RecordClaims(writes: [ClaimWrite(last)], campaign: campaign.id))
        let results = try await group.results()
        #expect(results[30] == "refused: \(Refusal.quantityIssued(issued: 20))")
        #expect(results[31] == "done")
        let stored = try #require(try reader.campaign(campaign.id))
        #expect(stored.issued == 21 && stored.remaining == 0)
        #expect(try reader.issuedCoupon(of: campaign.id, userID: users[29])?.sequence == 99)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("orders of one group on two business days are numbered without a gap")
    func orderNumbers() async throws {
        let users = try await store.makeUsers(1)
        let tea = try await store.makeProduct(stock: 100)
        let tomorrow = after(24 * 3_600_000)
        _ = try await store.order(users[0], [(tea, 1)])
        let group = try await Group(store)
        let request = OrderRequest(userID: users[0], items: wishes([(tea, 1)]), issuedCouponID: nil)
        for now in [noon, tomorrow, noon, noon, tomorrow] { group.add(PlaceOrder(request: request, now: now)) }
        _ = try await group.results()
        let orders = try await store.orders(of: users[0], page: PageRequest()).items.reversed()
        #expect(orders.map(\.number.counter) == [1, 2, 1, 3, 4, 2])
        #expect(try await store.order(users[0], [(tea, 1)], at: tomorrow).number.counter == 3)
    }

    @Test("a change to a product within a group sees and keeps what the jobs before it did")
    func changeInBetween() async throws {
        let users = try await store.makeUsers(2, balance: 100_000)
        let tea = try await store.makeProduct(stock: 11)
        let request = OrderRequest(userID: users[0], items: wishes([(tea, 4)]), issuedCouponID: nil)
        let group = try await Group(store)
        let one = OrderRequest(userID: users[1], items: wishes([(tea, 1)]), issuedCouponID: nil)
        group.add(CheckOut(request: one, now: noon, trace: nil))
        group.add(PlaceOrder(request: request, now: noon))
        group.add(UpdateProduct(id: tea, change: ProductChange(stockChange: -7), condition: nil))
        group.add(UpdateProduct(id: tea, change: ProductChange(price: Won(5), stockChange: -2), condition: nil))
        group.add(PlaceOrder(request: request, now: noon))
        #expect(
            try await group.results() == ["done", "done", "refused: \(Refusal.outOfStock(tea, available: 6))", "done", "done"])
        let product = try #require(try reader.product(tea))
        #expect(product.stock == 8 && product.held == 8 && product.price == Won(5))
    }

    @Test("what a row's check refuses at the end of a group fails the one job that broke it")
    func check() async throws {
        let users = try await store.makeUsers(3, balance: 100_000)
        let tea = try await store.makeProduct(stock: 10)
        let group = try await Group(store)
        let request = OrderRequest(userID: users[0], items: wishes([(tea, 1)]), issuedCouponID: nil)
        group.add(CheckOut(request: request, now: noon, trace: nil))
        group.add(Overselling(product: tea))
        group.add(CheckOut(request: request, now: noon, trace: nil))
        #expect(try await group.results(isSplit: true) == ["done", "failed: internal", "done"])
        #expect(try reader.product(tea)?.stock == 8)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }
}

/// Takes more units of a product than there are.
private struct Overselling: UseCase {
    let product: ProductID
    var needs: Needs { Needs(products: [product]) }

    func decide(_ books: some Books) throws -> Outcome<Void> {
        try books.take(1_000, of: product)
        return .done(())
    }
}

/// Jobs that become one group of the writer, which waits in a job of its own until all are there.
private final class Group: Sendable {
    private let store: TransactionalStore
    private let gate = DispatchSemaphore(value: 0)
    /// The answer of each job, in the order in which they were added; nil before it comes.
    private let answers = Mutex<[String?]>([])

    /// Returns once the writer waits, so that its job is no part of the group.
    init(_ store: TransactionalStore) async throws {
        self.store = store
        guard case .sqlite(let engine) = store.engine else { preconditionFailure("only SQLite has groups") }
        let inside = Flag()
        engine.writer?.submit(context: nil) { [gate] _ in
            inside.raise()
            gate.wait()
        } completion: { _ in
        }
        try await eventually("the writer stands in the gate") { inside.isRaised }
    }

    deinit { gate.signal() }

    func add<Case: UseCase>(_ useCase: Case) {
        let place = answers.withLock { answers in
            answers.append(nil)
            return answers.count - 1
        }
        store.submitDecision(useCase) { [self] result in
            let answer =
                switch result {
                case .success(.done): "done"
                case .success(.refused(let refusal)): "refused: \(refusal)"
                case .failure(let error): "failed: \(error.code)"
                }
            answers.withLock { $0[place] = answer }
        }
    }

    /// Lets the writer go on, and returns what each job was answered.
    ///
    /// - Parameter isSplit: whether the jobs run one by one after all, because one of them fails; they would hide what a group does wrong.
    func results(isSplit: Bool = false) async throws -> [String] {
        let before = store.statistics.regroups
        gate.signal()
        try await eventually("the group is answered") { self.answers.withLock { !$0.contains(nil) } }
        #expect(store.statistics.regroups == before + (isSplit ? 1 : 0))
        return answers.withLock { $0.compactMap(\.self) }
    }
}

extension TransactionalStore {
    fileprivate func submitDecision<Case: UseCase>(
        _ useCase: Case, completion: @escaping @Sendable (Result<Outcome<Case.Value>, StoreError>) -> Void
    ) {
        guard case .sqlite(let engine) = engine else { preconditionFailure("only SQLite has groups") }
        engine.submit(useCase, context: nil, completion: completion)
    }
}

// MARK: - Against the model

/// Runs random operations in groups, some of which have a job that fails, on the store and on the model.
@Suite struct GroupedModelTests {
    @Test("groups of random operations do to the store what they do one by one to the model", arguments: 0..<4)
    func random(run: UInt64) async throws {
        let seed = TestSettings.seed &+ run
        var walk = try await GroupedWalk(seed: seed)
        for step in 0..<60 {
            let (said, expected) = try await walk.step()
            try #require(said == expected, "SEED=\(seed) group \(step)")
            try walk.compare(seed: seed, step)
        }
        #expect(try await walk.home.audit().filter { !$0.holds } == [], "SEED=\(seed)")
        #expect(
            !walk.model.payments.isEmpty && walk.model.orders.contains { $0.status == .refunded }, "SEED=\(seed): the walk went nowhere")
        #expect(walk.home.store.statistics.regroups > 5 && walk.home.store.statistics.largestGroup > 20, "SEED=\(seed)")
    }
}

private struct GroupedWalk {
    let home: TemporaryStore
    var model: StoreModel
    var generator: SeededGenerator
    var now = noon
    let campaign: Campaign
    private var wins = 0

    init(seed: UInt64) async throws {
        home = try TemporaryStore()
        generator = SeededGenerator(seed: seed)
        _ = try await home.store.makeUsers(8)
        let (prices, stock): ([Int64], [Int64]) = ([999, 3_333, 10_000], [90, 60, 30])
        for (price, units) in zip(prices, stock) { _ = try await home.store.makeProduct(price: price, stock: units) }
        model = StoreModel(balances: Array(repeating: 0, count: 8), stock: stock, held: [0, 0, 0], prices: prices)
        campaign = try await home.store.makeCampaign(
            .fixed(amount: Won(model.discount)), quantity: Int64(model.quantity), minOrder: model.minimum, restoreOnRefund: true,
            validForSeconds: 1_000_000_000)
    }

    private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }
    private func id<Entity>(_ index: Int) -> Identifier<Entity> { Identifier(Int64(index + 1)) }

    /// One group on both: what the store answered to each job, and what the model says.
    mutating func step() async throws -> ([String], [String]) {
        let group = try await Group(home.store)
        var expected: [String] = []
        let size = pick(24) + 2
        let failure = pick(3) == 0 ? pick(size) : size
        for place in 0..<size {
            now = Instant(milliseconds: now.milliseconds + Int64(pick(20_000)))
            if place == failure {
                group.add(Overselling(product: id(pick(3))))
                expected.append("failed: internal")
            } else {
                expected.append(add(to: group) ? "done" : "refused")
            }
        }
        return (try await group.results(isSplit: failure < size).map { $0.hasPrefix("refused") ? "refused" : $0 }, expected)
    }

    /// Adds an operation to the group, and returns whether the model does it.
    private mutating func add(to group: Group) -> Bool {
        switch pick(9) {
        case 0, 1:
            let (user, amount) = (pick(8), [Int64(999), 1_000, 54_321, 1_000_000][pick(4)])
            group.add(ChargeBalance(user: id(user), amount: Won(amount), now: now))
            return model.charge(user, amount)
        case 2, 3: return place(on: group, paying: false)
        case 4: return place(on: group, paying: true)
        case 5 where !model.orders.isEmpty:
            let order = pick(model.orders.count)
            let user = pick(4) == 0 ? pick(8) : model.orders[order].owner
            group.add(PayOrder(order: id(order), user: id(user), now: now, trace: nil))
            return model.pay(order, user, now: now.milliseconds)
        case 6 where !model.orders.isEmpty:
            let order = pick(model.orders.count)
            group.add(CancelOrder(order: id(order), user: nil, now: now))
            return model.cancel(order, now: now.milliseconds)
        case 7 where !model.payments.isEmpty:
            let (payment, product, quantity) = (pick(model.payments.count), pick(4) == 0 ? nil : pick(3), Int64(pick(3) + 1))
            let items = product.map { [RequestedItem(productID: id($0), quantity: quantity)] }
            group.add(RefundPayment(payment: id(payment), items: items, now: now, trace: nil))
            return model.refund(payment, product, quantity) != nil
        case 8:
            let user = pick(8)
            let claim = Claim(couponID: campaign.id, userID: id(user), sequence: Int64(wins + 1), epoch: 0, issuedAt: now)
            group.add(RecordClaims(writes: [ClaimWrite(claim)], campaign: campaign.id))
            if model.claim(user) { wins += 1 }
            return true
        default:
            group.add(ExpireOrders(orders: model.orders.indices.map { id($0) }, now: now))
            _ = model.expire(now: now.milliseconds)
            return true
        }
    }

    private mutating func place(on group: Group, paying: Bool) -> Bool {
        let user = pick(8)
        let items = (0...pick(3)).map { _ in (product: pick(3), quantity: Int64(pick(4) + 1)) }
        let coupon = pick(2) == 0 ? nil : pick(model.quantity)
        let request = OrderRequest(
            userID: id(user), items: items.map { RequestedItem(productID: id($0.product), quantity: $0.quantity) },
            issuedCouponID: coupon.map { id($0) })
        if paying {
            group.add(CheckOut(request: request, now: now, trace: nil))
        } else {
            group.add(PlaceOrder(request: request, now: now))
        }
        return model.place(user, items, coupon: coupon, now: now.milliseconds, paying: paying)
    }

    func compare(seed: UInt64, _ step: Int) throws {
        let reader = try home.reader
        for user in model.balances.indices {
            try #require(try reader.balance(of: id(user))?.amount.rawValue == model.balances[user], "SEED=\(seed) \(step) user \(user)")
        }
        for product in model.stock.indices {
            let stored = try reader.product(id(product))
            try #require(
                stored?.stock == model.stock[product] && stored?.held == model.held[product], "SEED=\(seed) \(step) product \(product)")
        }
        for (index, order) in model.orders.enumerated() {
            try #require(try reader.order(id(index))?.storedStatus == order.status, "SEED=\(seed) \(step) order \(index)")
        }
        try #require(try reader.campaign(campaign.id)?.issued == Int64(wins), "SEED=\(seed) \(step)")
    }
}
