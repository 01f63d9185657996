package import Commerce

/// Why money moves between a user and the house; raw values as stored.
package enum Movement: Int64 {
    case charge = 0
    case payment = 1
    case refund = 2

    package var kind: BalanceEntry.Kind {
        switch self {
        case .charge: .charge
        case .payment: .payment
        case .refund: .refund
        }
    }

    /// The accounts debited and credited; a user's account has the user's id.
    package func accounts(of user: UserID) -> (debit: Int64, credit: Int64) {
        switch self {
        case .charge: (Schema.fundingAccount, user.rawValue)
        case .payment: (user.rawValue, Schema.salesAccount)
        case .refund: (Schema.salesAccount, user.rawValue)
        }
    }
}
