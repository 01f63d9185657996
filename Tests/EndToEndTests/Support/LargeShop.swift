import Commerce
import GRDB
import Logging
import Services
import Store
import TestSupport

/// A store with many orders and coupons that keeps every invariant, written by SQL: over HTTP it would take minutes.
struct LargeShop {
    /// Users, each with one coupon, and one paid order with it or without.
    let count: Int64

    private static let products: Int64 = 100

    /// Makes the store in an empty data folder.
    func make(in folder: String) throws {
        let zone = "Asia/Seoul"
        guard let calendar = BusinessCalendar(timeZoneIdentifier: zone) else { throw LiveService.UnknownTimeZone(identifier: zone) }
        let path = folder + "/store.sqlite"
        let logger = Logger(label: "large shop", factory: { _ in SwiftLogNoOpLogHandler() })
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        // The events that are written below are numbered from 1.
        options.firstIncarnation = 0
        try TransactionalStore.open(path: path, options: options, logger: logger).close()
        var configuration = Configuration()
        // Orders and coupons name each other; the audit checks every reference anyway.
        configuration.foreignKeysEnabled = false
        let database = try DatabaseQueue(path: path, configuration: configuration)
        let now = WallClock.system.now
        try database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = OFF")
            try db.inTransaction {
                for statement in statements(now: now.milliseconds, day: calendar.day(of: now).number) { try db.execute(sql: statement) }
                try db.buildNameIndex()
                return .commit
            }
            try db.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
        try database.close()
    }

    private func statements(now: Int64, day: Int64) -> [String] {
        let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(count))"
        let product = "1 + i % \(Self.products)"
        // Everybody charges 100,000 and buys two units of 1,000; every other one with a coupon over 500.
        let paid = "2000 - 500 * (i % 2)"
        return [
            "\(numbers) INSERT INTO users SELECT i, 'User ' || i, 100000 - (\(paid)), \(now), \(now) FROM n",
            """
            \(numbers) INSERT INTO products SELECT i, 'Product ' || i, 'product ' || i, 1000, 1000000, 0, \(now)
            FROM n WHERE i <= \(Self.products)
            """,
            """
            INSERT INTO campaigns (id, name, discount_type, discount_value, quantity, issued, opens_at, valid_for_s, min_order,
                restore_on_refund, epoch, created_at) VALUES (1, 'Large', 0, 500, \(count), \(count), 0, 86400, 0, 0, 1, \(now))
            """,
            "\(numbers) INSERT INTO transfers SELECT i, 0, i, 0, i, 100000, 100000, NULL, \(now) FROM n",
            "\(numbers) INSERT INTO charges SELECT i, i, 100000, i, \(now) FROM n",
            """
            \(numbers) INSERT INTO orders
            SELECT i, \(day), i, i, 1, 2000, 500 * (i % 2), iif(i % 2, i, NULL), \(now), \(now) + 900000, \(now) FROM n
            """,
            "INSERT INTO order_counters VALUES (\(day), \(count))",
            """
            \(numbers) INSERT INTO issued_coupons
            SELECT i, printf('%016d', i), 1, i, i, 2 * (i % 2), \(now), \(now) + 86400000, iif(i % 2, \(now), NULL), iif(i % 2, i, NULL) FROM n
            """,
            "\(numbers) INSERT INTO order_lines SELECT i, \(product), 0, 'Product', 1000, 2, 0 FROM n",
            "\(numbers) INSERT INTO payments SELECT i, i, i, \(paid), 100000 - (\(paid)), \(now), \(day), 0 FROM n",
            """
            \(numbers) INSERT INTO transfers
            SELECT \(count) + i, 1, i, i, -1, \(paid), 100000 - (\(paid)), i, \(now) FROM n
            """,
            "\(numbers) INSERT INTO events SELECT i, 0, i, \(now), \(day), '{}', 1, 0, \(now), NULL, NULL FROM n",
            "\(numbers) INSERT INTO event_units SELECT i, \(product), 2 FROM n",
        ]
    }
}
