import Commerce
import GRDB
import Logging
import Services
import Store

/// A large store, written by SQL in the service's own schema before the service opens it, and clean by its audit.
///
/// Over HTTP, a million orders would take minutes for each point of a curve.
struct GrownStore {
    private let connection: DatabaseQueue
    private let now: Int64
    private let today: Int64

    /// What every user charged at the beginning: enough for all purchases.
    private static let charged: Int64 = 1_000_000_000
    private static let price: Int64 = 1_000
    private static let dayMilliseconds: Int64 = 86_400_000

    /// Fills the store of a new data folder.
    static func make(in dataFolder: String, _ fill: (GrownStore) throws -> Void) throws {
        let zone = "Asia/Seoul"
        guard let calendar = BusinessCalendar(timeZoneIdentifier: zone) else { throw BenchFailure("there is no time zone \(zone)") }
        let path = dataFolder + "/store.sqlite"
        let logger = Logger(label: "grown store", factory: { _ in SwiftLogNoOpLogHandler() })
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        // Incarnation 0, so that event ids begin at 1 as the SQL below writes them.
        options.firstIncarnation = 0
        try TransactionalStore.open(path: path, options: options, logger: logger).close()
        var configuration = Configuration()
        // The audit checks every reference afterwards.
        configuration.foreignKeysEnabled = false
        let store = GrownStore(connection: try DatabaseQueue(path: path, configuration: configuration), calendar: calendar)
        try store.connection.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = OFF")
            try db.execute(sql: "PRAGMA cache_size = -262144")
        }
        try fill(store)
        try store.connection.write { try $0.buildNameIndex() }
        try store.connection.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
        try store.connection.close()
    }

    private init(connection: DatabaseQueue, calendar: BusinessCalendar) {
        self.connection = connection
        let instant = WallClock.system.now
        (now, today) = (instant.milliseconds, calendar.day(of: instant).number)
    }

    private func run(_ statements: [String]) throws {
        try connection.write { db in
            for statement in statements { try db.execute(sql: statement) }
        }
    }

    /// The numbers from 1 on, as `n(i)`.
    private func numbers(_ count: Int) -> String {
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(count))"
    }
}

// MARK: - What it is filled with

extension GrownStore {
    /// Products without sales.
    func addProducts(_ count: Int) throws {
        try run([
            """
            \(numbers(count)) INSERT INTO products SELECT i, '요가 매트 ' || i, '요가 매트 ' || i, \(Self.price), 1000000000, 0, \(now) FROM n
            """
        ])
    }

    /// Campaigns that have issued all their coupons: `claims` each, to the users from 1 on.
    func addSoldOutCampaigns(_ count: Int, claims: Int, users: Int) throws {
        try run([
            "\(numbers(users)) INSERT INTO users SELECT i, '김민준', 0, NULL, \(now) FROM n",
            """
            \(numbers(count)) INSERT INTO campaigns
            SELECT i, '선착순', 0, 1000, NULL, \(claims), \(claims), 0, NULL, 2592000, 0, 0, 1, \(now), 0, NULL FROM n
            """,
            """
            \(numbers(count * claims)) INSERT INTO issued_coupons
            SELECT i, printf('%016d', i), 1 + (i - 1) / \(claims), 1 + (i - 1) % \(claims), 1 + (i - 1) % \(claims), 0, \(now),
                \(now) + 2592000000, NULL, NULL
            FROM n
            """,
        ])
    }

    /// Users and their paid orders, whose lines name the products in turn.
    ///
    /// - Parameters:
    ///   - daysAgo: when an order was paid, in SQL of the order's number `o`.
    ///   - bestSellers: additional products after the others; every tenth line sells one of them.
    func addOrders(_ count: Int, lines: Int, daysAgo: String, users: Int, products: Int, bestSellers: Int = 0) throws {
        let total = Self.price * Int64(lines)
        let orders = "SELECT i AS o, 1 + (i - 1) % \(users) AS buyer, 1 + (i - 1) / \(users) AS nth FROM n"
        let moment = "\(now) - (\(daysAgo)) * \(Self.dayMilliseconds)"
        let day = "\(today) - (\(daysAgo))"
        let after = "\(Self.charged) - nth * \(total)"
        let product =
            bestSellers == 0
            ? "1 + (i - 1) % \(products)"
            : "CASE i % 10 WHEN 0 THEN \(products) + 1 + i / 10 % \(bestSellers) ELSE 1 + (i - i / 10 - 1) % \(products) END"
        let line = "SELECT 1 + (i - 1) / \(lines) AS o, \(product) AS product, (i - 1) % \(lines) AS position FROM n"
        try run([
            """
            \(numbers(users)) INSERT INTO users
            SELECT i, '김민준', \(Self.charged) - \(total) * (\(count) / \(users) + (i <= \(count) % \(users))), \(now), \(now) FROM n
            """,
            "\(numbers(users)) INSERT INTO transfers SELECT i, 0, i, 0, i, \(Self.charged), \(Self.charged), NULL, \(now) FROM n",
            "\(numbers(users)) INSERT INTO charges SELECT i, i, \(Self.charged), i, \(now) FROM n",
            """
            \(numbers(count)), orders_made AS (\(orders)) INSERT INTO orders
            SELECT o, \(day), o, buyer, 1, \(total), 0, NULL, \(moment), \(moment) + 900000, \(moment) FROM orders_made
            """,
            "INSERT INTO order_counters SELECT day, max(counter) FROM orders GROUP BY day",
            """
            \(numbers(count * lines)), lines_made AS (\(line)) INSERT INTO order_lines
            SELECT o, product, position, '요가 매트', \(Self.price), 1, 0 FROM lines_made
            """,
            """
            \(numbers(count)), orders_made AS (\(orders)) INSERT INTO transfers
            SELECT \(users) + o, 1, buyer, buyer, -1, \(total), \(after), o, \(moment) FROM orders_made
            """,
            """
            \(numbers(count)), orders_made AS (\(orders)) INSERT INTO payments
            SELECT o, o, buyer, \(total), \(after), \(moment), \(day), 0 FROM orders_made
            """,
            """
            \(numbers(count)), orders_made AS (\(orders)) INSERT INTO events
            SELECT o, 0, o, \(moment), \(day), '{}', 1, 0, \(moment), NULL, NULL FROM orders_made
            """,
            """
            \(numbers(count * lines)), lines_made AS (\(line)) INSERT INTO event_units SELECT o, product, 1 FROM lines_made
            """,
        ])
    }
}
