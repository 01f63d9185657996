import Commerce
import Store
import Synchronization

/// What the lanes of one engine share.
final class SharedState: Sendable {
    let users = KnownUsers()
    let rowVersions = RowVersions()
    let dueWork = DueWorkListeners()
    let currentServer = CurrentServer()
    let growth = TableGrowth()

    /// Reports what a group has changed. Called after its commit, before anybody is answered.
    func committed(_ books: PostgresBooks) {
        if let newest = books.newestUser { users.raise(to: newest) }
        growth.added(books.added)
        for row in books.outdated { rowVersions.changing(row.id, in: row.table) }
        rowVersions.transactionEnded()
        if !books.held.events.added.isEmpty { dueWork.noteEvent() }
        if let expiry = books.firstExpiry { dueWork.noteOrder(expiringAt: expiry) }
        dueWork.transactionEnded()
    }
}

/// How many users there are, as far as this instance knows; ids run from 1 to this without a gap.
final class KnownUsers: Sendable {
    private let newest = Atomic<Int64>(0)

    var count: Int64 { newest.load(ordering: .acquiring) }

    func raise(to count: Int64) { newest.max(count, ordering: .acquiringAndReleasing) }
}
