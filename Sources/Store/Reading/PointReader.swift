package import Commerce
import Dispatch
import GRDB
import Synchronization

/// Looks rows up by key. What it finds includes every commit that was answered before.
///
/// SQLite's is a read-only connection whose reads run at once on the caller's thread: such a read takes microseconds, less than handing it
/// to another thread would. Each event loop has its own reader; several threads may share one, but then one read runs at a time.
package final class PointReader: Sendable {
    private enum Source {
        case sqlite(DatabaseQueue, eventBase: Int64)
        case other(any LookupLane)
    }

    private let source: Source

    /// The reader of a store in a file.
    init(path: String, eventBase: Int64) throws(StoreError) {
        do {
            source = .sqlite(try DatabaseQueue(path: path, configuration: .reader()), eventBase: eventBase)
        } catch {
            throw StoreError(classifying: error)
        }
    }

    /// The reader of an engine that has to ask a server.
    package init(lane: any LookupLane) { source = .other(lane) }

    /// Looks up the key.
    ///
    /// With SQLite without BEGIN and COMMIT: each statement is its own snapshot, and no look-up needs one for several statements together.
    // Inlined into the functions below, so that each is compiled for its key.
    @inline(__always)
    private func find<Key: Lookup>(_ key: Key, _ context: (any DeliveryContext)?) throws(StoreError) -> Found<Key.Row> {
        switch source {
        case .sqlite(let connection, let eventBase):
            do {
                return .now(try connection.unsafeRead { db in try key.read(SQLiteRows(db: db, eventBase: eventBase)) })
            } catch {
                throw StoreError(classifying: error)
            }
        case .other(let lane):
            return lane.lookUp(key, context: context)
        }
    }
}

// MARK: - Look-ups

// Where a row comes later, it comes in the context, or on a thread of the engine without one.
extension PointReader {
    package func find(user id: UserID, on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<User?> {
        try find(UserLookup(id: id), context)
    }

    package func find(balanceOf id: UserID, on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<Balance?> {
        try find(BalanceLookup(id: id), context)
    }

    package func find(product id: ProductID, on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<Product?> {
        try find(ProductLookup(id: id), context)
    }

    /// The products that exist among the ids, in the order of the ids.
    package func find(products ids: [ProductID], on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<[Product]> {
        try find(ProductsLookup(ids: ids), context)
    }

    package func find(campaign id: CouponID, on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<Campaign?> {
        try find(CampaignLookup(id: id), context)
    }

    package func find(issuedCoupon id: IssuedCouponID, on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<IssuedCoupon?>
    {
        try find(IssuedCouponLookup(id: id), context)
    }

    /// The coupon that the user has of the campaign.
    package func find(
        couponOf campaign: CouponID, user: UserID, on context: (any DeliveryContext)? = nil
    ) throws(StoreError) -> Found<IssuedCoupon?> {
        try find(OwnedCouponLookup(owner: CouponOwner(campaign: campaign, user: user)), context)
    }

    /// The coupons that the users have of the campaign, in the order of the users.
    package func find(couponsOf campaign: CouponID, users: [UserID]) throws(StoreError) -> Found<[IssuedCoupon?]> {
        try find(OwnedCouponsLookup(campaign: campaign, users: users), nil)
    }

    package func find(order id: OrderID, on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<Order?> {
        try find(OrderLookup(id: id), context)
    }

    package func find(payment id: PaymentID, on context: (any DeliveryContext)? = nil) throws(StoreError) -> Found<Payment?> {
        try find(PaymentLookup(id: id), context)
    }

    /// The response that is stored under the key at `now`.
    package func find(
        answerFor key: IdempotencyKey, at now: Instant, on context: (any DeliveryContext)? = nil
    ) throws(StoreError) -> Found<StoredResponseLookup> {
        try find(AnswerLookup(key: key, now: now), context)
    }

    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    package func findLastEventID() throws(StoreError) -> Found<EventID> { try find(LastEventLookup(), nil) }
}

// MARK: - Look-ups that block

// For commands and for code that runs beside no event loop: where the engine has to ask a server, the thread waits for the answer.
extension PointReader {
    package func user(_ id: UserID) throws(StoreError) -> User? { try Self.wait(find(user: id)) }
    package func balance(of id: UserID) throws(StoreError) -> Balance? { try Self.wait(find(balanceOf: id)) }
    package func product(_ id: ProductID) throws(StoreError) -> Product? { try Self.wait(find(product: id)) }
    package func products(_ ids: [ProductID]) throws(StoreError) -> [Product] { try Self.wait(find(products: ids)) }
    package func campaign(_ id: CouponID) throws(StoreError) -> Campaign? { try Self.wait(find(campaign: id)) }
    package func issuedCoupon(_ id: IssuedCouponID) throws(StoreError) -> IssuedCoupon? { try Self.wait(find(issuedCoupon: id)) }
    package func issuedCoupon(of campaign: CouponID, userID: UserID) throws(StoreError) -> IssuedCoupon? {
        try Self.wait(find(couponOf: campaign, user: userID))
    }
    package func order(_ id: OrderID) throws(StoreError) -> Order? { try Self.wait(find(order: id)) }
    package func payment(_ id: PaymentID) throws(StoreError) -> Payment? { try Self.wait(find(payment: id)) }
    package func answer(for key: IdempotencyKey, at now: Instant) throws(StoreError) -> StoredResponseLookup {
        try Self.wait(find(answerFor: key, at: now))
    }
    package func lastEventID() throws(StoreError) -> EventID { try Self.wait(findLastEventID()) }

    @inline(__always)
    private static func wait<Row>(_ found: Found<Row>) throws(StoreError) -> Row {
        switch found {
        case .now(let row): return row
        case .later(let begin): return try wait(for: begin)
        }
    }

    private static func wait<Row: Sendable>(
        for begin: (@escaping @Sendable (Result<Row, StoreError>) -> Void) -> Void
    ) throws(StoreError) -> Row {
        let (answered, result) = (DispatchSemaphore(value: 0), Answer<Row>())
        begin { row in
            result.row.withLock { $0 = row }
            answered.signal()
        }
        answered.wait()
        return try result.row.withLock { $0 }.get()
    }

    private final class Answer<Row: Sendable>: Sendable {
        let row = Mutex<Result<Row, StoreError>>(.failure(StoreError(.internal, "the look-up gave no answer")))
    }
}
