import Commerce
import GRDB
import Logging
import Store
import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("Background work")
struct BackgroundWorkTests {
    @Test("a raise between look and wait ends the wait at once, for everybody who looked before it")
    func raisedBefore() async {
        let wakeup = Wakeup()
        let seen = wakeup.count
        wakeup.raise()
        await wakeup.wait(past: seen)
        await wakeup.wait(past: seen)
        #expect(wakeup.count == seen + 1)
    }

    @Test("one raise wakes all that wait, and many are one for who looks after them")
    func all() async throws {
        let wakeup = Wakeup()
        let seen = wakeup.count
        await withTaskGroup { group in
            for _ in 0..<20 { group.addTask { await wakeup.wait(past: seen) } }
            for _ in 0..<5 { wakeup.raise() }
        }
        let now = wakeup.count
        await wakeup.wait(past: now, atMost: .milliseconds(1))
        #expect(wakeup.count == now, "nothing was raised since, so the time has ended the wait")
    }

    @Test("a wait ends with its task, before it begins or in its middle")
    func cancelled() async {
        let wakeup = Wakeup()
        let seen = wakeup.count
        for _ in 0..<200 {
            let task = Task { await wakeup.wait(past: seen) }
            if Bool.random() { await Task.yield() }
            task.cancel()
            await task.value
        }
        let timed = Task { await wakeup.wait(past: seen, atMost: .seconds(100_000)) }
        timed.cancel()
        await timed.value
    }

    @Test("no raise is lost, however it meets look and wait")
    func none() async throws {
        let wakeup = Wakeup()
        let asked = Mutex(0)
        let done = Mutex(0)
        let worker = Task {
            while !Task.isCancelled {
                let seen = wakeup.count
                let todo = asked.withLock { $0 }
                done.withLock { $0 = todo }
                await wakeup.wait(past: seen)
            }
        }
        for number in 1...2_000 {
            asked.withLock { $0 = number }
            wakeup.raise()
            if number.isMultiple(of: 100) { try await eventually("step \(number) is done") { done.withLock { $0 } == number } }
        }
        worker.cancel()
        await worker.value
    }

    private final class Steps: Sendable {
        private let times = Mutex<[ContinuousClock.Instant]>([])

        var all: [ContinuousClock.Instant] { times.withLock { $0 } }
        var count: Int { all.count }
        func note() { times.withLock { $0.append(.now) } }
    }

    /// Runs work until `body` is through, and hands it the instants of its steps.
    private func running(
        _ work: BackgroundWork, step: @escaping @Sendable () -> Duration? = { nil }, _ body: (Steps) async throws -> Void
    ) async throws {
        let steps = Steps()
        let task = Task {
            await work.run(logger: Shop.logger) {
                steps.note()
                return step()
            }
        }
        do { try await body(steps) } catch {
            task.cancel()
            await task.value
            throw error
        }
        task.cancel()
        await task.value
    }

