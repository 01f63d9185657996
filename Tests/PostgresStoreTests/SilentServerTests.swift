import Store
import TestSupport
import Testing

@testable import PostgresStore

@Suite("Reads from a server that has fallen silent")
struct SilentServerTests {
    @Test("a query of the background duties leaves a connection that is silent, and is answered on a new one")
    func duties() async throws {
        try await PostgresHome.with { home in
            try await home.withProxy { proxy, patient in
                var configuration = patient
                (configuration.dutyQueryTimeout, configuration.tripTimeout) = (.seconds(1), .seconds(1))
                let store = try home.open(configuration)
                #expect(try await store.nextExpiry() == nil)
                proxy.swallowReplies()
                let answered = Task { try await store.nextExpiry() }
                let end = Task {
                    // Its connection closes with the proxy, so that the read ends in any case.
                    try await Task.sleep(for: .seconds(30))
                    proxy.cutConnections()
                }
                let start = ContinuousClock.now
                #expect(try await answered.value == nil)
                #expect(start.duration(to: .now) < .seconds(25))
                end.cancel()
            }
        }
    }
}
