import GRDB

/// The service's store, read while the service runs, for what no route reports.
struct StoreFile: Sendable {
    private let connection: DatabaseQueue

    init(dataFolder: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        connection = try DatabaseQueue(path: dataFolder + "/store.sqlite", configuration: configuration)
    }

    /// The first pending orders.
    func pendingOrders(limit: Int) throws -> [(id: Int64, user: Int64)] {
        try connection.read { db in
            let rows = try GRDB.Row.fetchCursor(
                db, sql: "SELECT id, user_id FROM orders WHERE status = 0 ORDER BY id LIMIT ?", arguments: [limit])
            var orders: [(id: Int64, user: Int64)] = []
            while let row = try rows.next() { orders.append((id: row[0], user: row[1])) }
            return orders
        }
    }

    func undeliveredEvents() throws -> Int {
        try connection.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM events WHERE delivery = 0") ?? 0 }
    }
}
