import Commerce
import GRDB

/// SQLite's rows: each is read by a statement when it is asked for.
protocol SQLiteReading: Rows {
    var db: Database { get }
    /// See ``StoreIdentity/eventBase``.
    var eventBase: Int64 { get }
}

extension SQLiteReading {
    package func user(_ id: UserID) throws -> User? { try db.user(id) }
    package func balance(of id: UserID) throws -> Balance? { try db.balance(of: id) }
    package func product(_ id: ProductID) throws -> Product? { try db.product(id) }
    package func campaign(_ id: CouponID) throws -> Campaign? { try db.campaign(id) }
    package func issuedCoupon(_ id: IssuedCouponID) throws -> IssuedCoupon? { try db.issuedCoupon(id) }
    package func issuedCoupon(of campaign: CouponID, userID: UserID) throws -> IssuedCoupon? {
        try db.issuedCoupon(of: campaign, userID: userID)
    }
    package func order(_ id: OrderID) throws -> Order? { try db.order(id) }
    package func payment(_ id: PaymentID) throws -> Payment? { try db.payment(id) }
    package func answer(for key: IdempotencyKey, at now: Instant) throws -> StoredResponseLookup { try db.answer(for: key, at: now) }
    package func lastEventID() throws -> EventID { try db.lastEventID(base: eventBase) }
}

/// The rows that a connection for reads sees.
struct SQLiteRows: SQLiteReading {
    let db: Database
    let eventBase: Int64
}
