import Synchronization

/// The idempotency keys that a server has received.
final class SeenKeys: Sendable {
    private let keys = Mutex<Set<String>>([])

    func isNew(_ key: String) -> Bool { keys.withLock { $0.insert(key).inserted } }

    func reset() { keys.withLock { $0 = [] } }
}
