import Dispatch
import GRDB
import GRDBSQLite
import Synchronization

/// How often rows that are copied in memory were changed, so that a copy can tell whether it still holds.
///
/// SQLite itself names each changed row to the writer's connection, so no statement can be forgotten. The counts move after the
/// commit and before anybody is told of it: whoever has heard of a change sees it counted. What another process writes is counted by
/// nobody, and is seen at the latest when a copy is a second old.
package final class RowVersions: Sendable {
    /// The tables whose rows are worth a copy.
    package enum Table: Int, Sendable, CaseIterable {
        case issuedCoupons, products, users

        fileprivate var name: String {
            switch self {
            case .issuedCoupons: "issued_coupons"
            case .products: "products"
            case .users: "users"
            }
        }
    }

    /// How the counts stood when a copy was read, and when that was.
    package struct Version: Sendable {
        fileprivate let count: UInt64
        /// Nanoseconds since the machine started.
        fileprivate let readAt: UInt64
    }

    /// How long a copy holds where nothing is known to have changed, in nanoseconds: a second.
    static let lease: UInt64 = 1_000_000_000

    /// Nanoseconds since the machine started.
    package static var now: UInt64 { DispatchTime.now().uptimeNanoseconds }

    private struct Counts {
        /// By table and the last bits of the row's id: a count for each row would grow without end.
        var rows = [UInt64](repeating: 0, count: RowVersions.slots * Table.allCases.count)
        var commits: UInt64 = 0
        /// Places in `rows` that changed in the open transaction.
        var pending: [Int] = []
    }

    private static let slots = 4_096
    private let counts = Mutex(Counts())

    /// The version of a row that is read after this.
    package func version(of id: Int64, in table: Table, at now: UInt64 = now) -> Version {
        Version(count: counts.withLock { $0.rows[Self.place(id, table)] }, readAt: now)
    }

    /// Whether a copy of the row may still be shown.
    package func holds(_ version: Version, for id: Int64, in table: Table, at now: UInt64 = now) -> Bool {
        now &- version.readAt < Self.lease && counts.withLock { $0.rows[Self.place(id, table)] } == version.count
    }

    /// Reads a row whose id only the row itself tells, and its version; no version where something changed meanwhile.
    package func versioned<Row>(
        in table: Table, id: (Row) -> Int64, _ read: () throws(StoreError) -> Row?
    ) throws(StoreError) -> (row: Row, version: Version?)? {
        let (before, now) = (counts.withLock { $0.commits }, Self.now)
        guard let row = try read() else { return nil }
        let place = Self.place(id(row), table)
        return (row, counts.withLock { $0.commits == before ? Version(count: $0.rows[place], readAt: now) : nil })
    }

    private static func place(_ id: Int64, _ table: Table) -> Int { table.rawValue * slots + Int(id & Int64(slots - 1)) }
}

// MARK: - On the writer thread

extension RowVersions {
    /// Has SQLite name every row that a statement of this connection changes or deletes.
    ///
    /// The pointer stays good: the writer holds this object as long as its connection.
    func watch(_ db: Database) {
        sqlite3_update_hook(
            db.sqliteConnection,
            { watcher, operation, _, table, row in
                guard operation != SQLITE_INSERT, let watcher, let table else { return }
                let name = String(cString: table)
                guard let table = Table.allCases.first(where: { $0.name == name }) else { return }
                let changes = Unmanaged<RowVersions>.fromOpaque(watcher).takeUnretainedValue()
                changes.counts.withLock { $0.pending.append(RowVersions.place(row, table)) }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Counts what the transaction has changed. To be called after its end, whichever way it ended, and before anybody hears of it.
    func transactionEnded() {
        counts.withLock { counts in
            guard !counts.pending.isEmpty else { return }
            counts.commits += 1
            for place in counts.pending { counts.rows[place] += 1 }
            counts.pending.removeAll(keepingCapacity: true)
        }
    }
}
