import ServiceLifecycle

/// A named piece of background work as a member of a service group. A graceful shutdown cancels it, and waits for its end.
struct BackgroundService: Service {
    let name: String
    /// Goes on until its task is cancelled.
    let work: @Sendable () async -> Void

    func run() async throws { await cancelWhenGracefulShutdown(work) }
}
