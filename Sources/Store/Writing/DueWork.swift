package import Commerce
import Synchronization

/// What a commit has made due for the background work.
package enum DueWork: Sendable, Equatable {
    /// Events were appended: the ranking counts them and the data platform gets them.
    case newEvents
    /// Events that were passed over before wait again.
    case retriedEvents
    /// Orders were placed, the first of which is over at that instant.
    case orderExpiry(Instant)
}

/// Tells listeners what commits have made due, so that nobody has to ask the store again and again.
final class DueWorkListeners: Sendable {
    private let listeners = Mutex<[@Sendable (DueWork) -> Void]>([])
    /// What the open transaction makes due. Touched by the writer thread alone, so the lock is always free.
    private let pending = Mutex<(events: Bool, expiry: Instant?)>((false, nil))

    func add(_ listener: @escaping @Sendable (DueWork) -> Void) { listeners.withLock { $0.append(listener) } }

    /// Notes that the open transaction appends an event.
    func noteEvent() { pending.withLock { $0.events = true } }

    /// Notes that the open transaction places an order that is over at that instant.
    func noteOrder(expiringAt instant: Instant) {
        pending.withLock { $0.expiry = min($0.expiry ?? instant, instant) }
    }

    /// Tells what was noted, once for a whole group. To be called after the transaction's end, whichever way it ended: to look in vain
    /// does no harm.
    func transactionEnded() {
        let (events, expiry) = pending.withLock { pending in
            defer { pending = (false, nil) }
            return pending
        }
        if events { tell(.newEvents) }
        if let expiry { tell(.orderExpiry(expiry)) }
    }

    /// Called on the writer thread once the commit is durable.
    func tell(_ work: DueWork) {
        for listener in listeners.withLock({ $0 }) { listener(work) }
    }
}

extension TransactionalStore {
    /// Calls the listener after each commit that made something due, on the writer thread and before the callers are answered; it must
    /// not block. Commits of other processes are not told.
    package func onDueWork(_ listener: @escaping @Sendable (DueWork) -> Void) { dueWork.add(listener) }
}
