import Commerce
import Store
import Synchronization
import Testing
import TraceContext

@Suite(.everyEngine) struct OutboxTests: StoreSuite {
    /// Two paid orders; the first is refunded in part: events 1 and 3 are the first order's, event 2 the second's.
    private func threeEvents() async throws {
        let user = try await store.makeUsers(1, balance: 100_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 100)
        let first = try await store.checkout(userID: user, items: wishes([(tea, 2)]), issuedCouponID: nil, in: .at(noon)).value
        _ = try await store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(after(1))).value
        _ = try await store.refund(paymentID: first.payment.id, items: wishes([(tea, 1)]), in: .at(after(2))).value
    }

    private func waiting(after id: Int64 = 0, limit: Int = 10) async throws -> [Int64] {
        try await store.waitingEvents(after: EventPlace(id), limit: limit).events.map(\.id.rawValue)
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

    @Test("the outbox's numbers count what is not delivered, with the time of the oldest event that waits")
    func statistics() async throws {
        #expect(try await store.outboxStatistics() == OutboxStatistics(waiting: 0, parked: 0, oldestWaiting: nil))
        try await threeEvents()
        #expect(try await store.outboxStatistics() == OutboxStatistics(waiting: 3, parked: 0, oldestWaiting: noon))
        try await store.park(EventID(1), error: "refused")
        // Event 3 is held back by event 1, and waits.
        #expect(try await store.outboxStatistics() == OutboxStatistics(waiting: 2, parked: 1, oldestWaiting: after(1)))
        try await store.markDelivered([EventID(2), EventID(3)])
        #expect(try await store.outboxStatistics() == OutboxStatistics(waiting: 0, parked: 1, oldestWaiting: nil))
        _ = try await store.retryAllParked(at: after(9))
        #expect(try await store.outboxStatistics() == OutboxStatistics(waiting: 1, parked: 0, oldestWaiting: noon))
    }

    @Test("nothing is written to deliver events again where there are none")
    func redeliverNothing() async throws {
        let before = store.statistics.groups
        #expect(try await store.redeliver(after: EventPlace(0), atMost: 100_000, at: noon) == 0)
        #expect(store.statistics.groups == before)
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
        #expect(try await waiting().isEmpty)
        #expect(try await store.events(state: .delivered, page: PageRequest(limit: 10)).items.count == 3)
    }

    @Test("waiting events are read in the order of their places, from any of them on and no more than asked for, as long as they wait")
    func waitingEvents() async throws {
        try await threeEvents()
        #expect(try await waiting() == [1, 2, 3])
        #expect(try await waiting(limit: 2) == [1, 2])
        #expect(try await waiting(after: 1) == [2, 3])
        #expect(try await waiting(after: 3).isEmpty)
        #expect(try await store.markDelivered(EventID(2)))
        #expect(try await waiting() == [1, 3])
        #expect(try await store.waitingEvents([EventID(3), EventID(2), EventID(9)]).map(\.id) == [EventID(3)])
        let events = try await store.events(after: nil, limit: 10)
        let first = try #require(try await store.waitingEvents(after: EventPlace(0), limit: 1).events.first)
        #expect(first.payload == events[0].payload && first.orderID == events[0].orderID && first.kind == .paid && first.attempts == 0)
    }

    @Test("an event carries the trace of the request that paid, checked out or refunded, and none where it had none")
    func traces() async throws {
        let user = try await store.makeUsers(1, balance: 100_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 100)
        let traces = try (1...3).map { index in
            try #require(TraceParent("00-0000000000000000000000000000000\(index)-000000000000000\(index)-01"))
        }
        let sale = try await store.checkout(
            userID: user, items: wishes([(tea, 2)]), issuedCouponID: nil, in: WriteContext(at: noon, trace: traces[0])
        ).value
        let order = try await store.order(user, [(tea, 1)])
        _ = try await store.pay(orderID: order.id, by: user, in: WriteContext(at: noon, trace: traces[1])).value
        _ = try await store.refund(
            paymentID: sale.payment.id, items: wishes([(tea, 1)]), in: WriteContext(at: noon, trace: traces[2])
        ).value
        _ = try await store.refund(paymentID: sale.payment.id, items: wishes([(tea, 1)]), in: .at(noon)).value
        #expect(try await store.waitingEvents(after: EventPlace(0), limit: 10).events.map(\.trace) == traces + [nil])
        #expect(try await store.waitingEvents([EventID(2), EventID(4)]).map(\.trace) == [traces[1], nil])
    }

    @Test("a failed try is noted, a parked event holds back its order alone, and a retry starts afresh")
    func failing() async throws {
        try await threeEvents()
        #expect(try await store.markFailed(EventID(1), nextAttemptAt: after(1_000), error: "status 500"))
        let failed = try #require(try await store.waitingEvents(after: EventPlace(0), limit: 1).events.first)
        #expect(failed.attempts == 1 && failed.nextAttemptAt == after(1_000))
        #expect(try await store.park(EventID(1), error: "status 400"))
        #expect(try await waiting() == [2], "event 3 is of the same order as the parked one")
        #expect(try await store.markDelivered(EventID(2)))
        #expect(try await waiting().isEmpty)
        let parked = try await store.events(state: .parked, page: PageRequest()).items
        #expect(parked.map(\.event.id) == [EventID(1)])
        #expect(parked[0].attempts == 2 && parked[0].lastError == "status 400" && parked[0].delivery == .parked)
        #expect(try await store.events(state: .waiting, page: PageRequest()).items.map(\.event.id) == [EventID(3)])
        #expect(try await store.events(state: .delivered, page: PageRequest()).items.map(\.event.id) == [EventID(2)])
        #expect(try await store.events(state: nil, page: PageRequest()).items.count == 3)

        let retried = try await store.retryParked(EventID(1), at: after(20_000)).value
        #expect(retried.delivery == .waiting && retried.attempts == 0 && retried.nextAttemptAt == after(20_000))
        #expect(try await waiting() == [1, 3])
        try await home.expectRefused(.eventNotParked) { try await $0.retryParked(EventID(1), at: noon) }
        try await home.expectRefused(.eventNotFound) { try await $0.retryParked(EventID(9), at: noon) }
    }

    @Test("all parked events are retried, in steps of any size, and nothing else changes", arguments: [1, 2, 3, 500])
    func retryAll(step: Int) async throws {
        for _ in 0..<3 { try await threeEvents() }
        for id in [1, 2, 5, 8] { #expect(try await store.park(EventID(Int64(id)), error: "status 400")) }
        #expect(try await store.markDelivered(EventID(4)))
        #expect(try await store.retryAllParked(at: after(5), step: step) == 4)
        #expect(try await waiting() == [1, 2, 3, 5, 6, 7, 8, 9])
        #expect(try await store.events(state: .parked, page: PageRequest()).items.isEmpty)
        let retried = try #require(try await store.waitingEvents(after: EventPlace(4), limit: 1).events.first)
        #expect(retried.attempts == 0 && retried.nextAttemptAt == after(5))
        #expect(try await store.retryAllParked(at: after(6), step: step) == 0)
    }

    @Test("delivered events after one wait again, no more than so many and in steps of any size", arguments: [1, 2, 500])
    func redeliver(step: Int) async throws {
        for _ in 0..<3 { try await threeEvents() }
        try await store.markDelivered((1...8).map { EventID($0) })
        #expect(try await store.redeliver(after: EventPlace(6), atMost: 100, at: noon, step: step) == 2)
        #expect(try await waiting() == [7, 8, 9])
        #expect(try await store.redeliver(after: EventPlace(0), atMost: 5, at: noon, step: step) == 2, "events 5 and 6 of the last five")
        #expect(try await waiting() == [5, 6, 7, 8, 9])
        #expect(try await store.redeliver(after: EventPlace(9), atMost: 5, at: noon, step: step) == 0)
    }

    @Test("listeners hear of what a commit has made due, once it is durable, and of nothing that is refused")
    func dueWork() async throws {
        let heard = Mutex<[DueWork]>([])
        store.onDueWork { work in heard.withLock { $0.append(work) } }
        let user = try await store.makeUsers(1, balance: 100_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 3)
        #expect(heard.withLock { $0 } == [])
        let order = try await store.placeOrder(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon)).value
        #expect(heard.withLock { $0 } == [.orderExpiry(order.expiresAt)])
        let payment = try await store.pay(orderID: order.id, by: user, in: .at(after(1))).value
        _ = try await store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(after(1))).value
        _ = try await store.refund(paymentID: payment.id, items: nil, in: .at(after(2))).value
        let all = [DueWork.orderExpiry(order.expiresAt), .newEvents, .newEvents, .newEvents]
        #expect(heard.withLock { $0 } == all)
        _ = try await store.pay(orderID: order.id, by: user, in: .at(after(1)))
        _ = try await store.checkout(userID: user, items: wishes([(tea, 9)]), issuedCouponID: nil, in: .at(after(1)))
        _ = try await store.refund(paymentID: payment.id, items: nil, in: .at(after(2)))
        _ = try await store.retryAllParked(at: after(3))
        #expect(heard.withLock { $0 } == all)
        _ = try await store.park(EventID(1), error: "status 400")
        _ = try await store.retryParked(EventID(1), at: after(3))
        #expect(heard.withLock { $0 } == all + [.retriedEvents])
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
