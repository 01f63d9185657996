import Commerce
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Store

/// What use cases say that they need, held against what they read, change and add.
@Suite("Needs of use cases", .temporaryStore)
struct NeedsTests: StoreSuite {
    @Test("a use case that reads a row outside its needs ends a debug build, and says which row")
    func trap() async throws {
        let folder = TemporaryFolder(on: .memory).url
        defer { try? FileManager.default.removeItem(at: folder) }
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [path = folder.path as String] in
            let store = try TemporaryStore.open(URL(fileURLWithPath: path))
            _ = try await store.makeUsers(1)
            _ = try await store.decide(Nosy(), context: nil)
        }
        let output = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(output.contains("the needs of a use case are incomplete: User 1"))
    }

    @Test("a use case is reported whichever part of its needs it does not name, and not with all of them")
    func everyPart() async throws {
        let shop = try await Shelf(store)
        for row in shop.table {
            #expect(try await row.reports(store, nil) == [], "\(row.name)")
            for part in row.parts {
                let reports = try await row.reports(store, part)
                #expect(!reports.isEmpty, "\(row.name) without \(part)")
            }
            #expect(row.parts.count == row.expected, "\(row.name): \(row.parts)")
        }
    }

    @Test("rows that follow from a named row are no others than those of that row")
    func followers() async throws {
        let shop = try await Shelf(store)
        let other = try await store.makeProduct("Salt")
        let coupon = shop.coupons[1].id
        let reports = try await Self.reports(on: store, Needs(payments: [shop.payment.id])) { books in
            _ = try books.order(shop.payment.orderID)
            _ = try books.balance(of: shop.payment.userID)
            for line in shop.paid.lines { _ = try books.product(line.productID) }
            _ = try books.product(other)
            _ = try books.issuedCoupon(coupon)
            _ = try books.order(shop.pending.id)
        }
        #expect(reports == ["Product \(other)", "IssuedCoupon \(coupon)", "Order \(shop.pending.id)"])
    }

    @Test("what a use case has added itself it may read")
    func added() async throws {
        let reports = try await Self.reports(on: store, Needs(new: NewRows(users: 1))) { books in
            _ = try books.balance(of: try books.insertUser(name: "new", at: noon))
            _ = try books.insertUser(name: "one too many", at: noon)
        }
        #expect(reports == ["one more new user"])
    }

    /// What is reported while `body` works on books with these needs. Afterwards nothing has changed.
    fileprivate static func reports(
        on store: TransactionalStore, _ needs: Needs, _ body: @escaping @Sendable (CheckedBooks<SQLiteBooks>) throws -> Void
    ) async throws -> [String] {
        let reports = Mutex<[String]>([])
        do {
            try await store.onBooks { books in
                // The group runs again after the failure.
                reports.withLock { $0 = [] }
                try body(CheckedBooks(books, needs: needs) { report in reports.withLock { $0.append(report) } })
                throw Undo()
            }
        } catch let error as StoreError where error.cause is Undo {
            return reports.withLock { $0 }
        }
        return ["it was not undone"]
    }

    private struct Undo: Error {}
}

/// Reads a user's balance without having named the user.
private struct Nosy: UseCase {
    var needs: Needs { Needs() }

    func decide(_ books: some Books) throws -> Outcome<Balance?> { .done(try books.balance(of: UserID(1))) }
}

/// A store with rows for every use case.
private struct Shelf {
    let coupons: [IssuedCoupon]
    let pending: Order
    let paid: Order
    let payment: Payment
    let table: [Row]

    struct Row: Sendable {
        let name: String
        /// The parts of the needs that name something.
        let parts: [String]
        /// How many there must be.
        let expected: Int
        let reports: @Sendable (TransactionalStore, _ without: String?) async throws -> [String]

        init<Case: UseCase>(_ useCase: Case, parts expected: Int) {
            let needs = useCase.needs
            name = "\(Case.self)"
            parts = Self.all.filter { part in
                var changed = needs
                part.clear(&changed)
                return changed != needs
            }.map(\.name)
            self.expected = expected
            reports = { store, without in
                var needs = needs
                Self.all.first { $0.name == without }?.clear(&needs)
                return try await NeedsTests.reports(on: store, needs) { books in
                    guard case .done = try books.decide(useCase) else { throw NotDone(result: "refused") }
                }
            }
        }

