package import Commerce

extension TransactionalStore {
    /// Creates a user with balance 0; ids count up from 1.
    package func createUser(
        name: String, in context: WriteContext<User>
    ) async throws(StoreError) -> WriteResult<User> {
        try await write(CreateUser(name: name, now: context.time), in: context)
    }

    /// Adds money to a user's balance.
    ///
    /// Refused: `amountOutOfRange`, `userNotFound`, `balanceLimitExceeded`.
    package func charge(
        userID: UserID, amount: Won, in context: WriteContext<Charge>
    ) async throws(StoreError) -> WriteResult<Charge> {
        try await write(ChargeBalance(user: userID, amount: amount, now: context.time), in: context)
    }
}

/// See ``TransactionalStore/createUser(name:in:)``.
struct CreateUser: UseCase {
    let name: String
    let now: Instant

    var needs: Needs { Needs(new: NewRows(users: 1)) }

    func decide(_ books: some Books) throws -> Outcome<User> {
        .done(User(id: try books.insertUser(name: name, at: now), name: name, createdAt: now))
    }
}

/// See ``TransactionalStore/charge(userID:amount:in:)``.
struct ChargeBalance: UseCase {
    let user: UserID
    let amount: Won
    let now: Instant

    var needs: Needs { Needs(users: [user], new: NewRows(transfers: 1, charges: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Charge> {
        let policy = books.rules.policy
        guard policy.chargeAmounts.contains(amount) else { return .refused(.amountOutOfRange(policy.chargeAmounts)) }
        guard let balance = try books.balance(of: user)?.amount else { return .refused(.userNotFound) }
        guard let after = balance.adding(amount), after <= policy.balanceLimit else {
            return .refused(.balanceLimitExceeded(limit: policy.balanceLimit, balance: balance))
        }
        let transfer = try books.transfer(.charge, user: user, amount: amount, balanceAfter: after, orderID: nil, at: now)
        let id = try books.insertCharge(of: user, amount: amount, transfer: transfer, at: now)
        return .done(Charge(id: id, userID: user, amount: amount, balance: after, chargedAt: now))
    }
}
