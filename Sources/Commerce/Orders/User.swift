/// A customer.
package struct User: Sendable, Equatable {
    package let id: UserID
    package let name: String
    package let createdAt: Instant

    package init(id: UserID, name: String, createdAt: Instant) {
        (self.id, self.name, self.createdAt) = (id, name, createdAt)
    }
}

/// The balance of a user.
package struct Balance: Sendable, Equatable {
    package let userID: UserID
    package let amount: Won
    /// `nil` before the first movement.
    package let updatedAt: Instant?

    package init(userID: UserID, amount: Won, updatedAt: Instant?) {
        (self.userID, self.amount, self.updatedAt) = (userID, amount, updatedAt)
    }
}

/// An amount added to a user's balance.
package struct Charge: Sendable, Equatable {
    package let id: ChargeID
    package let userID: UserID
    package let amount: Won
    /// The balance after the charge.
    package let balance: Won
    package let chargedAt: Instant

    package init(id: ChargeID, userID: UserID, amount: Won, balance: Won, chargedAt: Instant) {
        (self.id, self.userID, self.amount, self.balance, self.chargedAt) = (id, userID, amount, balance, chargedAt)
    }
}

/// One movement of a user's balance.
package struct BalanceEntry: Sendable, Equatable {
    /// Why the balance moved; raw values as in `Sources/API/openapi.json`.
    package enum Kind: String, Sendable {
        case charge = "CHARGE"
        case payment = "PAYMENT"
        case refund = "REFUND"
    }

    package let id: EntryID
    package let kind: Kind
    /// Positive for money received, negative for money spent.
    package let amount: Won
    package let balanceAfter: Won
    package let orderID: OrderID?
    package let at: Instant

    package init(id: EntryID, kind: Kind, amount: Won, balanceAfter: Won, orderID: OrderID?, at: Instant) {
        (self.id, self.kind, self.amount, self.balanceAfter, self.orderID, self.at) = (id, kind, amount, balanceAfter, orderID, at)
    }
}