    @Test("work that nothing wakes sleeps, a raise wakes it, and steps keep their distance")
    func woken() async throws {
        let counter = StepCounter()
        let work = BackgroundWork(name: "test", pause: .milliseconds(20), interval: .seconds(100_000), steps: counter)
        try await running(work) { steps in
            try await eventually("the first step needs no raise") { steps.count == 1 }
            for count in 2...5 {
                work.wakeup.raise()
                try await eventually("step \(count)") { steps.count >= count }
            }
            for _ in 0..<1_000 {
                work.wakeup.raise()
                await Task.yield()
            }
            try await eventually("the last raise is seen") { counter.value == steps.count }
            for (earlier, later) in zip(steps.all, steps.all.dropFirst()) { #expect(later - earlier >= .milliseconds(20)) }
        }
    }

    @Test("work comes back after the time that its step names, and after its interval at the latest")
    func timed() async throws {
        for (interval, named) in [(Duration.seconds(100_000), Duration.milliseconds(30)), (.milliseconds(30), .seconds(100_000))] {
            try await running(BackgroundWork(name: "test", pause: .zero, interval: interval), step: { named }) { steps in
                try await eventually("three steps") { steps.count >= 3 }
                #expect(steps.all[2] - steps.all[0] >= .milliseconds(60))
            }
        }
    }

    @Test("failures one after the other are one line in the log, and so is their end")
    func failures() async throws {
        struct Failed: Error {}
        let lines = LogLines()
        let work = BackgroundWork(name: "the test", pause: .milliseconds(1), interval: .milliseconds(1))
        let count = Mutex(0)
        let task = Task {
            await work.run(logger: lines.logger(level: .info)) {
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                if number % 6 < 3 { throw Failed() }
                return nil
            }
        }
        try await eventually("two rounds") { count.withLock { $0 } > 12 }
        task.cancel()
        await task.value
        let expected = ["the test failed, trying again", "the test works again", "the test failed, trying again", "the test works again"]
        #expect(Array(lines.messages.prefix(4)) == expected)
    }

    @Test("expiry sleeps until the next order is over, and an order that is over earlier wakes it")
    func expiry() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000)[0]
            let product = try await shop.makeProduct(price: 1)
            shop.clock.stop(at: Instant(milliseconds: 1_000_000_000))
            let expiry = OrderExpiry(store: shop.store, clock: shop.services.configuration.clock)
            shop.store.onDueWork { work in
                guard case .orderExpiry(let instant) = work else { return }
                expiry.orderPlaced(expiringAt: instant)
            }
            let place = { (seconds: Int64) async throws -> OrderID in
                let then = Instant(milliseconds: shop.clock.now.milliseconds + seconds * 1_000)
                let items = [RequestedItem(productID: product, quantity: 1)]
                return try await shop.store.placeOrder(userID: user, items: items, issuedCouponID: nil, in: .at(then)).value.id
            }
            let first = try await expiry.step()
            #expect(first == nil)
            let hold = Int64(15 * 60)
            let raises = expiry.wakeup.count
            _ = try await place(0)
            #expect(expiry.wakeup.count == raises + 1)
            #expect(try await expiry.step() == .seconds(hold))
            _ = try await place(10)
            #expect(expiry.wakeup.count == raises + 1, "the earlier one is waited for already")
            let earliest = try await place(-10)
            #expect(expiry.wakeup.count == raises + 2)
            #expect(try await expiry.step() == .seconds(hold - 10))
            shop.clock.advance(byMilliseconds: (hold - 10) * 1_000)
            #expect(try await expiry.step() == .seconds(10))
            #expect(try shop.reader.order(earliest)?.storedStatus == .expired)
            // The date jumps past all of them.
            shop.clock.advance(byMilliseconds: 86_400_000)
            #expect(try await expiry.step() == nil)
            #expect(try await shop.store.nextExpiry() == nil)
        }
    }
    @Test(
        "orders that are due and cannot be read are tried again after a minute, and the others expire in their time",
        .timeLimit(.minutes(5)))
    func malformedOrders() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1, balance: 1_000)[0]
            let product = try await shop.makeProduct(price: 1)
            shop.clock.stop(at: Instant(milliseconds: 1_000_000_000))
            let expiry = OrderExpiry(store: shop.store, clock: shop.services.configuration.clock)
            let place = { () async throws -> Order in
                let items = [RequestedItem(productID: product, quantity: 1)]
                return try await shop.store.placeOrder(userID: user, items: items, issuedCouponID: nil, in: .at(shop.clock.now)).value
            }
            let (bad, file) = (try await place(), try shop.foreignConnection())
            try await file.write { db in
                try db.execute(sql: "UPDATE order_lines SET unit_price = \(Int64.max), quantity = 2 WHERE order_id = \(bad.id)")
            }
            shop.clock.advance(byMilliseconds: 10_000)
            let good = try await place()
            shop.clock.advance(byMilliseconds: bad.expiresAt.milliseconds - shop.clock.now.milliseconds)
            #expect(try await expiry.step() == .seconds(10), "until the one that can be read")
            shop.clock.advance(byMilliseconds: 10_000)
            #expect(try await expiry.step() == .seconds(60))
            #expect(try shop.reader.order(good.id)?.storedStatus == .expired)
            try await file.write { db in
                try db.execute(sql: "UPDATE order_lines SET unit_price = 1, quantity = 1 WHERE order_id = \(bad.id)")
            }
            shop.clock.advance(byMilliseconds: 60_000)
            #expect(try await expiry.step() == nil)
            #expect(try shop.reader.order(bad.id)?.storedStatus == .expired)
        }
    }
}
