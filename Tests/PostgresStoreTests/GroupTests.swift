import Commerce
import Store
import TestSupport
import Testing

@testable import PostgresStore

/// Use cases in groups on a real server.
@Suite struct GroupTests {
    @Test("users are created and charged, and their balances are read by key")
    func charges() async throws {
        try await PostgresHome.with { home in
            let store = try home.open()
            let user = try await store.createUser(name: "Jin", in: .at(noon)).value
            #expect(user == User(id: UserID(1), name: "Jin", createdAt: noon))
            let charge = try await store.charge(userID: user.id, amount: Won(5_000), in: .at(noon)).value
            #expect(charge.balance == Won(5_000))
            let reader = try store.makePointReader()
            #expect(try reader.balance(of: user.id)?.amount == Won(5_000))
            #expect(try reader.user(user.id) == user)
            #expect(try reader.balance(of: UserID(2)) == nil)
            #expect(try await store.charge(userID: UserID(2), amount: Won(5_000), in: .at(noon)) == .refused(.userNotFound))
            #expect(store.userCount == 1)
        }
    }

    @Test("writes that wait together share a transaction, and each sees those before it")
    func groups() async throws {
        try await PostgresHome.with { home in
            let store = try home.open()
            let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
            let charges = try await withThrowingTaskGroup(of: Charge.self) { group in
                for _ in 0..<300 { group.addTask { try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(charges.map(\.balance.rawValue).sorted() == (1...300).map { $0 * 1_000 })
            #expect(try home.sql("SELECT balance FROM users") == "300000")
            #expect(try home.sql("SELECT sum(amount), count(*), max(balance_after) FROM transfers") == "300000|300|300000")
            // The last entry of a user has the user's balance: ids rise in the order of the commits.
            #expect(try home.sql("SELECT balance_after FROM transfers ORDER BY id DESC LIMIT 1") == "300000")
            let statistics = store.statistics
            #expect(statistics.jobs == 301 && statistics.groups < 150, "\(statistics.groups) groups")
        }
    }

    @Test("a use case that breaks a check, throws, or reads what it did not name fails alone, and the rest of its group is committed")
    func faults() async throws {
        try await PostgresHome.with { home in
            let (store, engine) = try home.openEngine()
            let users = [
                try await store.createUser(name: "Jin", in: .at(noon)).value.id,
                try await store.createUser(name: "Ada", in: .at(noon)).value.id,
            ]
            let gate = Gate()
            async let gated: Void = gate.pass(engine, users[0])
            try await eventually("the lane stands between its trips") { gate.isReached }
            // These wait together, so they are one group.
            async let charge = store.charge(userID: users[1], amount: Won(2_000), in: .at(noon))
            let faults = Faulty.Fault.allCases
            async let failures = withTaskGroup(of: StoreError.Code?.self) { group in
                for fault in faults { group.addTask { await Faulty(fault: fault, user: users[0], other: users[1]).run(on: engine) } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            try await eventually("all wait") { store.statistics.queueDepth == faults.count + 2 }
            gate.open()
            try await gated
            #expect(try await charge.value.balance == Won(2_000))
            #expect(await failures == faults.map { _ in .internal })
            #expect(try home.sql("SELECT array_agg(balance ORDER BY id) FROM users") == "{1000,2000}")
            #expect(try home.sql("SELECT count(*) FROM transfers") == "2")
            #expect(store.statistics.regroups == 1)
        }
    }
}

/// A use case that no store has.
private struct Faulty: UseCase {
    enum Fault: CaseIterable {
        case breaksCheck, throwsError, readsUnnamed
    }

    let fault: Fault
    let user: UserID
    let other: UserID

    var needs: Needs { Needs(users: [user], new: NewRows(transfers: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Won> {
        switch fault {
        case .breaksCheck:
            _ = try books.transfer(.charge, user: user, amount: Won(1), balanceAfter: Won(-1), orderID: nil, at: noon)
        case .throwsError: throw NotDone(result: "on purpose")
        case .readsUnnamed: _ = try books.balance(of: other)
        }
        return .done(.zero)
    }

    /// The error's code; nil without an error.
    func run(on engine: PostgresEngine) async -> StoreError.Code? {
        let result: Result<WriteResult<Won>, StoreError> = await withCheckedContinuation { continuation in
            engine.submit(self, storing: nil, at: noon, clock: nil, context: nil) { continuation.resume(returning: $0) }
        }
        if case .failure(let error) = result { return error.code }
        return nil
    }
}
