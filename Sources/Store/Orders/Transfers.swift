import Commerce
import GRDB

/// Why money moves between a user and the house; raw values as stored.
enum Movement: Int64 {
    case charge = 0
    case payment = 1
    case refund = 2

    var kind: BalanceEntry.Kind {
        switch self {
        case .charge: .charge
        case .payment: .payment
        case .refund: .refund
        }
    }

    /// The accounts debited and credited; a user's account has the user's id.
    func accounts(of user: UserID) -> (debit: Int64, credit: Int64) {
        switch self {
        case .charge: (Schema.fundingAccount, user.rawValue)
        case .payment: (user.rawValue, Schema.salesAccount)
        case .refund: (Schema.salesAccount, user.rawValue)
        }
    }
}

extension Database {
    /// Moves money and the user's balance together: the only place where a balance changes.
    ///
    /// Requires a positive amount: for an amount of 0, callers write no transfer.
    @discardableResult
    func transfer(
        _ movement: Movement, user: UserID, amount: Won, balanceAfter: Won, orderID: OrderID?, at now: Instant
    ) throws -> EntryID {
        let accounts = movement.accounts(of: user)
        try run(
            "UPDATE users SET balance = ?, balance_updated_at = ? WHERE id = ?", balanceAfter, now, user)
        try run(
            """
            INSERT INTO transfers (kind, user_id, debit_account, credit_account, amount, balance_after, order_id, at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """, movement.rawValue, user, accounts.debit, accounts.credit, amount, balanceAfter, Nullable(orderID), now)
        return EntryID(lastInsertedRowID)
    }
}
