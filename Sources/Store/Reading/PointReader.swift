package import Commerce
import GRDB

/// A read-only connection for reads by key, run at once on the caller's thread.
///
/// Such a read takes microseconds, less than handing it to another thread would. Each event loop has its own reader; several threads may
/// share one, but it runs one read at a time. A read sees every commit that was answered before it began.
package final class PointReader: Sendable {
    private let connection: DatabaseQueue
    private let eventBase: Int64

    init(path: String, options: StoreOptions) throws(StoreError) {
        eventBase = options.eventBase
        do {
            connection = try DatabaseQueue(path: path, configuration: .reader())
        } catch {
            throw StoreError(classifying: error)
        }
    }

    package func user(_ id: UserID) throws(StoreError) -> User? {
        try read { try $0.user(id) }
    }

    package func balance(of id: UserID) throws(StoreError) -> Balance? {
        try read { try $0.balance(of: id) }
    }

    package func product(_ id: ProductID) throws(StoreError) -> Product? {
        try read { try $0.product(id) }
    }

    /// The products that exist among the ids, in the order of the ids.
    package func products(_ ids: [ProductID]) throws(StoreError) -> [Product] {
        try read { db in try ids.compactMap { try db.product($0) } }
    }

    package func campaign(_ id: CouponID) throws(StoreError) -> Campaign? {
        try read { try $0.campaign(id) }
    }

    package func issuedCoupon(_ id: IssuedCouponID) throws(StoreError) -> IssuedCoupon? {
        try read { try $0.issuedCoupon(id) }
    }

    /// The coupon that the user has of the campaign.
    package func issuedCoupon(of couponID: CouponID, userID: UserID) throws(StoreError) -> IssuedCoupon? {
        try read { try $0.issuedCoupon(of: couponID, userID: userID) }
    }

    package func order(_ id: OrderID) throws(StoreError) -> Order? {
        try read { try $0.order(id) }
    }

    package func payment(_ id: PaymentID) throws(StoreError) -> Payment? {
        try read { try $0.payment(id) }
    }

    /// The response that is stored under the key at `now`.
    package func answer(for key: IdempotencyKey, at now: Instant) throws(StoreError) -> StoredResponseLookup {
        try read { try $0.answer(for: key, at: now) }
    }

    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    package func lastEventID() throws(StoreError) -> EventID {
        try read { try $0.lastEventID(base: eventBase) }
    }

    /// Without BEGIN and COMMIT: each statement is its own snapshot, and no method here needs one for several statements together.
    private func read<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        do {
            return try connection.unsafeRead(body)
        } catch {
            throw StoreError(classifying: error)
        }
    }
}
