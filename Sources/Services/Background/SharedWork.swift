import Synchronization

/// Work that runs once at a time for each key: callers that need it while it runs wait for its result.
///
/// The running pieces live in a mutex; there are no more than keys that somebody works on.
final class SharedWork<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let running = Mutex<[Key: Task<Value, any Error>]>([:])

    /// Begins the work, or joins it where it has begun; `isOurs` tells which. A caller that is cancelled ends nobody's work.
    func run(_ key: Key, _ work: @escaping @Sendable () async throws -> Value) async throws -> (value: Value, isOurs: Bool) {
        let (task, isOurs) = running.withLock { running in
            if let task = running[key] { return (task, false) }
            let task = Task { [self] in
                defer { self.running.withLock { _ = $0.removeValue(forKey: key) } }
                return try await work()
            }
            running[key] = task
            return (task, true)
        }
        return (try await task.value, isOurs)
    }

    /// Whether work on the key has begun and not ended.
    func isRunning(_ key: Key) -> Bool { running.withLock { $0[key] != nil } }
}
