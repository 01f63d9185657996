import GRDB
import TestSupport

/// The service's store, read while the service runs, for what no route reports.
protocol SalesStore: Sendable {
    /// The first pending orders.
    func pendingOrders(limit: Int) async throws -> [(id: Int64, user: Int64)]
    func undeliveredEvents() async throws -> Int
    /// Whether the ranking has counted every event.
    func isCounted(by shop: Shop) async throws -> Bool
}

/// The store in a data folder.
struct StoreFile: SalesStore {
    private let connection: DatabaseQueue

    init(dataFolder: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        connection = try DatabaseQueue(path: dataFolder + "/store.sqlite", configuration: configuration)
    }

    func pendingOrders(limit: Int) async throws -> [(id: Int64, user: Int64)] {
        try await connection.read { db in
            let rows = try GRDB.Row.fetchCursor(
                db, sql: "SELECT id, user_id FROM orders WHERE status = 0 ORDER BY id LIMIT ?", arguments: [limit])
            var orders: [(id: Int64, user: Int64)] = []
            while let row = try rows.next() { orders.append((id: row[0], user: row[1])) }
            return orders
        }
    }

    func undeliveredEvents() async throws -> Int {
        try await connection.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM events WHERE delivery = 0") ?? 0 }
    }
}

extension StoreFile {
    func isCounted(by shop: Shop) async throws -> Bool { try await shop.metrics().value("firstcome_ranking_lag_events") == 0 }
}

/// A store on PostgreSQL.
extension PostgresDatabase: SalesStore {
    func pendingOrders(limit: Int) async throws -> [(id: Int64, user: Int64)] {
        let rows = try await sql("SELECT id, user_id FROM orders WHERE status = 0 ORDER BY id LIMIT \(limit)")
        return try rows.split(separator: "\n").map { row in
            let fields = row.split(separator: "|").compactMap { Int64($0) }
            guard fields.count == 2 else { throw BenchFailure("psql printed \(row) for an order") }
            return (id: fields[0], user: fields[1])
        }
    }

    func undeliveredEvents() async throws -> Int {
        let count = try await sql("SELECT count(*) FROM events WHERE delivery = 0")
        guard let count = Int(count) else { throw BenchFailure("psql printed \(count) for a number of events") }
        return count
    }

    /// Asks the store and Redis, because the service's metric of the lag may be older than the last payments here.
    func isCounted(by shop: Shop) async throws -> Bool {
        let newest = try await sql("SELECT last FROM counters WHERE name = 'events'")
        return try shop.redisServers.value(of: "ranking:{sales}:applied") == newest
    }
}
