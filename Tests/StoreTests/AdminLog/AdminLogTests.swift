import Commerce
import GRDB
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite("The admin log", .everyEngine)
struct AdminLogTests: StoreSuite {
    private func entries(_ filter: AdminLogFilter = AdminLogFilter(), limit: Int = 100) async throws -> [AdminLogEntry] {
        try await store.adminLog(filter, page: PageRequest(limit: limit)).items
    }

    private func charge(
        _ amount: Int64, by actor: String, under key: String? = nil, at now: Instant = noon
    ) async throws -> WriteResult<Charge> {
        let idempotency = key.map { key in
            IdempotentWrite<Charge>(key: IdempotencyKey(scope: actor, key: key, fingerprint: [1])) { _ in
                StoredResponse(status: 201, body: [])
            }
        }
        let context = WriteContext(at: now, idempotency: idempotency, adminLog: AdminLog<Charge>.ofTests(actor: actor, at: now))
        return try await store.charge(userID: UserID(1), amount: Won(amount), in: context)
    }

    private func sql(_ statements: String) throws {
        if let database = home.database { try database.sql(statements) } else { try home.foreign { try $0.execute(sql: statements) } }
    }

    @Test("an action leaves one entry with all that is known of it, and a user's own leaves none")
    func entry() async throws {
        _ = try await store.makeUsers(1, balance: 5_000)
        #expect(try await entries() == [])
        _ = try await charge(1_000, by: "운영자", at: after(5)).value
        let action = AdminAction("test", on: "charge:2", details: #"{"amount":1000}"#)
        let expected = AdminLogEntry(id: Identifier(1), at: after(5), actor: "운영자", action: action, requestID: "r-1")
        #expect(try await entries() == [expected])
    }

    @Test("a refused action and a replayed one leave no entry")
    func withoutEffect() async throws {
        _ = try await store.makeUsers(1)
        try await home.expectRefused(.amountOutOfRange(Policy().chargeAmounts)) { _ in try await charge(1, by: "Kim") }
        #expect(try await charge(1_000, by: "Kim", under: "k").isDone)
        let before = try home.dump()
        #expect(try await charge(1_000, by: "Kim", under: "k") == .replayed(StoredResponse(status: 201, body: [])))
        #expect(try home.dump() == before)
        #expect(try await entries().count == 1)
    }

    @Test("where the transaction of an action fails, there is neither the action nor its entry, and the next entry leaves no gap")
    func failure() async throws {
        _ = try await store.makeUsers(1)
        let before = try home.dump()
        let useCase = Logged(useCase: CreateUser(name: "never", now: noon), log: AdminLog<User>.ofTests())
        await #expect(throws: StoreError.self) { try await store.decide(FailsAfterwards(useCase: useCase), context: nil) }
        #expect(try home.dump() == before)
        _ = try await charge(1_000, by: "Kim").value
        #expect(try await entries().map(\.id.rawValue) == [1])
    }

    @Test("of actions that share a transaction each has its entry, in their order, and one that fails takes only its own along")
    func group() async throws {
        _ = try await store.makeUsers(1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<30 {
                group.addTask {
                    let useCase = Logged(useCase: CreateUser(name: "\(index)", now: noon), log: AdminLog<User>.ofTests())
                    if index.isMultiple(of: 10) {
                        _ = try? await store.decide(FailsAfterwards(useCase: useCase), context: nil)
                    } else {
                        _ = try await store.decide(useCase, context: nil)
                    }
                }
            }
            try await group.waitForAll()
        }
        let logged = try await entries()
        #expect(logged.map(\.id.rawValue) == (1...27).reversed())
        #expect(logged.map(\.action.object) == (2...28).reversed().map { "user:\($0)" })
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("entries are listed newest first, by actor, by object and by both; the cursor leads through all of them")
    func lists() async throws {
        _ = try await store.makeUsers(1)
        for index in 0..<9 { _ = try await charge(1_000, by: index.isMultiple(of: 3) ? "Lee" : "Kim").value }
        func walk(_ filter: AdminLogFilter) async throws -> [Int64] {
            var (ids, cursor): ([Int64], String?) = ([], nil)
            repeat {
                let page = try await store.adminLog(filter, page: PageRequest(limit: 2, cursor: cursor))
                #expect(page.items.count <= 2)
                (ids, cursor) = (ids + page.items.map(\.id.rawValue), page.nextCursor)
            } while cursor != nil
            return ids
        }
        #expect(try await walk(AdminLogFilter()) == (1...9).reversed())
        #expect(try await walk(AdminLogFilter(actor: "Lee")) == [7, 4, 1])
        #expect(try await walk(AdminLogFilter(actor: "Kim")) == [9, 8, 6, 5, 3, 2])
        #expect(try await walk(AdminLogFilter(object: "charge:4")) == [4])
        #expect(try await walk(AdminLogFilter(actor: "Lee", object: "charge:4")) == [4])
        #expect(try await walk(AdminLogFilter(actor: "Kim", object: "charge:4")) == [])
        #expect(try await walk(AdminLogFilter(actor: "Park")) == [])
        await #expect(throws: StoreError.self) { try await store.adminLog(page: PageRequest(limit: 2, cursor: "e0000000000000001")) }
    }

    @Test("the database refuses to change, remove or replace an entry")
    func appendOnly() async throws {
        _ = try await store.makeUsers(1)
        _ = try await charge(1_000, by: "Kim").value
        let before = try home.dump()
        var statements = ["UPDATE admin_log SET actor = 'Lee'", "DELETE FROM admin_log", "DELETE FROM admin_log WHERE id = 1"]
        let values = "(id, at, actor, action, object, details) VALUES (1, 0, 'Lee', 'x', 'x', '{}')"
        if home.database == nil {
            statements += ["INSERT OR REPLACE INTO admin_log \(values)"]
        } else {
            statements += ["TRUNCATE admin_log", "INSERT INTO admin_log \(values) ON CONFLICT (id) DO UPDATE SET actor = 'Lee'"]
        }
        for statement in statements {
            let error = #expect(throws: (any Error).self, "\(statement)") { try sql(statement) }
            #expect("\(try #require(error))".contains("entries of the admin log are only appended"), "\(statement)")
        }
        #expect(try home.dump() == before)
    }

    @Test("a change says what was before, and one that its condition refuses leaves no entry")
    func changes() async throws {
        let tea = try await store.makeProduct(price: 1_000)
        let log = AdminLog<Changed<Product>>(actor: "Kim", requestID: nil, at: noon) { row in
            AdminAction("product.update", on: "product:\(row.new.id)", details: "\(row.old.price) \(row.new.price)")
        }
        _ = try await store.updateProduct(tea, ProductChange(price: Won(900)), log: log).value
        #expect(try await entries().map(\.action.details) == ["1000 900"])
        try await home.expectRefused(.preconditionFailed) { store in
            try await store.updateProduct(tea, ProductChange(price: Won(800)), onlyIf: { _ in false }, log: log)
        }
        let campaign = try await store.makeCampaign(quantity: 10)
        let changes = AdminLog<Changed<Campaign>>(actor: "Kim", requestID: nil, at: noon) { row in
            AdminAction("coupon.update", on: "coupon:\(row.new.id)", details: "\(row.old.terms.quantity) \(row.new.terms.quantity)")
        }
        _ = try await store.updateCampaign(campaign.id, CampaignChange(quantity: 20), log: changes).value
        #expect(try await entries().map(\.action.details) == ["10 20", "1000 900"])
    }

    // MARK: - Parked events

    private func parkEvents(_ count: Int64) async throws {
        let user = try await store.makeUsers(1, balance: 500_000)[0]
        let tea = try await store.makeProduct(price: 1, stock: 100)
        for _ in 0..<count { _ = try await store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon)) }
        for id in 1...count { try await store.park(EventID(id), error: "refused") }
    }

