import Commerce
import Store
import Testing

@Suite struct OutboxTests {
    let home: TemporaryStore
    let store: Store

    init() throws {
        home = try TemporaryStore()
        store = home.store
    }

    /// Two paid orders; the first is refunded in part: events 1 and 3 are the first order's, event 2 the second's.
    private func threeEvents() async throws {
        let user = try await store.makeUsers(1, balance: 100_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 100)
        let first = try await store.checkout(userID: user, items: wishes([(tea, 2)]), issuedCouponID: nil, at: noon).value
        _ = try await store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, at: after(1)).value
        _ = try await store.refund(paymentID: first.payment.id, items: wishes([(tea, 1)]), at: after(2)).value
    }

    private func due(at now: Instant) async throws -> [Int64] {
        try await store.dueEvents(at: now, limit: 10).map(\.id.rawValue)
    }

    @Test("events count up without a gap and are read from any of them on")
    func numbering() async throws {
        #expect(try await store.lastEventID() == EventID(0))
        try await threeEvents()
        #expect(try await store.lastEventID() == EventID(3))
        #expect(try await store.events(after: nil, limit: 2).map(\.id.rawValue) == [1, 2])
        #expect(try await store.events(after: EventID(2), limit: 2).map(\.id.rawValue) == [3])
        #expect(try await store.events(after: EventID(3), limit: 2).isEmpty)
    }

    @Test("what the ranking reads of the events is what they say, in order, from any of them on, and of no more than was asked for")
    func movements() async throws {
        try await threeEvents()
        let events = try await store.events(after: nil, limit: 10)
        for start in 0...3 {
            for limit in 1...4 {
                let movements = try await store.movements(after: EventID(Int64(start)), limit: limit)
                let expected = events.dropFirst(start).prefix(limit)
                #expect(movements.map(\.eventID) == expected.map(\.id))
                #expect(movements.map(\.saleDay) == expected.map(\.saleDay))
                #expect(movements.map(\.units) == expected.map(\.units))
            }
        }
    }

    @Test("many events are delivered in one write, and one that is delivered already stays so")
    func deliveredTogether() async throws {
        try await threeEvents()
        #expect(try await store.markDelivered(EventID(2)))
        try await store.markDelivered([EventID(1), EventID(2), EventID(3), EventID(99)])
        #expect(try await due(at: after(60)).isEmpty)
        #expect(try await store.events(state: .delivered, page: PageRequest(limit: 10)).items.count == 3)
    }

    @Test("an event waits for the earlier ones of its order, and for no other order")
    func orderPerOrder() async throws {
        try await threeEvents()
        #expect(try await due(at: noon) == [1])
        #expect(try await due(at: after(5)) == [1, 2])
        #expect(try await store.markDelivered(EventID(1)))
        #expect(try await due(at: after(5)) == [2, 3])
        #expect(try await store.markDelivered(EventID(2)))
        #expect(try await store.markDelivered(EventID(3)))
        #expect(try await due(at: after(5)).isEmpty)
        #expect(try await store.nextDueAt() == nil)
    }

    @Test("a failed attempt waits, a parked event blocks its order alone, and a retry starts afresh")
    func failing() async throws {
        try await threeEvents()
        #expect(try await store.markFailed(EventID(1), nextAttemptAt: after(1_000), error: "status 500"))
        #expect(try await due(at: after(999)) == [2])
        #expect(try await store.nextDueAt() == after(1))
        #expect(try await store.markDelivered(EventID(2)))
        #expect(try await store.nextDueAt() == after(1_000), "the blocked event 3 is not next, although its time has come")
        #expect(try await store.park(EventID(1), error: "status 400"))
        #expect(try await due(at: after(10_000)).isEmpty)
        #expect(try await store.nextDueAt() == nil)
        let parked = try await store.events(state: .parked, page: PageRequest()).items
        #expect(parked.map(\.event.id) == [EventID(1)])
        #expect(parked[0].attempts == 2 && parked[0].lastError == "status 400" && parked[0].delivery == .parked)
        #expect(try await store.events(state: .waiting, page: PageRequest()).items.map(\.event.id) == [EventID(3)])
        #expect(try await store.events(state: .delivered, page: PageRequest()).items.map(\.event.id) == [EventID(2)])
        #expect(try await store.events(state: nil, page: PageRequest()).items.count == 3)

        let retried = try await store.retryParked(EventID(1), at: after(20_000)).value
        #expect(retried.delivery == .waiting && retried.attempts == 0 && retried.nextAttemptAt == after(20_000))
        #expect(try await due(at: after(20_000)) == [1])
        try await home.expectRefused(.eventNotParked) { try await $0.retryParked(EventID(1), at: noon) }
        try await home.expectRefused(.eventNotFound) { try await $0.retryParked(EventID(9), at: noon) }
    }

    @Test("states move forward: a late failure never overwrites a delivery")
    func forwardOnly() async throws {
        try await threeEvents()
        #expect(try await store.markDelivered(EventID(1)))
        let before = try home.dump()
        #expect(try await !store.markDelivered(EventID(1)))
        #expect(try await !store.markFailed(EventID(1), nextAttemptAt: noon, error: "late"))
        #expect(try await !store.park(EventID(1), error: "late"))
        try await home.expectRefused(.eventNotParked) { try await $0.retryParked(EventID(1), at: noon) }
        #expect(try await !store.markDelivered(EventID(9)))
        #expect(try home.dump() == before)
        #expect(try await store.park(EventID(2), error: "gone"))
        #expect(try await !store.markFailed(EventID(2), nextAttemptAt: noon, error: "late"))
        #expect(try await store.markDelivered(EventID(2)), "an acceptance outweighs giving up, however late it is heard")
    }
}
