import ServiceLifecycle

/// A named piece of background work as a member of a service group. A graceful shutdown cancels it and waits until it has ended.
struct BackgroundService: Service {
    let name: String
    /// Runs until its task is cancelled.
    let work: @Sendable () async -> Void

    func run() async throws { await cancelWhenGracefulShutdown(work) }
}
