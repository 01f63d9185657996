package import Commerce
import Synchronization

/// Background work that a commit has made due.
package enum DueWork: Sendable, Equatable {
    /// Events were appended: for the relay and for the delivery.
    case newEvents
    /// Events that were parked, or delivered to a sink that lost them, wait again.
    case retriedEvents
    /// Orders were placed, the first of which expires at that instant.
    case orderExpiry(Instant)
}

/// Tells listeners what commits have made due, so that background work need not poll the store.
package final class DueWorkListeners: Sendable {
    private let listeners = Mutex<[@Sendable (DueWork) -> Void]>([])
    /// What the open transaction makes due. Touched by the writer thread alone, so the lock is always free.
    private let pending = Mutex<(events: Bool, expiry: Instant?)>((false, nil))

    package init() {}

    package func add(_ listener: @escaping @Sendable (DueWork) -> Void) { listeners.withLock { $0.append(listener) } }

    /// Notes that the open transaction appends an event.
    package func noteEvent() { pending.withLock { $0.events = true } }

    /// Notes that the open transaction places an order that expires at that instant.
    package func noteOrder(expiringAt instant: Instant) {
        pending.withLock { $0.expiry = min($0.expiry ?? instant, instant) }
    }

    /// Tells what was noted, once for a whole group. Call it after COMMIT or ROLLBACK: a listener that looks for work in vain does no
    /// harm.
    package func transactionEnded() {
        let (events, expiry) = pending.withLock { pending in
            defer { pending = (false, nil) }
            return pending
        }
        if events { tell(.newEvents) }
        if let expiry { tell(.orderExpiry(expiry)) }
    }

    /// Calls the listeners on this thread; the commit must be durable.
    package func tell(_ work: DueWork) {
        for listener in listeners.withLock({ $0 }) { listener(work) }
    }
}

extension TransactionalStore {
    /// Calls the listener after each commit that made something due, on the writer thread and before the callers are answered; it must
    /// not block. ``DueWork/retriedEvents`` is reported by the task that retried, after its commit. Commits of other processes are not
    /// reported.
    package func onDueWork(_ listener: @escaping @Sendable (DueWork) -> Void) { dueWork.add(listener) }
}
