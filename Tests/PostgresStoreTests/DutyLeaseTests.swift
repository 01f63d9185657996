import Commerce
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import PostgresStore

/// The lease by which one of several services on one database does the background duties.
@Suite struct DutyLeaseTests {
    private static func leases(_ home: PostgresHome, _ count: Int) throws -> [any DutyLease] {
        try (0..<count).map { _ in try #require(try home.open().makeDutyLease()) }
    }

    private static func take(_ lease: any DutyLease, isSuccessor: Bool = false) async throws -> DutyMark? {
        guard case .taken(let mark, _) = try await lease.take(after: .zero, isSuccessor: isSuccessor) else { return nil }
        return mark
    }

    /// Lets that time pass for the lease alone.
    private static func age(_ home: PostgresHome, bySeconds seconds: Double) throws {
        try home.sql("UPDATE duties SET until = until - \(seconds) * interval '1 second'")
    }

    @Test("services tell about themselves, the holder of the lease is known by it, and one that is silent leaves the list")
    func reports() async throws {
        try await PostgresHome.with { home in
            let store = try home.open()
            let leases = try Self.leases(home, 2)
            _ = try await Self.take(leases[1])
            let rates = ServiceReport.Rates(claimsWon: 1.5, claimsRefused: 3_400, payments: 0.25, paid: 1_200_000)
            try await leases[0].report(ServiceReport(name: "a:1", rates: ServiceReport.Rates()))
            try await leases[1].report(ServiceReport(name: "b:2", rates: ServiceReport.Rates()))
            try await leases[1].report(ServiceReport(name: "b:2", rates: rates))
            func seen() async throws -> [SeenService] { try await store.watchedSales(of: [], at: Instant(milliseconds: 0)).services }
            let services = try await seen()
            #expect(services.map(\.report.name) == ["a:1", "b:2"] && services.map(\.hasDuties) == [false, true])
            #expect(services.last?.report.rates == rates)
            try home.sql("UPDATE services SET seen_at = seen_at - interval '13 seconds' WHERE name = 'a:1'")
            #expect(try await seen().map(\.report.name) == ["b:2"])
            try home.sql("UPDATE services SET seen_at = seen_at - interval '2 minutes' WHERE name = 'a:1'")
            try await leases[1].report(ServiceReport(name: "b:2", rates: rates))
            #expect(try home.sql("SELECT name FROM services") == "b:2")
            for lease in leases { lease.close() }
        }
    }

    @Test("one of those who ask at once gets the lease, and each take has a term of its own")
    func atOnce() async throws {
        try await PostgresHome.with { home in
            let leases = try Self.leases(home, 4)
            var terms: Set<Int64> = []
            for round in 1...5 {
                let marks = try await withThrowingTaskGroup(of: DutyMark?.self) { group in
                    for lease in leases { group.addTask { try await Self.take(lease) } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let taken = marks.compactMap(\.self)
                #expect(taken.count == 1, "round \(round): \(marks)")
                terms.insert(try #require(taken.first).term)
                try Self.age(home, bySeconds: 6)
            }
            #expect(terms == [1, 2, 3, 4, 5])
            for lease in leases { lease.close() }
        }
    }

    /// Sets when the lease ends, or the note of a successor, from now on by the server's clock.
    private static func set(_ column: String, _ home: PostgresHome, toSeconds seconds: Double) throws {
        try home.sql("UPDATE duties SET \(column) = clock_timestamp() + \(seconds) * interval '1 second'")
    }

    /// Whether the time in `column` is that many seconds after an instant during `body`.
    private static func sets<Value>(
        _ column: String, _ home: PostgresHome, toSeconds seconds: Double, _ body: () async throws -> Value
    ) async throws -> (Value, isSet: Bool) {
        let from = try home.sql("SELECT clock_timestamp()")
        let value = try await body()
        let isSet = try home.sql(
            """
            SELECT \(column) - \(seconds) * interval '1 second' BETWEEN '\(from)' AND clock_timestamp() FROM duties
            """)
        return (value, isSet == "t")
    }

    @Test("the lease lasts 5 s from its last renewal by the server's clock, and no longer")
    func length() async throws {
        try await PostgresHome.with { home in
            let leases = try Self.leases(home, 2)
            let (taken, lasts) = try await Self.sets("until", home, toSeconds: 5) { try await Self.take(leases[0]) }
            let mark = try #require(taken)
            #expect(lasts)
            try Self.set("until", home, toSeconds: 60)
            #expect(try await Self.take(leases[1]) == nil)
            let (renewed, lastsAgain) = try await Self.sets("until", home, toSeconds: 5) { try await leases[0].renew(mark) }
            #expect(renewed != nil && lastsAgain)
            try Self.set("until", home, toSeconds: 60)
            guard case .held(let left) = try await leases[1].take(after: .zero, isSuccessor: false) else { throw NotDone(result: "taken") }
            #expect(left > .zero && left <= .seconds(60), "\(left)")
            try Self.set("until", home, toSeconds: 0)
            let (second, lastsForNext) = try await Self.sets("until", home, toSeconds: 5) { try await Self.take(leases[1]) }
            let next = try #require(second)
            #expect(lastsForNext)
            #expect(next.term == mark.term + 1 && next.holder != mark.holder)
            #expect(try await leases[0].renew(mark) == nil, "a former holder renews nothing")
            #expect(try await leases[1].renew(next) != nil)
            for lease in leases { lease.close() }
        }
    }

    @Test("a lease that has ended and that nobody took is renewed, and one whose take was not heard of is taken again in a new term")
    func own() async throws {
        try await PostgresHome.with { home in
            let lease = try Self.leases(home, 1)[0]
            let first = try #require(try await Self.take(lease))
            try Self.age(home, bySeconds: 60)
            #expect(try await lease.renew(first) != nil)
            let second = try #require(try await Self.take(lease))
            #expect(second == DutyMark(holder: first.holder, term: first.term + 1))
            #expect(try await lease.renew(first) == nil)
            lease.close()
        }
    }

    @Test("a released lease is free at once, for a patient service later, and a former holder releases nothing")
    func release() async throws {
        try await PostgresHome.with { home in
            let leases = try Self.leases(home, 3)
            let first = try #require(try await Self.take(leases[0]))
            try await leases[0].release(first)
            #expect(try await leases[0].renew(first) == nil)
            if case .taken = try await leases[1].take(after: .seconds(60), isSuccessor: false) {
                Issue.record("it was not free for a minute")
            }
            let second = try #require(try await Self.take(leases[2]))
            try await leases[0].release(first)
            #expect(try await leases[2].renew(second) != nil)
            try await leases[2].release(second)
            try Self.age(home, bySeconds: 60)
            guard case .taken = try await leases[1].take(after: .seconds(60), isSuccessor: false) else { throw NotDone(result: "held") }
            for lease in leases { lease.close() }
        }
    }

    @Test("the holder hears of a service that could follow as long as that one asks, and of no other")
    func successor() async throws {
        try await PostgresHome.with { home in
            let leases = try Self.leases(home, 3)
            guard case .taken(let mark, let news) = try await leases[0].take(after: .zero, isSuccessor: true) else {
                throw NotDone(result: "held")
            }
            #expect(!news.hasSuccessor, "not itself")
            _ = try await leases[1].take(after: .seconds(3), isSuccessor: false)
            #expect(try await leases[0].renew(mark)?.hasSuccessor == false)
            for rest in [-1.0, 1] {
                try Self.set("until", home, toSeconds: 60)
                try Self.set("successor_until", home, toSeconds: rest)
                let (_, isNoted) = try await Self.sets("successor_until", home, toSeconds: 3) {
                    try await leases[1].take(after: .zero, isSuccessor: true)
                }
                #expect(isNoted)
            }
            try Self.set("successor_until", home, toSeconds: 60)
            #expect(try await leases[0].renew(mark)?.hasSuccessor == true)
            let noted = try home.sql("SELECT successor_until FROM duties")
            try Self.set("until", home, toSeconds: 60)
            for lease in leases[1...] { _ = try await lease.take(after: .zero, isSuccessor: true) }
            #expect(try home.sql("SELECT successor_until FROM duties") == noted, "one note serves all")
            try Self.set("successor_until", home, toSeconds: 0)
            #expect(try await leases[0].renew(mark)?.hasSuccessor == false)
            for lease in leases { lease.close() }
        }
    }

    @Test("a renewal brings what others have done: events, events that wait again, and the first order to expire")
    func news() async throws {
        try await PostgresHome.with { home in
            let (store, other) = (try home.open(), try home.open())
            let lease = try #require(store.makeDutyLease())
            guard case .taken(let mark, let before) = try await lease.take(after: .zero, isSuccessor: false) else {
                throw NotDone(result: "held")
            }
            #expect(before.nextExpiry == nil)
            let user = try await other.createUser(name: "Jin", in: .at(noon)).value.id
            let tea = try await other.createProduct(name: "Tea", price: Won(900), stock: 1_000, in: .at(noon)).value.id
            _ = try await other.charge(userID: user, amount: Won(20_000), in: .at(noon)).value
            let items = [RequestedItem(productID: tea, quantity: 1)]
            _ = try await other.checkout(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value
            let paid = try #require(try await lease.renew(mark))
            #expect(paid.events == before.events + 1 && paid.retries == before.retries && paid.nextExpiry == nil)
            let order = try await other.placeOrder(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value
            let placed = try #require(try await lease.renew(mark))
            #expect(placed.nextExpiry == order.expiresAt && placed.events == paid.events)
            let event = try #require(try await other.waitingEvents(after: EventPlace(0), limit: 10).events.first).id
            #expect(try await other.park(event, error: "refused"))
            #expect(try await lease.renew(mark) == placed, "only what waits again is news")
            guard case .done = try await other.retryParked(event, at: noon) else { throw NotDone(result: "not parked") }
            let retried = try #require(try await lease.renew(mark))
            #expect(retried.retries == placed.retries + 1 && retried.events == placed.events)
            lease.close()
        }
    }

    @Test("marks of a former holder change nothing, also under the same number of a term; those of the holder and of operators do")
    func fence() async throws {
        try await PostgresHome.with { home in
            let (store, other) = (try home.open(), try home.open())
            let leases = [try #require(store.makeDutyLease()), try #require(other.makeDutyLease())]
            let event = try await Self.event(store)
            let state = { try home.sql("SELECT delivery, attempts FROM events") }
            let first = try #require(try await Self.take(leases[0]))
            let term = DutyTerm(first, since: .now)
            let isMarked = try await DutyTerm.$current.withValue(term) {
                try await store.markFailed(event, nextAttemptAt: noon, error: "away")
            }
            #expect(isMarked)
            #expect(try state() == "0|1")
            try Self.age(home, bySeconds: 6)
            let second = try #require(try await Self.take(leases[1]))
            let former: [@Sendable () async throws -> Void] = [
                { _ = try await store.markDelivered([event]) }, { _ = try await store.park(event, error: "late") },
                { _ = try await store.markFailed(event, nextAttemptAt: noon, error: "late") },
            ]
            // A standby that missed the second take gives out its number again.
            for stale in [term, DutyTerm(DutyMark(holder: first.holder, term: second.term), since: .now)] {
                for write in former {
                    await #expect(throws: StoreError.self) { try await DutyTerm.$current.withValue(stale) { try await write() } }
                }
                #expect(try state() == "0|1")
            }
            try await DutyTerm.$current.withValue(DutyTerm(second, since: .now)) { _ = try await other.markDelivered([event]) }
            #expect(try state() == "1|1")
            await #expect(throws: StoreError.self) {
                try await DutyTerm.$current.withValue(term) { _ = try await store.redeliver(after: EventPlace(0), atMost: 10, at: noon) }
            }
            #expect(try state() == "1|1")
            #expect(try await store.redeliver(after: EventPlace(0), atMost: 10, at: noon) == 1, "no duty")
            for lease in leases { lease.close() }
        }
    }

    @Test("a take waits for the marks that its former holder is committing, and a renewal does not")
    func inTheMiddle() async throws {
        try await PostgresHome.with { home in
            let store = try home.open()
            let lease = try #require(store.makeDutyLease())
            let mark = try #require(try await Self.take(lease))
            let event = try await Self.event(store)
            // The event's row is locked, so the group waits with the lease's row already locked.
            let blocker = try PostgresConnection.open(home.configuration().connection)
            defer { blocker.close() }
            _ = try blocker.send(within: hangLimit) { batch in
                batch.begin()
                batch.execute(PostgresStatement(nil, "SELECT FROM events WHERE id = \(event) FOR UPDATE"))
            }
            let marking = Task {
                try await DutyTerm.$current.withValue(DutyTerm(mark, since: .now)) { _ = try await store.markDelivered([event]) }
            }
            try await eventually("the group waits for the event") {
                try home.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == "1"
            }
            #expect(try await lease.renew(mark) != nil)
            try Self.age(home, bySeconds: 6)
            let other = try #require(try home.open().makeDutyLease())
            let isTaken = Mutex(false)
            let taking = Task {
                while true {
                    // A trip of the lease waits 2 s at most.
                    guard let mark = try? await Self.take(other) else { continue }
                    isTaken.withLock { $0 = true }
                    return mark
                }
            }
            try await eventually("the take waits for the group") {
                try home.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == "2"
            }
            #expect(!isTaken.withLock { $0 })
            try blocker.rollBack(within: hangLimit)
            try await marking.value
            #expect(await taking.value.term == mark.term + 1)
            #expect(try home.sql("SELECT delivery FROM events") == "1")
            lease.close()
            other.close()
        }
    }

    private static func event(_ store: TransactionalStore) async throws -> EventID {
        let user = try await store.createUser(name: "Jin", in: .at(noon)).value.id
        let tea = try await store.createProduct(name: "Tea", price: Won(900), stock: 1_000, in: .at(noon)).value.id
        _ = try await store.charge(userID: user, amount: Won(20_000), in: .at(noon)).value
        let items = [RequestedItem(productID: tea, quantity: 1)]
        _ = try await store.checkout(userID: user, items: items, issuedCouponID: nil, in: .at(noon)).value
        return try #require(try await store.waitingEvents(after: EventPlace(0), limit: 10).events.first).id
    }
}
