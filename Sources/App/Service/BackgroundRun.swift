import Logging
import ServiceLifecycle
import Services

/// The background work of a service, from the moment that it is made to ``end()``.
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
                logger.critical("the background work has ended", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Ends the work and waits for it.
    func end() async {
        await group.triggerGracefulShutdown()
        await task.value
    }
}
