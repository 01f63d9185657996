import Commerce
import Store
import Synchronization
import TestSupport

@testable import PostgresStore

/// Writes of several services that go on while something happens to their server, each with what it was answered.
///
/// Every caller reads what it has written: its balance by key and the newest entry of its history are those of its last answer.
final class Workload: Sendable {
    /// What was answered, each row as psql prints it.
    struct Answers {
        var users: [String] = []
        var charges: [String] = []
        var payments: [String] = []
        var orders: [String] = []
        var coupons: [String] = []
        var replays = 0
        /// What each caller has done, its reads included.
        var rounds: [Int: Int] = [:]
        /// Reads that showed what the caller had been answered.
        var reads = 0
        /// What no caller should see.
        var faults: [String] = []

        var count: Int { charges.count + payments.count + coupons.count }
    }

    private let state = Mutex((answers: Answers(), serial: Int64(0), isStopped: false))
    /// Callers of each service.
    private static let callers = 3

    var answers: Answers { state.withLock { $0.answers } }
    func stop() { state.withLock { $0.isStopped = true } }

    private var nextSerial: Int64 {
        state.withLock { state in
            state.serial += 1
            return state.serial
        }
    }

    private func note(_ body: (inout Answers) -> Void) { state.withLock { body(&$0.answers) } }

    /// Ends the load, which has met what it should not.
    private func fail(_ fault: String) {
        state.withLock { state in
            state.answers.faults.append(fault)
            state.isStopped = true
        }
    }

    /// Runs `body` beside the load, and ends the load with it.
    func run(on stores: [TransactionalStore], during body: () async throws -> Void) async throws {
        let terms = CampaignTerms(
            name: "Launch", discount: .fixed(amount: Won(1_000)), quantity: 1_000_000, opensAt: noon, closesAt: nil, validForSeconds: 3_600,
            minOrderAmount: .zero, restoreOnRefund: false)
        let campaign = try await stores[0].createCampaign(terms, in: .at(noon)).value
        let tea = try await stores[0].createProduct(name: "Tea", price: Won(700), stock: 1_000_000, in: .at(noon)).value.id
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, store) in stores.enumerated() {
                for number in 0..<Self.callers {
                    let caller = Caller(
                        number: index * Self.callers + number, load: self, store: store, other: stores[(index + 1) % stores.count],
                        campaign: campaign, product: tea)
                    group.addTask { await caller.work() }
                }
            }
            // Also where the body throws: the group waits for its callers.
            defer { stop() }
            try await body()
        }
    }

    /// Waits until so many more writes are answered, and every caller has begun and ended something meanwhile: none hangs.
    func goesOn(_ claim: String, by count: Int = 45) async throws {
        let (target, before) = (answers.count + count, answers.rounds)
        try await eventually("\(claim): writes are answered") {
            let answers = answers
            guard answers.faults.isEmpty else { throw NotDone(result: answers.faults.joined(separator: "; ")) }
            let everybody = before.allSatisfy { caller, rounds in answers.rounds[caller, default: 0] >= rounds + 2 }
            return answers.count >= target && everybody
        }
    }

    /// What the rows of a database say otherwise than the answers. Call it after the end of the load.
    func differences(from sql: (String) throws -> String) throws -> [String] {
        let answers = answers
        var found = answers.faults
        func compare(_ answered: [String], _ query: String) throws {
            let rows = try sql(query).split(separator: "\n").map(String.init)
            if rows.count != answered.count || answered.isEmpty { found.append("\(query): \(rows.count) rows, \(answered.count) answers") }
            found += Set(answered).subtracting(rows).map { "lost: \($0) of \(query)" }
            found += Set(rows).subtracting(answered).map { "answered to nobody: \($0) of \(query)" }
        }
        try compare(answers.users, "SELECT id, name FROM users")
        try compare(answers.charges, "SELECT id, user_id, amount FROM charges")
        try compare(answers.payments, "SELECT id, order_id, user_id, amount FROM payments")
        try compare(answers.orders, "SELECT id, counter, user_id FROM orders")
        try compare(answers.coupons, "SELECT id, user_id, sequence FROM issued_coupons")
        if answers.replays == 0 { found.append("no request came twice") }
        if answers.reads == 0 { found.append("nobody has read anything") }
        return found
    }
}

