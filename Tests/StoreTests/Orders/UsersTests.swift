import Commerce
import Store
import Testing

@Suite(.everyEngine) struct UsersTests: StoreSuite {
    @Test("ids of users count up from 1, and a user exists from the answer on")
    func ids() async throws {
        #expect(!store.userExists(UserID(1)))
        for expected in 1...3 {
            let user = try await store.createUser(name: "Ann", in: .at(noon)).value
            #expect(user == User(id: UserID(Int64(expected)), name: "Ann", createdAt: noon))
            #expect(store.userExists(user.id))
            #expect(try reader.user(user.id) == user)
        }
        #expect(store.userCount == 3)
        #expect(!store.userExists(UserID(0)) && !store.userExists(UserID(-1)) && !store.userExists(UserID(4)))
        #expect(try reader.user(UserID(4)) == nil)
    }

    @Test("a reopened store knows its users")
    func reopening() async throws {
        _ = try await store.makeUsers(2)
        store.close()
        let again = try home.reopened()
        defer { again.close() }
        #expect(again.userCount == 2)
        #expect(try await again.createUser(name: "Cy", in: .at(noon)).value.id == UserID(3))
    }

    @Test("a balance is 0 and has no time before the first charge, and follows each charge")
    func charging() async throws {
        let user = try await store.makeUsers(1)[0]
        #expect(try reader.balance(of: user) == Balance(userID: user, amount: .zero, updatedAt: nil))
        let first = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value
        #expect(first == Charge(id: ChargeID(1), userID: user, amount: Won(1_000), balance: Won(1_000), chargedAt: noon))
        let second = try await store.charge(userID: user, amount: Won(1_000_000), in: .at(after(5))).value
        #expect(second.balance == Won(1_001_000))
        #expect(try reader.balance(of: user) == Balance(userID: user, amount: Won(1_001_000), updatedAt: after(5)))
        let history = try await store.balanceHistory(of: user, page: PageRequest())
        #expect(history.items.map(\.amount) == [Won(1_000_000), Won(1_000)])
        #expect(history.items.map(\.balanceAfter) == [Won(1_001_000), Won(1_000)])
        #expect(history.items.allSatisfy { $0.kind == .charge && $0.orderID == nil })
    }

    @Test("a charge outside the range, beyond the limit or for nobody changes nothing")
    func refusedCharges() async throws {
        let user = try await store.makeUsers(1)[0]
        let range = Policy().chargeAmounts
        for amount in [Int64.min, -1, 0, 999, 1_000_001, Int64.max] {
            try await home.expectRefused(.amountOutOfRange(range)) { try await $0.charge(userID: user, amount: Won(amount), in: .at(noon)) }
        }
        try await home.expectRefused(.userNotFound) { try await $0.charge(userID: UserID(2), amount: Won(1_000), in: .at(noon)) }
        for _ in 1...9 { _ = try await store.charge(userID: user, amount: Won(1_000_000), in: .at(noon)).value }
        _ = try await store.charge(userID: user, amount: Won(999_000), in: .at(noon)).value
        try await home.expectRefused(.balanceLimitExceeded(limit: Won(10_000_000), balance: Won(9_999_000))) {
            try await $0.charge(userID: user, amount: Won(1_001), in: .at(noon))
        }
        #expect(try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).value.balance == Won(10_000_000))
    }
}
