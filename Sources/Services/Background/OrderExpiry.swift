import Commerce
import Store
import Synchronization

/// Ends pending orders when their time is over. It sleeps until the next one's, and a new order that is over earlier wakes it.
final class OrderExpiry: Sendable {
    private let store: TransactionalStore
    private let clock: WallClock
    /// Raised where an order is over before the one that is waited for.
    let wakeup = Wakeup()
    /// What is waited for; `nil` while that is not known.
    private let next = Mutex<Instant?>(nil)

    init(store: TransactionalStore, clock: WallClock) { (self.store, self.clock) = (store, clock) }

    /// Hears of an order that is over at that instant.
    func orderPlaced(expiringAt instant: Instant) {
        let isFirst = next.withLock { next in
            guard next.map({ instant < $0 }) ?? true else { return false }
            next = nil
            return true
        }
        if isFirst { wakeup.raise() }
    }

    /// Ends what is over; answers after which time the next order is.
    func step() async throws -> Duration? {
        if let known = next.withLock({ $0 }), known > clock.now { return pause(until: known) }
        // Unknown until it is read: an order that is placed meanwhile leads to another look.
        next.withLock { $0 = nil }
        let seen = wakeup.count
        while let first = try await store.nextExpiry() {
            guard first <= clock.now else {
                // An order that was placed since, and heard of, may be over earlier.
                next.withLock { if wakeup.count == seen { $0 = first } }
                return pause(until: first)
            }
            while try await store.expireOrders(at: clock.now) > 0 {}
        }
        next.withLock { if wakeup.count == seen { $0 = Instant(milliseconds: .max) } }
        return nil
    }

    private func pause(until instant: Instant) -> Duration { .milliseconds(max(0, instant.milliseconds - clock.now.milliseconds)) }
}
