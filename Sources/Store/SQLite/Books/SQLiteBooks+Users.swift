import Commerce
import GRDB

extension SQLiteBooks {
    func balance(of id: UserID) throws -> Balance? { try first(.readBalance, id, read: Database.balance) }

    func insertUser(name: String, at now: Instant) throws -> UserID {
        try db.run("INSERT INTO users (name, created_at) VALUES (?, ?)", name, now)
        let id = UserID(db.lastInsertedRowID)
        notes.newUser = id
        return id
    }

    func transfer(
        _ movement: Movement, user: UserID, amount: Won, balanceAfter: Won, orderID: OrderID?, at now: Instant
    ) throws -> EntryID {
        let accounts = movement.accounts(of: user)
        try run(.setBalance, balanceAfter, now, user)
        guard gathers(.transfers) else {
            try run(
                .addTransfer, movement.rawValue, user, accounts.debit, accounts.credit, amount, balanceAfter, Nullable(orderID), now)
            noteFirst(.transfers, db.lastInsertedRowID)
            return EntryID(db.lastInsertedRowID)
        }
        let id = nextID(.transfers)
        gather(
            .transfers, .integer(id), .integer(movement.rawValue), .integer(user.rawValue), .integer(accounts.debit),
            .integer(accounts.credit), .integer(amount.rawValue), .integer(balanceAfter.rawValue), .optional(orderID?.rawValue),
            .integer(now.milliseconds))
        return EntryID(id)
    }

    func insertCharge(of user: UserID, amount: Won, transfer: EntryID, at now: Instant) throws -> ChargeID {
        guard gathers(.charges) else {
            try flushInserts()
            try run(.addCharge, user, amount, transfer, now)
            noteFirst(.charges, db.lastInsertedRowID)
            return ChargeID(db.lastInsertedRowID)
        }
        let id = nextID(.charges)
        gather(
            .charges, .integer(id), .integer(user.rawValue), .integer(amount.rawValue), .integer(transfer.rawValue),
            .integer(now.milliseconds))
        return ChargeID(id)
    }

    func append(_ entry: NewAdminLogEntry) throws {
        try db.run(
            "INSERT INTO admin_log (at, actor, action, object, request_id, details) VALUES (?, ?, ?, ?, ?, ?)", entry.at, entry.actor,
            entry.action.name, entry.action.object, Nullable(entry.requestID), entry.action.details)
    }

    func keep(_ answer: StoredResponse, under key: IdempotencyKey, at now: Instant) throws {
        try db.run(
            """
            INSERT OR REPLACE INTO idempotency (scope, key, fingerprint, status, body, created_at) VALUES (?, ?, ?, ?, ?, ?)
            """, key.scope, key.key, Blob(bytes: key.fingerprint), answer.status, Blob(bytes: answer.body), now)
    }

    func removeAnswer(under key: IdempotencyKey, storedBefore instant: Instant) throws -> Bool {
        try db.changes("DELETE FROM idempotency WHERE scope = ? AND key = ? AND created_at < ?", key.scope, key.key, instant) == 1
    }
}

extension Database {
    func user(_ id: UserID) throws -> User? {
        try first("SELECT name, created_at FROM users WHERE id = ?", id) { row in
            User(id: id, name: row.text(0), createdAt: row.instant(1))
        }
    }

    static let balanceByID = "SELECT id, balance, balance_updated_at FROM users WHERE id = ?"

    func balance(of id: UserID) throws -> Balance? { try first(Self.balanceByID, id, read: Self.balance) }

    static func balance(_ row: Columns) -> Balance {
        Balance(userID: row.id(0), amount: row.won(1), updatedAt: row.optionalInstant(2))
    }

    func answer(for key: IdempotencyKey, at now: Instant) throws -> StoredResponseLookup {
        let found = try first(
            "SELECT fingerprint, status, body FROM idempotency WHERE scope = ? AND key = ? AND created_at > ?",
            key.scope, key.key, now.milliseconds - StoredResponse.lifetimeMilliseconds
        ) { row -> StoredResponseLookup in
            guard row.blob(0) == key.fingerprint else { return .reused }
            return .stored(StoredResponse(status: Int(row.int(1)), body: row.blob(2)))
        }
        return found ?? .absent
    }
}
