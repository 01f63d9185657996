import Synchronization

/// Wakes background work, and loses no wake-up.
///
/// It counts how often it was raised. Work reads the count, does what there is to do, then waits until the count differs. A raise in
/// between ends the wait at once. Many raises wake the work once.
package final class Wakeup: Sendable {
    private struct State {
        var count: UInt64 = 0
        var lastWaiter: UInt64 = 0
        var waiters: [UInt64: UnsafeContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    /// How often it was raised.
    package var count: UInt64 { state.withLock { $0.count } }

    /// Wakes all waiters. Costs no more than the lock where nobody waits.
    package func raise() {
        let waiters = state.withLock { state -> [UInt64: UnsafeContinuation<Void, Never>] in
            state.count &+= 1
            guard !state.waiters.isEmpty else { return [:] }
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// Returns once the count differs from `seen`, or the task is cancelled.
    package func wait(past seen: UInt64) async {
        let id = state.withLock { state in
            state.lastWaiter &+= 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let isOver = state.withLock { state in
                    // Checked under the lock: a later cancellation finds the waiter and resumes it.
                    if state.count != seen || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }

    package init() {}

    /// Returns once the count differs from `seen`, the task is cancelled, or the time is over.
    package func wait(past seen: UInt64, atMost limit: Duration) async {
        await withTaskGroup { group in
            group.addTask { await self.wait(past: seen) }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }
}
