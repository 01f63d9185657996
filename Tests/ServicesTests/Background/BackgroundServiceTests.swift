import Logging
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("Background services")
struct BackgroundServiceTests {
    @Test("a graceful shutdown ends the work of a group from the last to the first, and waits for each")
    func order() async throws {
        let (begun, ended) = (Steps(), Steps())
        let services = (1...4).map { number in
            BackgroundService(name: "work \(number)") {
                begun.add(number)
                try? await Task.sleep(for: .seconds(1_000))
                // What takes its time to end is waited for.
                await Task { try? await Task.sleep(for: .milliseconds(5)) }.value
                ended.add(number)
            }
        }
        let group = ServiceGroup(services: services, logger: Shop.logger)
        let running = Task { try await group.run() }
        try await eventually("all have begun") { begun.all.count == 4 }
        await group.triggerGracefulShutdown()
        try await running.value
        #expect(ended.all == [4, 3, 2, 1])
    }

    @Test("services end with the group that runs them")
    func whole() async throws {
        try await withShop { shop in
            try await shop.services.prepare()
            let group = ServiceGroup(services: [shop.services], logger: Shop.logger)
            let running = Task { try await group.run() }
            try await eventually("ready") { await shop.services.readiness().isReady }
            await group.triggerGracefulShutdown()
            try await running.value
        }
    }

    private final class Steps: Sendable {
        private let numbers = Mutex<[Int]>([])

        var all: [Int] { numbers.withLock { $0 } }
        func add(_ number: Int) { numbers.withLock { $0.append(number) } }
    }
}
