import GRDB
import GRDBSQLite
import Synchronization

/// Versions of the rows that are cached in memory: they rise with each change, so that a cache can tell whether its copy is current.
///
/// SQLite's update hook names each changed row of issued coupons, products and users, whichever statement changes it. Campaigns are not
/// watched: the writes that change what is cached of them report it by ``changing(_:in:)``. The versions rise after the commit and before
/// its callers are answered, so a client that was told of a change is never served the older copy. Changes by another process raise no
/// version; therefore each cached copy also has a lease, see `CacheLease` in Services.
///
/// The versions are atomics that only the writer thread changes, so readers on many threads share no lock.
package final class RowVersions: Sendable {
    /// The tables whose rows are cached.
    package enum Table: Int, Sendable, CaseIterable {
        case issuedCoupons, products, users
        /// Changes of quantity, window, epoch and archival alone, reported by the writes that make them. The update hook would also
        /// report each win, which changes the row's number of issued coupons and makes no cached copy outdated.
        case campaigns

        /// The table whose changes the update hook reports; nil where the writes report them.
        fileprivate var watchedName: String? {
            switch self {
            case .issuedCoupons: "issued_coupons"
            case .products: "products"
            case .users: "users"
            case .campaigns: nil
            }
        }
    }

    /// Rows of a table whose ids have the same last bits share a version: one for each row would take memory without bound.
    private static let slots = 4_096

    /// Safety of `nonisolated(unsafe)`: the pointer never changes, and what it points to is atomic.
    private nonisolated(unsafe) let versions: UnsafeMutablePointer<Atomic<UInt64>>
    /// The transactions that have ended after changing or deleting cached rows. Those that only insert are not counted: no cache has a
    /// copy of a row that did not exist, nor keeps that a row does not exist.
    private let commits = Atomic<UInt64>(0)
    /// Places in `versions` that changed in the open transaction. Touched by the writer thread alone, so the lock is always free.
    private let pending = Mutex<[Int]>([])

    package init() {
        let count = Self.slots * Table.allCases.count
        versions = .allocate(capacity: count)
        for index in 0..<count { (versions + index).initialize(to: Atomic(0)) }
    }

    deinit {
        versions.deinitialize(count: Self.slots * Table.allCases.count)
        versions.deallocate()
    }

    /// The present version of a row. Call it before reading the row: the copy is outdated once the row's version is another one.
    package func version(of id: Int64, in table: Table) -> UInt64 {
        versions[Self.place(id, table)].load(ordering: .acquiring)
    }

    /// A read of a row whose id is known only from the row. Make it before the row is read.
    package struct Reading: Sendable {
        fileprivate let commits: UInt64
    }

    package func beginReading() -> Reading { Reading(commits: commits.load(ordering: .acquiring)) }

    /// The version of a row that was read since `reading` was made.
    ///
    /// It is read after the row, so it belongs to the row as it was read only where no transaction ended meanwhile that changed or deleted
    /// rows of the cached tables; otherwise it is nil.
    package func version(of id: Int64, in table: Table, readSince reading: Reading) -> UInt64? {
        let version = version(of: id, in: table)
        return commits.load(ordering: .acquiring) == reading.commits ? version : nil
    }

    /// Makes copies of a row outdated although the row has not changed, because of what they say beside it. Call it on any thread.
    package func raise(_ id: Int64, in table: Table) {
        commits.wrappingAdd(1, ordering: .releasing)
        versions[Self.place(id, table)].wrappingAdd(1, ordering: .releasing)
    }

    private static func place(_ id: Int64, _ table: Table) -> Int { table.rawValue * slots + Int(id & Int64(slots - 1)) }
}

// MARK: - On the writer thread

extension RowVersions {
    /// Sets SQLite's update hook, which names every row that a statement of this connection inserts, changes or deletes. Inserts are
    /// skipped: no cache has a copy of a new row.
    ///
    /// The pointer stays valid: the writer holds this object as long as its connection.
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
    package func changing(_ id: Int64, in table: Table) {
        pending.withLock { $0.append(Self.place(id, table)) }
    }

    /// Raises the versions of the rows that the transaction changed. Call it after COMMIT or ROLLBACK, before the callers are answered.
    package func transactionEnded() {
        pending.withLock { pending in
            guard !pending.isEmpty else { return }
            // `commits` first, so that a thread which sees the new version of a row also sees the higher count.
            commits.wrappingAdd(1, ordering: .releasing)
            for place in pending { versions[place].wrappingAdd(1, ordering: .releasing) }
            pending.removeAll(keepingCapacity: true)
        }
    }
}
