import NIOCore

/// A sign that every event loop runs what it is given.
enum LoopPulse {
    /// Calls `body` now and at each interval, but only once every loop has run a task that it was given at that time. It ends with the loops.
    static func start(of loops: [any EventLoop], every interval: TimeAmount, _ body: @escaping @Sendable () -> Void) {
        guard let first = loops.first else { return }
        first.scheduleRepeatedTask(initialDelay: .zero, delay: interval) { _ in
            EventLoopFuture.andAllSucceed(loops.map { $0.submit {} }, on: first).whenSuccess(body)
        }
    }
}