    private let retries = AdminLog<Int64>(actor: "Kim", requestID: nil, at: noon) {
        AdminAction("events.retry", on: "events", details: "\($0)")
    }

    @Test("retrying all parked events leaves one entry with their number, in however many transactions, and none where none is parked")
    func retryAll() async throws {
        try await parkEvents(7)
        #expect(try await store.retryAllParked(at: noon, step: 3, log: retries) == 7)
        #expect(try await entries().map(\.action.details) == ["7"])
        #expect(try await store.retryAllParked(at: noon, step: 3, log: retries) == 0)
        #expect(try await entries().count == 1)
        for id in 1...2 { try await store.park(EventID(Int64(id)), error: "refused") }
        #expect(try await store.retryAllParked(at: noon, log: retries) == 2)
        #expect(try await entries().map(\.action.details) == ["2", "7"])
    }

    @Test("the entry commits with the first events that are retried: where a later transaction fails, it is there")
    func retryAllInterrupted() async throws {
        try await parkEvents(7)
        let calls = Mutex(0)
        // The describing closure runs in the first step's transaction; the store closes before the next step is written.
        let log = AdminLog<Int64>(actor: "Kim", requestID: nil, at: noon) { count in
            calls.withLock { $0 += 1 }
            return AdminAction("events.retry", on: "events", details: "\(count)")
        }
        let task = Task { [store] in try await store.retryAllParked(at: noon, step: 1, log: log) }
        while calls.withLock({ $0 }) == 0 { await Task.yield() }
        store.close()
        _ = await task.result
        let again = try home.reopened()
        defer { again.close() }
        let left = try await again.events(state: .parked, page: PageRequest(limit: 10)).items.count
        let logged = try await again.adminLog(page: PageRequest()).items
        // Closing finishes what was admitted, so the first step is committed.
        #expect(left < 7 && logged.map(\.action.details) == ["7"], "\(left) \(logged)")
    }

    @Test("a retried event leaves an entry, one that is not parked leaves none")
    func retryOne() async throws {
        try await parkEvents(2)
        let log = AdminLog<EventRecord>(actor: "Kim", requestID: nil, at: noon) { record in
            AdminAction("event.retry", on: "event:\(record.event.id)", details: "{}")
        }
        _ = try await store.retryParked(EventID(2), at: noon, log: log).value
        try await home.expectRefused(.eventNotParked) { store in try await store.retryParked(EventID(2), at: noon, log: log) }
        #expect(try await entries().map(\.action.object) == ["event:2"])
    }
}

/// Does what another use case does, and then fails.
private struct FailsAfterwards<Case: UseCase>: UseCase {
    let useCase: Case

    var needs: Needs { useCase.needs }

    func decide(_ books: some Books) throws -> Outcome<Case.Value> {
        _ = try useCase.decide(books)
        throw StoreError(.internal, "on purpose")
    }
}

extension AdminLog {
    static func ofTests(actor: String = "Kim", at time: Instant = noon) -> AdminLog {
        AdminLog(actor: actor, requestID: "r-1", at: time) { value in
            switch value {
            case let charge as Charge:
                AdminAction("test", on: "charge:\(charge.id)", details: #"{"amount":\#(charge.amount)}"#)
            case let user as User: AdminAction("test", on: "user:\(user.id)", details: "{}")
            default: AdminAction("test", on: "something", details: "{}")
            }
        }
    }
}
