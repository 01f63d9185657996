import Synchronization

/// Which keys have come before.
final class SeenKeys: Sendable {
    private let keys = Mutex<Set<String>>([])

    func isNew(_ key: String) -> Bool { keys.withLock { $0.insert(key).inserted } }

    func reset() { keys.withLock { $0 = [] } }
}
