import Commerce
import Store
import TestSupport
import Testing

@testable import PostgresStore

/// How PostgreSQL finds the rows of a group.
@Suite struct PlanTests {
    /// The tables that grow with the shop.
    private static let tables = [
        "users", "transfers", "charges", "idempotency", "products", "campaigns", "issued_coupons", "orders", "order_lines", "payments",
        "events", "event_units",
    ]

    @Test("groups and look-ups read no table whole, even where it is new and was never analyzed")
    func indexes() async throws {
        try await PostgresHome.with { home in
            // Makes the tables, which reads them for their indexes.
            try home.open().close()
            let names = Self.tables.map { "'\($0)'" }.joined(separator: ", ")
            func scans() throws -> [String] {
                try home.sql("SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN (\(names)) ORDER BY relname")
                    .split(separator: "\n").map(String.init)
            }
            let before = try scans()
            #expect(before.count == Self.tables.count)
            let store = try home.open()
            let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
            let key = IdempotencyKey(scope: "1", key: "one", fingerprint: [7])
            let write = IdempotentWrite<Charge>(key: key) { StoredResponse(status: 201, body: Array("\($0.balance)".utf8)) }
            _ = try await store.charge(userID: user, amount: Won(50_000), in: WriteContext(at: noon, idempotency: write)).value
            let tea = try await store.createProduct(name: "Tea", price: Won(700), stock: 1_000, in: .at(noon)).value.id
            let terms = CampaignTerms(
                name: "Launch", discount: .fixed(amount: Won(100)), quantity: 10, opensAt: noon, closesAt: nil, validForSeconds: 3_600,
                minOrderAmount: .zero, restoreOnRefund: true)
            let campaign = try await store.createCampaign(terms, in: .at(noon)).value
            let claim = Claim(couponID: campaign.id, userID: user, sequence: 1, epoch: campaign.epoch, issuedAt: noon)
            guard case .issued(let coupon) = try await store.recordClaim(claim).value else { throw NotDone(result: "no coupon") }
            let items = [RequestedItem(productID: tea, quantity: 2)]
            let order = try await store.placeOrder(userID: user, items: items, issuedCouponID: coupon.id, in: .at(noon)).value
            let payment = try await store.pay(orderID: order.id, by: user, in: .at(noon)).value
            _ = try await store.refund(paymentID: payment.id, items: nil, in: .at(noon)).value
            _ = try await store.checkout(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value
            let reader = try store.makePointReader()
            #expect(try reader.balance(of: user)?.amount == Won(48_600))
            #expect(try reader.payment(payment.id)?.refundedAmount == payment.amount)
            // A session notes its counts when it ends at the latest.
            store.close()
            #expect(try scans() == before)
        }
    }

    /// What the tables had when they were last analyzed.
    enum Analyzed: CaseIterable { case nothing, campaignsWithOneCouponEach }

    @Test("a table that was small when it was analyzed is found by its keys once it has grown", arguments: Analyzed.allCases)
    func growth(analyzed: Analyzed) async throws {
        try await PostgresHome.with { home in
            try home.open().close()
            if analyzed == .campaignsWithOneCouponEach {
                try home.sql(
                    """
                    INSERT INTO issued_coupons (id, code, coupon_id, user_id, sequence, issued_at, expires_at)
                    SELECT n, n, n, 1000000, 1, 0, 1 FROM generate_series(1000001, 1000012) n
                    """)
            }
            try home.sql("VACUUM ANALYZE")
            func entriesRead() throws -> [String: Int] {
                let indexes = try home.sql("SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes").split(separator: "\n")
                return indexes.reduce(into: [:]) { read, line in
                    let fields = line.split(separator: "|")
                    read[String(fields[0])] = Int(fields[1])
                }
            }
            let before = try entriesRead()
            let store = try home.open()
            let terms = CampaignTerms(
                name: "Launch", discount: .fixed(amount: Won(100)), quantity: 10_000, opensAt: noon, closesAt: nil, validForSeconds: 3_600,
                minOrderAmount: .zero, restoreOnRefund: true)
            let campaign = try await store.createCampaign(terms, in: .at(noon)).value
            let tea = try await store.createProduct(name: "Tea", price: Won(700), stock: 100_000, in: .at(noon)).value.id
            let reader = try store.makePointReader()
            let rounds = 1_200
            for number in 1...rounds {
                let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
                _ = try await store.charge(userID: user, amount: Won(50_000), in: .at(noon)).value
                let claim = Claim(couponID: campaign.id, userID: user, sequence: Int64(number), epoch: campaign.epoch, issuedAt: noon)
                guard case .issued = try await store.recordClaim(claim).value else { throw NotDone(result: "no coupon") }
                let items = [RequestedItem(productID: tea, quantity: 1)]
                let order = try await store.placeOrder(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value
                let payment = try await store.pay(orderID: order.id, by: user, in: .at(noon)).value
                #expect(try reader.payment(payment.id) == payment)
            }
            store.close()
            // Reading a whole index, or all entries of the campaign, each round would read as many as there were rounds before it.
            for (index, entries) in try entriesRead() {
                let read = entries - before[index, default: 0]
                #expect(read < rounds * rounds / 6, "\(read) entries of \(index) in \(rounds) rounds")
            }
        }
    }

    /// What the planner knows of the events: nothing, that none of them waits, that all wait.
    enum Knowledge: CaseIterable { case none, noneWaits, allWait }

    @Test(
        "a look at the waiting events and a page of a list read no more than they show, however many events wait",
        arguments: Knowledge.allCases)
    func waiting(knowledge: Knowledge) async throws {
        try await PostgresHome.with { home in
            try home.open().close()
            func insert(_ events: ClosedRange<Int>, delivery: String) throws {
                try home.sql(
                    """
                    INSERT INTO events (id, place, kind, order_id, occurred_at, sale_day, payload, delivery, next_attempt_at)
                    SELECT n, n, 0, n, 0, 20000, repeat('x', 500), \(delivery), 0
                    FROM generate_series(\(events.lowerBound), \(events.upperBound)) n
                    """)
            }
            let count = 20_000
            if knowledge == .noneWaits { try insert(1...count, delivery: "1") }
            if knowledge == .allWait { try insert(1...count, delivery: "0") }
            if knowledge != .none { try home.sql("ANALYZE events") }
            if knowledge == .allWait { try home.sql("UPDATE events SET delivery = 1") }
            // One in ten is parked.
            try insert(count + 1...3 * count, delivery: "CASE WHEN n % 10 = 0 THEN 2 ELSE 0 END")
            let read = "SELECT sum(seq_tup_read) + sum(idx_tup_fetch) FROM pg_stat_user_tables WHERE relname = 'events'"
            let entries = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'events'"
            func work() throws -> Int { try [read, entries].reduce(0) { try $0 + #require(Int(home.sql($1))) } }
            let store = try home.open()
            _ = try await store.events(state: nil, page: PageRequest(limit: 1))
            store.close()
            let before = try work()
            let reader = try home.open()
            let waiting = try await reader.waitingEvents(after: EventPlace(Int64(count) + 5), limit: 256)
            #expect(waiting.events.count == 256 && waiting.mayHaveMore)
            for state in [nil, OrderEvent.Delivery.waiting, .parked] {
                #expect(try await reader.events(state: state, page: PageRequest(limit: 20)).items.count == 20)
            }
            // A session notes its counts when it ends at the latest.
            reader.close()
            let rows = try work() - before
            #expect(rows < 3_000, "\(rows) rows and entries read")
        }
    }
}
