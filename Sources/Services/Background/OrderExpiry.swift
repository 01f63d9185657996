import Commerce
import Store
import Synchronization

/// Expires pending orders. It sleeps until the next expiry; a new order that expires earlier wakes it.
final class OrderExpiry: Sendable {
    private let store: TransactionalStore
    private let clock: WallClock
    /// When due orders whose rows cannot be read are tried again; an operator may have mended them.
    private static let retryMilliseconds: Int64 = 60_000
    /// Raised by an order that expires before the one that is waited for.
    let wakeup = Wakeup()
    /// The next expiry; `nil` while it is unknown.
    private let next = Mutex<Instant?>(nil)

    init(store: TransactionalStore, clock: WallClock) { (self.store, self.clock) = (store, clock) }

    /// Must be called after the commit of a new order.
    func orderPlaced(expiringAt instant: Instant) {
        let isFirst = next.withLock { next in
            guard next.map({ instant < $0 }) ?? true else { return false }
            next = nil
            return true
        }
        if isFirst { wakeup.raise() }
    }

    /// Makes the next step read when the next order expires.
    func forgetNext() { next.withLock { $0 = nil } }

    /// Expires the orders that are due.
    ///
    /// - Returns: the time until the next expiry; `nil` where no order is pending.
    func step() async throws -> Duration? {
        if let known = next.withLock({ $0 }), known > clock.now { return pause(until: known) }
        // Unknown while it is read, so that an order that is placed meanwhile raises the wakeup.
        next.withLock { $0 = nil }
        let seen = wakeup.count
        while let first = try await store.nextExpiry() {
            guard first <= clock.now else {
                // If the wakeup was raised meanwhile, a new order may expire earlier: the next step reads again.
                next.withLock { if wakeup.count == seen { $0 = first } }
                return pause(until: first)
            }
            let now = clock.now
            guard try await store.expireOrders(at: now) == 0 else { continue }
            // What is still due cannot be read. It is tried again later, and keeps no other order from expiring in its time.
            let retry = now.advanced(byMilliseconds: Self.retryMilliseconds) ?? now
            let later = min(try await store.nextExpiry(after: now) ?? retry, retry)
            next.withLock { if wakeup.count == seen { $0 = later } }
            return pause(until: later)
        }
        next.withLock { if wakeup.count == seen { $0 = Instant(milliseconds: .max) } }
        return nil
    }

    private func pause(until instant: Instant) -> Duration { .milliseconds(max(0, instant.milliseconds - clock.now.milliseconds)) }
}
