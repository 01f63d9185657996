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
            let commits = try Int(home.sql("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")) ?? 0
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
            #expect(statistics.jobs == 301 && statistics.groups < 150, "\(statistics.groups) groups, before \(commits)")
        }
    }
}
