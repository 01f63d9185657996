import NIOCore

/// A sign that every event loop runs what it is given.
struct LoopPulse: Sendable {
    private let task: Task<Void, Never>

    /// Calls `body` now and after each interval, but only once every loop has run a task that it was given since. It ends with the loops.
    init(of loops: [any EventLoop], every interval: Duration, _ body: @escaping @Sendable () -> Void) {
        task = Task {
            while !Task.isCancelled, await Self.allRun(loops) {
                body()
                // Throws where the task is cancelled, which is the end.
                try? await Task.sleep(for: interval)
            }
        }
    }

    /// Returns once each loop has run a task; `false` where one has ended.
    private static func allRun(_ loops: [any EventLoop]) async -> Bool {
        for loop in loops {
            guard (try? await loop.submit {}.get()) != nil else { return false }
        }
        return true
    }

    /// Returns when the loops are given nothing more. Call it before they end.
    func stop() async {
        task.cancel()
        await task.value
    }
}
