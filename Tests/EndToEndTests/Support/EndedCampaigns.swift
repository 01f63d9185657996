import Commerce
import GRDB
import Logging
import Services
import Store
import TestSupport

/// A store in which many campaigns ended long ago, their coupons all issued, and one is open; written by SQL.
struct EndedCampaigns {
    let campaigns: Int64
    let claimsOfEach: Int64

    /// The open one: it comes after the others.
    var open: Int64 { campaigns + 1 }

    /// Makes the store in an empty data folder.
    func make(in folder: String) throws {
        let zone = "Asia/Seoul"
        guard let calendar = BusinessCalendar(timeZoneIdentifier: zone) else { throw LiveService.UnknownTimeZone(identifier: zone) }
        let path = folder + "/store.sqlite"
        let logger = Logger(label: "ended campaigns", factory: { _ in SwiftLogNoOpLogHandler() })
        var options = StoreOptions(calendar: calendar, eventPayload: EventPayload.render)
        // The events that are written below are numbered from 1.
        options.firstIncarnation = 0
        try TransactionalStore.open(path: path, options: options, logger: logger).close()
        let database = try DatabaseQueue(path: path)
        try database.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA synchronous = OFF")
            try db.execute(sql: "PRAGMA cache_size = -262144")
            try db.inTransaction {
                for statement in statements { try db.execute(sql: statement) }
                return .commit
            }
            try db.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
        try database.close()
    }

    private var statements: [String] {
        func numbers(_ count: Int64) -> String { "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(count))" }
        let columns = """
            INSERT INTO campaigns (id, name, discount_type, discount_value, quantity, issued, opens_at, closes_at, valid_for_s, min_order,
                restore_on_refund, created_at)
            """
        return [
            "\(numbers(claimsOfEach)) INSERT INTO users (id, name, created_at) SELECT i, 'User', 0 FROM n",
            "\(numbers(campaigns)) \(columns) SELECT i, 'Ended', 0, 500, \(claimsOfEach), \(claimsOfEach), 0, 1, 3600, 0, 0, 0 FROM n",
            "\(columns) VALUES (\(open), 'Open', 0, 500, \(claimsOfEach + 1), \(claimsOfEach), 0, NULL, 3600, 0, 0, 0)",
            """
            \(numbers((campaigns + 1) * claimsOfEach)) INSERT INTO issued_coupons
            SELECT i, printf('%016d', i), 1 + (i - 1) / \(claimsOfEach), 1 + (i - 1) % \(claimsOfEach), 1 + (i - 1) % \(claimsOfEach),
                0, 0, 3600000, NULL, NULL
            FROM n
            """,
        ]
    }

    /// Puts the gates of the first campaigns into Redis, as a version that never removed one has left them.
    func loadGates(ofFirst count: Int64, into redis: TemporaryRedis) throws {
        let script = """
            for campaign = 1, ARGV[1] do
              redis.call('HSET', 'coupon:{' .. campaign .. '}', 'state', 'open', 'epoch', '0', 'quantity', ARGV[2], 'remaining', '0',
                'sequence', ARGV[2], 'opensAt', '0', 'closesAt', '1')
              for user = 1, ARGV[2] do
                redis.call('ZADD', 'coupon:{' .. campaign .. '}:claims', user, user)
              end
            end
            """
        _ = try redis.cli("EVAL", script, "0", "\(count)", "\(claimsOfEach)")
    }
}
