import Synchronization

/// How to end everything that a part of the benchmark has started: run in reverse order at its end, also after a failure or Ctrl-C.
package final class CleanupStack: Sendable {
    private struct Ending: Sendable {
        let body: @Sendable () async -> Void
    }

    private let endings = Mutex<[Ending]>([])

    /// Adds the ending of what was just started.
    package func add(_ ending: @escaping @Sendable () async -> Void) {
        let ending = Ending(body: ending)
        endings.withLock { $0.append(ending) }
    }

    fileprivate func end() async {
        while let last = endings.withLock({ $0.popLast() }) { await last.body() }
    }
}

/// Runs the body, then ends everything that it has started, also when it throws.
package func withCleanupStack<Value: Sendable>(_ body: (CleanupStack) async throws -> Value) async throws -> Value {
    let cleanup = CleanupStack()
    // In a task of its own, because in one that Ctrl-C has cancelled no ending could wait for its process.
    let end = { @Sendable in await Task { await cleanup.end() }.value }
    do {
        let value = try await body(cleanup)
        await end()
        return value
    } catch {
        await end()
        throw error
    }
}
