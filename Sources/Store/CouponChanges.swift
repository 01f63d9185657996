package import Commerce
import GRDB
import GRDBSQLite
import Synchronization

/// How often the coupons that people have were changed, so that a copy in memory can tell whether it still holds.
///
/// SQLite itself names each changed row to the writer's connection, so no statement can be forgotten. The counts move after the
/// commit and before anybody is told of it: whoever has heard of a change sees it counted.
package final class CouponChanges: Sendable {
    /// A copy that was read while the counts stood like this holds as long as they do.
    package struct Version: Sendable, Equatable {
        fileprivate let count: UInt64
    }

    private struct Counts {
        var all: UInt64 = 0
        /// By the last bits of the id: a count for each coupon would grow without end.
        var some = [UInt64](repeating: 0, count: 256)
        /// Changed in the open transaction.
        var pending: [IssuedCouponID] = []
    }

    private let counts = Mutex(Counts())

    /// Reads a coupon together with the version it belongs to; no version where coupons changed meanwhile.
    package func versioned(
        _ read: () throws(StoreError) -> IssuedCoupon?
    ) throws(StoreError) -> (coupon: IssuedCoupon, version: Version?)? {
        let before = counts.withLock { $0.all }
        guard let coupon = try read() else { return nil }
        let version = counts.withLock { counts in
            counts.all == before ? Version(count: counts.some[Self.slot(coupon.id)]) : nil
        }
        return (coupon, version)
    }

    package func holds(_ version: Version, for coupon: IssuedCouponID) -> Bool {
        counts.withLock { $0.some[Self.slot(coupon)] } == version.count
    }

    private static func slot(_ id: IssuedCouponID) -> Int { Int(id.rawValue & 255) }
}

// MARK: - On the writer thread

extension CouponChanges {
    /// Has SQLite name every coupon that a statement of this connection changes or deletes.
    ///
    /// The pointer stays good: the writer holds this object as long as its connection.
    func watch(_ db: Database) {
        sqlite3_update_hook(
            db.sqliteConnection,
            { watcher, operation, _, table, row in
                guard operation != SQLITE_INSERT, let watcher, let table, String(cString: table) == "issued_coupons" else { return }
                let changes = Unmanaged<CouponChanges>.fromOpaque(watcher).takeUnretainedValue()
                changes.counts.withLock { $0.pending.append(IssuedCouponID(row)) }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Counts what the transaction has changed. To be called after its end, whichever way it ended, and before anybody hears of it.
    func transactionEnded() {
        counts.withLock { counts in
            guard !counts.pending.isEmpty else { return }
            counts.all += 1
            for coupon in counts.pending { counts.some[Self.slot(coupon)] += 1 }
            counts.pending.removeAll(keepingCapacity: true)
        }
    }
}
