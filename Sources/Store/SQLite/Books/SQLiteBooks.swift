import Commerce
import GRDB

/// The books of SQLite's open transaction: a call runs its statement at once, unless the change is gathered for the group.
///
/// Only the writer's thread touches them. They live as long as its connection, and the writer tells them how each transaction ended.
final class SQLiteBooks: Books, SQLiteReading {
    let db: Database
    let rules: StoreRules
    let eventBase: Int64
    let dueWork: DueWorkListeners
    let rowVersions: RowVersions
    private let users: UserCount
    /// What is not written yet.
    var gathered = GatheredWrites()
    /// How many of the connection's changes have written what was gathered, perhaps by an earlier job: they were counted then.
    private var laterChanges = 0
    /// What the open transaction has done beside its rows.
    var notes = Notes()

    struct Notes {
        /// The newest user that was added.
        var newUser: UserID?
    }

    /// Those of ``HeldStatement`` that have been run.
    var statements = [Statement?](repeating: nil, count: HeldStatement.allCases.count)
    /// Those that write gathered rows, by table and number of rows.
    var insertions = [Statement?](repeating: nil, count: GatheredTable.allCases.count * GatheredTable.steps.count)

    init(
        _ db: Database, rules: StoreRules, eventBase: Int64, rowVersions: RowVersions, users: UserCount, dueWork: DueWorkListeners
    ) {
        (self.db, self.rules, self.eventBase) = (db, rules, eventBase)
        (self.rowVersions, self.users, self.dueWork) = (rowVersions, users, dueWork)
    }

    var writeCount: Int { db.totalChangesCount - laterChanges + gathered.count }

    /// Runs statements that write what was gathered.
    func writeGathered(_ body: () throws -> Void) rethrows {
        let before = db.totalChangesCount
        defer { laterChanges += db.totalChangesCount - before }
        try body()
    }

    func userExists(_ id: UserID) -> Bool { users.contains(id) }

    /// Called after COMMIT, before anybody is answered.
    func committed() {
        if let user = notes.newUser { users.added(user) }
    }

    /// Called after a ROLLBACK whose jobs run again, or one to a savepoint, with the notes of that time.
    func rolledBack(to notes: Notes = Notes()) {
        gathered.removeAll()
        self.notes = notes
    }

    /// Called after COMMIT or ROLLBACK, before anybody is answered.
    func transactionEnded() {
        rolledBack()
        rowVersions.transactionEnded()
        dueWork.transactionEnded()
    }
}
