import Synchronization

@testable import Services

/// The background work of services that a test has started.
final class BackgroundTask: Sendable {
    private let task = Mutex<Task<Void, any Error>?>(nil)

    func start(_ services: CommerceServices) async throws {
        try await services.prepare()
        task.withLock { $0 = Task { try await services.run() } }
    }

    /// Ends the work and waits for it, where it has begun.
    func end() async {
        let task = task.withLock { $0.take() }
        task?.cancel()
        _ = await task?.result
    }
}
