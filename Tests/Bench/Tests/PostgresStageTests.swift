import Commerce
import Logging
import Postgres
import PostgresStore
import Store
import TestSupport
import Testing

@testable import Bench

@Suite("pgbench on a copy of the service's store")
struct PostgresStageTests {
    @Test("its payments and claims write the rows that the service would, and the server's CPU is counted", .timeLimit(.minutes(5)))
    func transactions() async throws {
        try await withCleanupStack { cleanup in
            let server = try await Postgres(cleanup)
            let store = try await server.makeDatabase("store")
            try await offPool { try makeStore(store) }
            let (users, products) = (50, 10)
            try await store.sql(PostgresSchema.people(users: users, products: products))
            let stage = try await PostgresStage.copying(store, as: "peer", users: users, products: products)
            let settings = BenchSettings(isQuick: true, rounds: 1, only: nil, executable: "")
            let paid = try await stage.benchmarkCase(.pgbenchPayment16, .payment, clients: 2, settings).measure(1)
            #expect(paid.problems.isEmpty && paid.requests > 0)
            #expect(paid.cpu > 0 && (paid.cpuWithGenerator ?? 0) > paid.cpu)
            let again = try await stage.benchmarkCase(.pgbenchPayment1, .payment, clients: 1, settings).measure(2)
            #expect(again.problems.isEmpty && again.requests > 0)
            let won = try await stage.benchmarkCase(.pgbenchWins16, .claim, clients: 2, settings).measure(1)
            #expect(won.problems.isEmpty && won.requests > 0)
            try await stage.check()
            #expect(try await store.sql("SELECT count(*) FROM payments") == "0")
        }
    }

    /// Makes the tables as the service makes them.
    private func makeStore(_ database: PostgresDatabase) throws {
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        let configuration = PostgresStoreConfiguration(connection: PostgresConfiguration(endpoint: try PostgresEndpoint(url: database.url)))
        let options = StoreOptions(calendar: calendar) { _ in "" }
        let logger = Logger(label: "bench-tests", factory: { _ in SwiftLogNoOpLogHandler() })
        try TransactionalStore.open(configuration, options: options, logger: logger).close()
    }
}
