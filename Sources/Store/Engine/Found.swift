import Commerce

/// What a look-up by key gives.
///
/// An engine in this process answers at once, and then nothing is allocated and no task is made.
package enum Found<Row: Sendable>: Sendable {
    case now(Row)
    /// The engine has to ask a server. Calling the closure begins that; its argument is called once, in the context of the look-up.
    case later(@Sendable (_ completion: @escaping @Sendable (Result<Row, StoreError>) -> Void) -> Void)

    /// Awaits the row where it is not there at once.
    package var row: Row {
        get async throws(StoreError) {
            switch self {
            case .now(let row): return row
            case .later(let begin):
                let result: Result<Row, StoreError> = await withUnsafeContinuation { continuation in
                    begin { continuation.resume(returning: $0) }
                }
                return try result.get()
            }
        }
    }
}

/// A row, or several, to be looked up by key: which rows that takes, and what is made of them. The counterpart of a ``UseCase`` that
/// only reads.
package protocol Lookup: Sendable {
    associatedtype Row: Sendable

    var needs: Needs { get }
    func read(_ rows: some Rows) throws -> Row
}

/// Looks rows up for an engine that has to ask a server. What is looked up at the same time may share a question.
package protocol LookupLane: AnyObject, Sendable {
    /// - Parameter context: where the row is delivered; without one, on a thread of the engine.
    func lookUp<Key: Lookup>(_ key: Key, context: (any DeliveryContext)?) -> Found<Key.Row>
}

// MARK: - The look-ups

struct UserLookup: Lookup {
    let id: UserID
    var needs: Needs { Needs(users: [id]) }
    func read(_ rows: some Rows) throws -> User? { try rows.user(id) }
}

struct BalanceLookup: Lookup {
    let id: UserID
    var needs: Needs { Needs(users: [id]) }
    func read(_ rows: some Rows) throws -> Balance? { try rows.balance(of: id) }
}

struct ProductLookup: Lookup {
    let id: ProductID
    var needs: Needs { Needs(products: [id]) }
    func read(_ rows: some Rows) throws -> Product? { try rows.product(id) }
}

struct ProductsLookup: Lookup {
    let ids: [ProductID]
    var needs: Needs { Needs(products: ids) }
    func read(_ rows: some Rows) throws -> [Product] { try ids.compactMap { try rows.product($0) } }
}

struct CampaignLookup: Lookup {
    let id: CouponID
    var needs: Needs { Needs(campaigns: [id]) }
    func read(_ rows: some Rows) throws -> Campaign? { try rows.campaign(id) }
}

struct IssuedCouponLookup: Lookup {
    let id: IssuedCouponID
    var needs: Needs { Needs(issuedCoupons: [id]) }
    func read(_ rows: some Rows) throws -> IssuedCoupon? { try rows.issuedCoupon(id) }
}

struct OwnedCouponLookup: Lookup {
    let owner: CouponOwner

    var needs: Needs {
        var needs = Needs()
        needs.ownedCoupons = [owner]
        return needs
    }

    func read(_ rows: some Rows) throws -> IssuedCoupon? { try rows.issuedCoupon(of: owner.campaign, userID: owner.user) }
}

/// The coupons that users have of a campaign, in the order of the users; nil for one who has none.
struct OwnedCouponsLookup: Lookup {
    let campaign: CouponID
    let users: [UserID]

    var needs: Needs {
        var needs = Needs()
        needs.ownedCoupons = users.map { CouponOwner(campaign: campaign, user: $0) }
        return needs
    }

    func read(_ rows: some Rows) throws -> [IssuedCoupon?] {
        try users.map { user in try rows.issuedCoupon(of: campaign, userID: user) }
    }
}

struct OrderLookup: Lookup {
    let id: OrderID
    var needs: Needs { Needs(orders: [id]) }
    func read(_ rows: some Rows) throws -> Order? { try rows.order(id) }
}

struct PaymentLookup: Lookup {
    let id: PaymentID
    var needs: Needs { Needs(payments: [id]) }
    func read(_ rows: some Rows) throws -> Payment? { try rows.payment(id) }
}

struct AnswerLookup: Lookup {
    let key: IdempotencyKey
    let now: Instant

    var needs: Needs {
        var needs = Needs()
        needs.answers = [key]
        return needs
    }

    func read(_ rows: some Rows) throws -> StoredResponseLookup { try rows.answer(for: key, at: now) }
}

struct LastEventLookup: Lookup {
    var needs: Needs {
        var needs = Needs()
        needs.outboxBounds = true
        return needs
    }

    func read(_ rows: some Rows) throws -> EventID { try rows.lastEventID() }
}
