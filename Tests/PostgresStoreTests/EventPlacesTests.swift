import Commerce
import Store
import TestSupport
import Testing

@testable import PostgresStore

/// The order in which waiting events are read, where several services append them.
@Suite struct EventPlacesTests {
    /// Events of two services: that with the smaller id commits later.
    private struct Late {
        let store: TransactionalStore
        let first: EventID
        let late: EventID
    }

    private static func withLateEvent(
        _ home: PostgresHome, _ body: (Late, _ commit: () async throws -> Void) async throws -> Void
    ) async throws {
        let (store, engine) = try home.openEngine()
        let other = try home.open()
        let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
        let buyer = try await store.createUser(name: "Ada", in: .at(noon)).value.id
        _ = try await store.charge(userID: buyer, amount: Won(50_000), in: .at(noon)).value
        let tea = try await store.createProduct(name: "Tea", price: Won(700), stock: 10, in: .at(noon)).value.id
        let cup = try await store.createProduct(name: "Cup", price: Won(700), stock: 10, in: .at(noon)).value.id
        let held = [RequestedItem(productID: tea, quantity: 1)]
        let order = try await store.placeOrder(userID: user, items: held, issuedCouponID: nil, in: .at(noon)).value
        let gate = Gate()
        async let append: Void = gate.append(engine, eventOf: order.id)
        try await eventually("the event has its id") { gate.isReached }
        // Its order's rows are locked meanwhile.
        let items = [RequestedItem(productID: cup, quantity: 1)]
        _ = try await other.checkout(userID: buyer, items: items, issuedCouponID: nil, in: .at(noon)).value
        let first = try #require(try await other.waitingEvents(after: EventPlace(0), limit: 10).events.first).id
        try await body(Late(store: other, first: first, late: EventID(first.rawValue - 1))) {
            gate.open()
            try await eventually("the event is there") { try await !other.waitingEvents([EventID(first.rawValue - 1)]).isEmpty }
        }
        try await append
    }

    @Test("an event that commits after one with a greater id is read after it, by who has read that one already")
    func late() async throws {
        try await PostgresHome.with { home in
            try await Self.withLateEvent(home) { late, commit in
                let before = try await late.store.waitingEvents(after: EventPlace(0), limit: 10)
                #expect(before.events.map(\.id) == [late.first])
                try await commit()
                let after = try await late.store.waitingEvents(after: try #require(before.through), limit: 10)
                #expect(after.events.map(\.id) == [late.late])
                #expect(try await late.store.waitingEvents(after: EventPlace(0), limit: 10).events.map(\.place.rawValue) == [1, 2])
            }
        }
    }

    @Test("of a sink that has lost what it got after an event, the later ones are sent again, also one with a smaller id")
    func redelivered() async throws {
        try await PostgresHome.with { home in
            try await Self.withLateEvent(home) { late, commit in
                try await commit()
                try await late.store.markDelivered([late.first, late.late])
                let last = try await late.store.place(of: late.first)
                #expect(try await late.store.redeliver(after: last, atMost: 100, at: noon) == 1)
                #expect(try await late.store.waitingEvents(after: EventPlace(0), limit: 10).events.map(\.id) == [late.late])
                // Of an event that is gone, the place of the one before it.
                #expect(try await late.store.place(of: EventID(late.first.rawValue + 9)) == last)
                #expect(try await late.store.place(of: EventID(late.late.rawValue - 1)) == EventPlace(0))
            }
        }
    }
}