extension Workload {
    /// A user who does one thing after another, and knows the balance that is left.
    private struct Caller: Sendable {
        let number: Int
        let load: Workload
        let store: TransactionalStore
        /// Where a request arrives a second time.
        let other: TransactionalStore
        let campaign: Campaign
        let product: ProductID

        func work() async {
            do {
                let user = try await newUser("Caller")
                let reader = try store.makePointReader()
                var balance: Int64 = 0
                while !load.state.withLock({ $0.isStopped }) {
                    let serial = load.nextSerial
                    if balance < 10_000 || serial % 4 == 0 {
                        let amount = 10_000 + serial
                        balance += amount
                        try expect(balance, try await charge(user, amount))
                    } else if serial % 4 == 1 {
                        balance -= 700
                        try expect(balance, try await checkOut(user))
                    } else if serial % 4 == 2 {
                        try await claim(for: try await newUser("Newcomer"), serial)
                    } else {
                        balance += 1_000
                        try expect(balance, try await chargeTwice(user, serial))
                    }
                    // A read that fails says nothing; one that shows less is a fault.
                    if let seen = try? await reader.find(balanceOf: user).row { try expect(balance, seen.amount.rawValue) }
                    if let history = try? await store.balanceHistory(of: user, page: PageRequest(limit: 1)) {
                        try expect(balance, history.items.first?.balanceAfter.rawValue)
                        load.note { $0.reads += 1 }
                    }
                    load.note { $0.rounds[number, default: 0] += 1 }
                }
            } catch {
                load.fail("\(error)")
            }
        }

        private func expect(_ balance: Int64, _ found: Int64?) throws {
            guard balance == found else { throw NotDone(result: "a balance of \(balance) is shown as \(found ?? -1)") }
        }

        private func newUser(_ name: String) async throws -> UserID {
            let user = try await store.createUser(name: name, in: .at(noon)).value
            load.note { $0.users.append("\(user.id)|\(name)") }
            return user.id
        }

        private func charge(_ user: UserID, _ amount: Int64) async throws -> Int64 {
            let charge = try await store.charge(userID: user, amount: Won(amount), in: .at(noon)).value
            load.note { $0.charges.append("\(charge.id)|\(charge.userID)|\(charge.amount)") }
            return charge.balance.rawValue
        }

        private func checkOut(_ user: UserID) async throws -> Int64 {
            let items = [RequestedItem(productID: product, quantity: 1)]
            let (order, payment) = try await store.checkout(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value.parts
            load.note { answers in
                answers.orders.append("\(order.id)|\(order.number.counter)|\(order.userID)")
                answers.payments.append("\(payment.id)|\(payment.orderID)|\(payment.userID)|\(payment.amount)")
            }
            return payment.balance.rawValue
        }

        private func claim(for user: UserID, _ sequence: Int64) async throws {
            let claim = Claim(couponID: campaign.id, userID: user, sequence: sequence, epoch: campaign.epoch, issuedAt: noon)
            let record = try await store.recordClaim(claim).value
            guard case .issued(let coupon) = record else { throw NotDone(result: "a claim: \(record)") }
            load.note { $0.coupons.append("\(coupon.id)|\(user)|\(coupon.sequence)") }
        }

        /// One request that reaches two services: one takes it, and both say the same.
        private func chargeTwice(_ user: UserID, _ serial: Int64) async throws -> Int64 {
            let key = IdempotencyKey(scope: "1", key: "key \(serial)", fingerprint: [7])
            @Sendable func request(_ store: TransactionalStore) async throws(StoreError) -> WriteResult<Charge> {
                let write = IdempotentWrite<Charge>(key: key) { StoredResponse(status: 201, body: Array("\($0.balance)".utf8)) }
                return try await store.charge(userID: user, amount: Won(1_000), in: WriteContext(at: noon, idempotency: write))
            }
            async let second = request(other)
            let results = [try await request(store), try await second]
            let done = results.compactMap { try? $0.value }
            guard done.count == 1, let charge = done.first else { throw NotDone(result: "one key: \(results)") }
            let answer = StoredResponse(status: 201, body: Array("\(charge.balance)".utf8))
            guard results.contains(.replayed(answer)) else { throw NotDone(result: "one key: \(results)") }
            load.note { answers in
                answers.charges.append("\(charge.id)|\(charge.userID)|\(charge.amount)")
                answers.replays += 1
            }
            return charge.balance.rawValue
        }
    }
}

extension Checkout {
    fileprivate var parts: (Order, Payment) { (order, payment) }
}
