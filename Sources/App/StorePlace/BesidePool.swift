import Foundation

/// Runs work that may wait long for a server on a thread of its own, so that no thread of Swift's pool stands still for it.
func besidePool<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let thread = Thread { continuation.resume(with: Result(catching: work)) }
        thread.name = "store-server"
        thread.start()
    }
}