        private static let all: [(name: String, clear: @Sendable (inout Needs) -> Void)] = [
            ("users", { $0.users = [] }), ("products", { $0.products = [] }), ("campaigns", { $0.campaigns = [] }),
            ("issued coupons", { $0.issuedCoupons = [] }), ("owned coupons", { $0.ownedCoupons = [] }), ("orders", { $0.orders = [] }),
            ("payments", { $0.payments = [] }), ("events", { $0.events = [] }), ("answers", { $0.answers = [] }),
            ("duty", { $0.duty = nil }), ("bounds of the outbox", { $0.outboxBounds = false }),
            ("order numbers", { $0.orderNumbersAt = nil }),
            ("new users", { $0.new.users = 0 }), ("new transfers", { $0.new.transfers = 0 }), ("new charges", { $0.new.charges = 0 }),
            ("new products", { $0.new.products = 0 }), ("new campaigns", { $0.new.campaigns = 0 }),
            ("new issued coupons", { $0.new.issuedCoupons = 0 }), ("new orders", { $0.new.orders = 0 }),
            ("new payments", { $0.new.payments = 0 }), ("new refunds", { $0.new.refunds = 0 }), ("new events", { $0.new.events = 0 }),
            ("new entries of the admin log", { $0.new.adminLogEntries = 0 }),
        ]
    }

    init(_ store: TransactionalStore) async throws {
        let users = try await store.makeUsers(4, balance: 500_000)
        let (tea, cup) = (try await store.makeProduct("Tea"), try await store.makeProduct("Cup"))
        let campaign = try await store.makeCampaign(restoreOnRefund: true)
        var coupons: [IssuedCoupon] = []
        for (index, user) in users.prefix(3).enumerated() {
            coupons.append(try await store.issue(campaign, to: user, sequence: Int64(index + 1)))
        }
        paid = try await store.order(users[0], [(tea, 1), (cup, 1)], coupon: coupons[0].id)
        payment = try await store.pay(orderID: paid.id, by: users[0], in: .at(noon)).value
        pending = try await store.order(users[1], [(tea, 1)], coupon: coupons[1].id)
        let newer = try await store.order(users[1], [(tea, 1)])
        _ = try await store.pay(orderID: newer.id, by: users[1], in: .at(noon)).value
        let key = IdempotencyKey(scope: "1", key: "k", fingerprint: [1])
        let write = IdempotentWrite<IssuedCoupon>(key: key) { _ in StoredResponse(status: 201, body: []) }
        let request = OrderRequest(userID: users[2], items: wishes([(tea, 1), (cup, 2)]), issuedCouponID: coupons[2].id)
        let claim = Claim(couponID: campaign.id, userID: users[3], sequence: 4, epoch: campaign.epoch, issuedAt: noon)
        let known = Claim(couponID: campaign.id, userID: users[2], sequence: 3, epoch: campaign.epoch, issuedAt: noon)
        let ended = try await store.updateCampaign(
            try await store.makeCampaign().id, CampaignChange(closesAt: after(1_000))
        ).value
        try await store.markDelivered([EventID(1), EventID(2)])
        let (later, last) = (after(100_000_000), EventID(1))
        let terms = campaign.terms
        self.coupons = coupons
        table = [
            Row(CreateUser(name: "new", now: noon), parts: 1),
            Row(Logged(useCase: CreateUser(name: "new", now: noon), log: AdminLog<User>.ofTests()), parts: 2),
            Row(ChargeBalance(user: users[0], amount: Won(1_000), now: noon), parts: 3),
            Row(CreateProduct(name: "Salt", folded: "salt", price: Won(1), stock: 1, now: noon), parts: 1),
            Row(UpdateProduct(id: tea, change: ProductChange(price: Won(5)), condition: nil), parts: 1),
            Row(CreateCampaign(terms: terms, epoch: 0, now: noon), parts: 1),
            Row(UpdateCampaign(id: campaign.id, change: CampaignChange(quantity: 50), condition: nil), parts: 1),
            Row(RaiseEpoch(id: campaign.id, epoch: 7), parts: 1),
            Row(
                BeginArchiving(
                    candidates: [ArchivalCandidate(id: ended.id, epoch: ended.epoch, gateEpoch: 0)], limit: later, now: later), parts: 1),
            Row(FinishArchiving(gates: [ArchivedGate(id: ended.id, epoch: ended.epoch)]), parts: 1),
            Row(RecordClaims(writes: [ClaimWrite(claim, idempotency: write), ClaimWrite(known)], campaign: campaign.id), parts: 4),
            Row(PlaceOrder(request: request, now: noon), parts: 5),
            Row(CancelOrder(order: pending.id, user: nil, now: noon), parts: 1),
            Row(ExpireOrders(orders: [pending.id], now: later), parts: 1),
            Row(PayOrder(order: pending.id, user: users[1], now: noon, trace: nil), parts: 5),
            Row(CheckOut(request: request, now: noon, trace: nil), parts: 8),
            Row(RefundPayment(payment: payment.id, items: nil, now: noon, trace: nil), parts: 4),
            Row(ChangeDelivery(events: [last], states: .delivered, change: .again(at: noon)), parts: 1),
            Row(
                ChangeDelivery(events: [last], states: .waiting, change: .delivered, duty: DutyMark(holder: 1, term: 1)), parts: 2),
            Row(PruneEvents(events: [last], pruned: PrunedEvents(through: EventID(0), payments: 0, refunds: 0), instant: later), parts: 2),
            Row(RemoveAnswers(keys: [key], instant: noon), parts: 1),
        ]
    }
}
