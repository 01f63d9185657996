import Logging
import ServiceLifecycle
import Services

/// The background work of a service, which runs from the initializer to ``end()``.
struct BackgroundRun: Sendable {
    private let group: ServiceGroup
    private let task: Task<Void, Never>

    init(of services: CommerceServices, logger: Logger) {
        let group = ServiceGroup(services: [services], logger: logger)
        self.group = group
        task = Task {
            do {
                try await group.run()
            } catch {
                logger.critical("the background work has ended by an error; restart the service", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Shuts the work down gracefully and waits for its end.
    func end() async {
        await group.triggerGracefulShutdown()
        await task.value
    }
}
