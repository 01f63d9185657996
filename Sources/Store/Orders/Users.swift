package import Commerce
import GRDB

extension TransactionalStore {
    /// Creates a user with balance 0; ids count up from 1.
    package func createUser(
        name: String, in context: WriteContext<User>
    ) async throws(StoreError) -> WriteResult<User> {
        try await write(in: context, onCommit: userCommitted) { db, now in
            try db.run("INSERT INTO users (name, created_at) VALUES (?, ?)", name, now)
            return .done(User(id: UserID(db.lastInsertedRowID), name: name, createdAt: now))
        }
    }

    private var userCommitted: @Sendable (WriteResult<User>) -> Void {
        { [self] result in
            if case .done(let user) = result { userCreated(user.id) }
        }
    }

    /// Adds money to a user's balance.
    ///
    /// Refused: `amountOutOfRange`, `userNotFound`, `balanceLimitExceeded`.
    package func charge(
        userID: UserID, amount: Won, in context: WriteContext<Charge>
    ) async throws(StoreError) -> WriteResult<Charge> {
        let policy = options.policy
        return try await write(in: context) { db, now in
            guard policy.chargeAmounts.contains(amount) else { return .refused(.amountOutOfRange(policy.chargeAmounts)) }
            guard let balance = try db.balance(of: userID)?.amount else { return .refused(.userNotFound) }
            guard let after = balance.adding(amount), after <= policy.balanceLimit else {
                return .refused(.balanceLimitExceeded(limit: policy.balanceLimit, balance: balance))
            }
            let transfer = try db.transfer(.charge, user: userID, amount: amount, balanceAfter: after, orderID: nil, at: now)
            try db.run(
                "INSERT INTO charges (user_id, amount, transfer_id, at) VALUES (?, ?, ?, ?)", userID, amount, transfer, now)
            return .done(Charge(id: ChargeID(db.lastInsertedRowID), userID: userID, amount: amount, balance: after, chargedAt: now))
        }
    }
}

extension Database {
    func user(_ id: UserID) throws -> User? {
        try first("SELECT name, created_at FROM users WHERE id = ?", id) { row in
            User(id: id, name: row.text(0), createdAt: row.instant(1))
        }
    }

    func balance(of id: UserID) throws -> Balance? {
        try first("SELECT balance, balance_updated_at FROM users WHERE id = ?", id) { row in
            Balance(userID: id, amount: row.won(0), updatedAt: row.optionalInstant(1))
        }
    }
}
