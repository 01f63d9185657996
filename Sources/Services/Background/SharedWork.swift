import Synchronization

/// Runs work at most once at a time for each key. Callers that ask for it while it runs share its result.
///
/// The running tasks live in a mutex, one for each key that is being worked on.
final class SharedWork<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let running = Mutex<[Key: Task<Value, any Error>]>([:])

    /// Begins the work, or joins it where it runs already; `isOurs` is true where this call began it. Cancelling a caller does not end the
    /// work.
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

    /// Whether work for the key is running.
    func isRunning(_ key: Key) -> Bool { running.withLock { $0[key] != nil } }
}
