package import Commerce
import Synchronization

/// What a commit has made due for the background work.
package enum DueWork: Sendable, Equatable {
    /// Events were appended: the ranking counts them and the data platform gets them.
    case newEvents
    /// Events that were passed over before wait again.
    case retriedEvents
    /// An order was placed that is over at that instant.
    case orderExpiry(Instant)
}

/// Tells listeners what commits have made due, so that nobody has to ask the store again and again.
final class DueWorkListeners: Sendable {
    private let listeners = Mutex<[@Sendable (DueWork) -> Void]>([])

    func add(_ listener: @escaping @Sendable (DueWork) -> Void) { listeners.withLock { $0.append(listener) } }

    /// Called on the writer thread once the commit is durable.
    func tell(_ work: DueWork) {
        for listener in listeners.withLock({ $0 }) { listener(work) }
    }
}

extension Store {
    /// Calls the listener after each commit that made something due, on the writer thread and before the callers are answered; it must
    /// not block. Commits of other processes are not told.
    package func onDueWork(_ listener: @escaping @Sendable (DueWork) -> Void) { dueWork.add(listener) }

    /// For a write that appends an event unless it is refused.
    func eventAppended<Value>(_ result: WriteResult<Value>) {
        if case .done = result { dueWork.tell(.newEvents) }
    }
}
