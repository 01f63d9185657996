import AsyncHTTPClient
import Commerce
import Logging
import NIOPosix
import Postgres
import PostgresStore
import Store
import TestSupport
import Testing

@testable import Services

/// Events that other services on the same store append, and make wait again.
@Suite("Delivery of other services' events", .serialized)
struct OtherServicesEventsTests {
    /// A store on a database of its own with paid orders, and a delivery of their events whose time only the test moves.
    private struct Outbox {
        let database: TemporaryDatabase
        let store: TransactionalStore
        let delivery: PlatformDelivery
        let steady: MovableSteadyClock

        /// Another service appends events with these ids in this order, each of an order of its own.
        func append(_ ids: [Int]) throws {
            let statements = ids.map { id in
                """
                WITH counter AS (UPDATE counters SET last = last + 1 WHERE name = 'events' RETURNING last)
                INSERT INTO events (place, id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at)
                SELECT counter.last, \(id), 0, \(id), 0, 20000, '{}', 0 FROM counter
                """
            }
            try database.sql(statements.joined(separator: ";"))
        }

        /// Lets the time pass after which the store is read unasked.
        func stepLater() async throws {
            steady.advance(by: PlatformDelivery.unaskedReads)
            _ = try await delivery.step()
        }
    }

    private func withOutbox(
        react: @escaping @Sendable (DataPlatformServer.Post) -> DataPlatformServer.Reaction,
        _ body: @escaping @Sendable (Outbox, DataPlatformServer) async throws -> Void
    ) async throws {
        let shared = try await TemporaryPostgres.shared()
        let database = try await offPool { try shared.makeDatabase() }
        let host = PostgresEndpoint.Host.unix(folder: database.server.folder.path, port: database.server.port)
        let endpoint = PostgresEndpoint(hosts: [host], user: database.server.role, database: database.name)
        var configuration = PostgresStoreConfiguration(connection: PostgresConfiguration(endpoint: endpoint))
        configuration.allowsUnsuitableServer = true
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        options.firstIncarnation = 0
        let store = try await offPool { [configuration, options] in
            try TransactionalStore.open(configuration, options: options, logger: Shop.logger)
        }
        let result: Result<Void, any Error>
        do {
            try await withPlatform(react: react) { server in
                let client = WebhookSink.makeClient(for: server.platform, on: MultiThreadedEventLoopGroup.singleton)
                let sink = WebhookSink(platform: server.platform, client: client, clock: .system)
                let steady = MovableSteadyClock()
                let delivery = PlatformDelivery(store: store, sink: sink, clock: .system, steady: steady.clock, logger: Shop.logger)
                let outbox = Outbox(database: database, store: store, delivery: delivery, steady: steady)
                do { try await body(outbox, server) } catch {
                    try await client.shutdown()
                    throw error
                }
                try await client.shutdown()
            }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        try await offPool {
            store.close()
            try database.remove()
        }
        try result.get()
    }

    @Test("an event that another service commits after one with a greater id is posted, and so are those between")
    func late() async throws {
        try await withOutbox(react: { _ in .status(200) }) { outbox, server in
            for id in [5, 9, 7] {
                try outbox.append([id])
                try await outbox.stepLater()
            }
            #expect(server.posts.map(\.idempotencyKey) == ["5", "9", "7"])
            // Many at once, the smallest ids last.
            try outbox.append((10...400).reversed())
            try await outbox.stepLater()
            #expect(Set(server.posts.map(\.idempotencyKey)).count == 394 && server.posts.count == 394)
            #expect(try await outbox.store.outboxStatistics().waiting == 0)
        }
    }

    @Test("an event that another service makes wait again is posted, and so is one that it held back")
    func retriedElsewhere() async throws {
        try await withOutbox(react: { $0.idempotencyKey == "2" ? .status(400) : .status(200) }) { outbox, server in
            try outbox.append([1, 2, 3, 4])
            try outbox.database.sql("UPDATE events SET order_id = 2 WHERE id = 4")
            while try await outbox.store.outboxStatistics().parked == 0 {
                outbox.steady.advance(by: .seconds(60))
                _ = try await outbox.delivery.step()
            }
            #expect(!server.posts.contains { $0.idempotencyKey == "4" })
            server.react { _ in .status(200) }
            try outbox.database.sql("UPDATE events SET delivery = 0, attempts = 0 WHERE id = 2")
            try await outbox.stepLater()
            #expect(server.posts.suffix(2).map(\.idempotencyKey) == ["2", "4"])
            #expect(try await outbox.store.outboxStatistics() == OutboxStatistics(waiting: 0, parked: 0, oldestWaiting: nil))
        }
    }
}
