import GRDB
import GRDBSQLite
import Synchronization

/// How often rows that are cached in memory were changed, so that a cache can tell whether its copy is still the row.
///
/// SQLite itself names each changed row to the writer's connection, so no statement can be forgotten. The versions move after the
/// commit and before its callers are answered: a client that has heard of a change sees it counted. Changes by another process are
/// not counted; a copy of a row has a lease besides, see ``CacheLease``.
///
/// The versions are atomics that only the writer thread changes, so readers on many threads share no lock.
package final class RowVersions: Sendable {
    /// The tables whose rows are cached.
    package enum Table: Int, Sendable, CaseIterable {
        case issuedCoupons, products, users
        /// Changes of quantity, window, epoch and archival alone, which the writes that change them name themselves: each win changes
        /// the number of issued coupons, and no cache needs that.
        case campaigns

        /// The table whose every change SQLite names.
        fileprivate var watchedName: String? {
            switch self {
            case .issuedCoupons: "issued_coupons"
            case .products: "products"
            case .users: "users"
            case .campaigns: nil
            }
        }
    }

    /// One version for all rows of a table whose ids have the same last bits: a version for each row would grow without end.
    private static let slots = 4_096

    /// Safety of `nonisolated(unsafe)`: the pointer never changes, and what it points to is atomic.
    private nonisolated(unsafe) let versions: UnsafeMutablePointer<Atomic<UInt64>>
    private let commits = Atomic<UInt64>(0)
    /// Places in `versions` that changed in the open transaction. Touched by the writer thread alone, so the lock is always free.
    private let pending = Mutex<[Int]>([])

    init() {
        let count = Self.slots * Table.allCases.count
        versions = .allocate(capacity: count)
        for index in 0..<count { (versions + index).initialize(to: Atomic(0)) }
    }

    deinit {
        versions.deinitialize(count: Self.slots * Table.allCases.count)
        versions.deallocate()
    }

    /// The version of a row. A copy of a row that is read after this call is outdated once the version differs.
    package func version(of id: Int64, in table: Table) -> UInt64 {
        versions[Self.place(id, table)].load(ordering: .acquiring)
    }

    /// Reads a row whose id only the row itself tells, and its version; no version where something changed meanwhile.
    package func versioned<Row>(
        in table: Table, id: (Row) -> Int64, _ read: () throws(StoreError) -> Row?
    ) throws(StoreError) -> (row: Row, version: UInt64?)? {
        let before = commits.load(ordering: .acquiring)
        guard let row = try read() else { return nil }
        let version = version(of: id(row), in: table)
        return (row, commits.load(ordering: .acquiring) == before ? version : nil)
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
                guard let table = Table.allCases.first(where: { $0.watchedName == name }) else { return }
                Unmanaged<RowVersions>.fromOpaque(watcher).takeUnretainedValue().changing(row, in: table)
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Notes that the open transaction changes a row.
    func changing(_ id: Int64, in table: Table) {
        pending.withLock { $0.append(Self.place(id, table)) }
    }

    /// Counts what the transaction has changed. To be called after its end, whichever way it ended, and before its callers are answered.
    func transactionEnded() {
        pending.withLock { pending in
            guard !pending.isEmpty else { return }
            // First, so that a reader who sees a new version of a row it read before sees that something was committed, too.
            commits.wrappingAdd(1, ordering: .releasing)
            for place in pending { versions[place].wrappingAdd(1, ordering: .releasing) }
            pending.removeAll(keepingCapacity: true)
        }
    }
}
