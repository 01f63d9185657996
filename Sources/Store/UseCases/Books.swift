package import Commerce
package import TraceContext

/// The rows of the store, by key, as one transaction or one read sees them.
package protocol Rows {
    func user(_ id: UserID) throws -> User?
    func balance(of id: UserID) throws -> Balance?
    func product(_ id: ProductID) throws -> Product?
    func campaign(_ id: CouponID) throws -> Campaign?
    func issuedCoupon(_ id: IssuedCouponID) throws -> IssuedCoupon?
    /// The coupon that the user has of the campaign.
    func issuedCoupon(of campaign: CouponID, userID: UserID) throws -> IssuedCoupon?
    func order(_ id: OrderID) throws -> Order?
    func payment(_ id: PaymentID) throws -> Payment?
    /// The response that is stored under the key. One past its lifetime at `now` counts as absent, whether it was removed or not.
    func answer(for key: IdempotencyKey, at now: Instant) throws -> StoredResponseLookup
    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    func lastEventID() throws -> EventID
}

/// The books of one transaction: its rows by key, and every way to change them.
///
/// Two kinds conform: SQLite's run a statement for each call, and those of an engine across a network hold the rows of a whole group in
/// memory. So each method names one row, reads and writes nothing else, and no method is a query. A row that was changed or added is
/// read as it is now.
///
/// A write that changes a row "if" something holds returns whether it did; the others take for granted that the use case has read the
/// row before.
package protocol Books: Rows {
    var rules: StoreRules { get }
    /// The present time for a use case that was asked for at `now`. It is later by as long as the use case has waited where other services
    /// decide beside this one: what they have refused as too late must not succeed afterwards.
    func decisionTime(_ now: Instant) -> Instant
    /// Rises with each write, see ``UseCase/decide(_:)``.
    var writeCount: Int { get }

    // MARK: Users and money

    /// Whether the user's creation has committed. Answered without the user's row, because ids are dense: it is in no needs.
    func userExists(_ id: UserID) -> Bool
    func insertUser(name: String, at now: Instant) throws -> UserID
    /// Moves money and the user's balance together: the only place where a balance changes.
    ///
    /// Requires a positive amount: for an amount of 0, callers write no transfer.
    @discardableResult
    func transfer(
        _ movement: Movement, user: UserID, amount: Won, balanceAfter: Won, orderID: OrderID?, at now: Instant
    ) throws -> EntryID
    func insertCharge(of user: UserID, amount: Won, transfer: EntryID, at now: Instant) throws -> ChargeID

    // MARK: Products

    /// - Parameter folded: the name as searches compare it.
    func insertProduct(name: String, folded: String, price: Won, stock: Int64, at now: Instant) throws -> ProductID
    /// Gives the product its new name, price and stock.
    func update(_ product: Product, folded: String) throws
    /// Holds units for a pending order; they stay in the stock on hand.
    func hold(_ units: Int64, of product: ProductID) throws
    /// Frees held units.
    func release(_ units: Int64, of product: ProductID) throws
    /// Takes held units, which are sold now, out of the stock.
    func takeHeld(_ units: Int64, of product: ProductID) throws
    /// Takes units that were not held before out of the stock.
    func take(_ units: Int64, of product: ProductID) throws
    /// Puts refunded units back into the stock.
    func putBack(_ units: Int64, of product: ProductID) throws

    // MARK: Campaigns

    func insertCampaign(_ terms: CampaignTerms, epoch: Int64, at now: Instant) throws -> CouponID
    /// Changes quantity and window; an archived campaign becomes live again.
    func changeTerms(of campaign: CouponID, to terms: CampaignTerms) throws
    func setEpoch(of campaign: CouponID, to epoch: Int64) throws
    /// How far the campaign is archived; nil where there is no such campaign.
    func archival(of campaign: CouponID) throws -> Archival?
    /// Begins to archive the campaign under a later epoch.
    func beginArchiving(_ campaign: CouponID, epoch: Int64, at now: Instant) throws
    func finishArchiving(_ campaign: CouponID) throws
    /// Adds hashes to the campaign's chain, whose head the use case has read.
    func seal(_ growth: ChainGrowth, of campaign: CouponID) throws
    /// Adds to the campaign's number of issued coupons.
    func addIssued(_ count: Int64, to campaign: CouponID) throws

    // MARK: Issued coupons

    /// Adds the row of a claim; nil where the user has a coupon of the campaign or the sequence is another's, and then nothing changes.
    func insertIssuedCoupon(_ claim: Claim, code: CouponCode, expiresAt: Instant) throws -> IssuedCouponID?
    /// Holds the coupon for a pending order.
    func hold(_ coupon: IssuedCouponID, for order: OrderID) throws
    /// Marks the coupon as used by a paid order.
    func use(_ coupon: IssuedCouponID, on order: OrderID, at now: Instant) throws
    /// Makes the coupon usable again if the order still holds or used it; otherwise changes nothing.
    func giveBack(_ coupon: IssuedCouponID, from order: OrderID) throws
    /// Whether the coupon's campaign promises that a full refund gives it back; false where there is no such coupon.
    func comesBackOnRefund(_ coupon: IssuedCouponID) throws -> Bool

    // MARK: Orders

    /// The next number of the business day; two orders never get the same.
    func nextOrderNumber(of day: BusinessDay) throws -> OrderNumber
    /// Adds an order and its lines.
    func insertOrder(_ order: NewOrder) throws -> OrderID
    /// Changes an order's status, which the use case has just read.
    func move(_ order: OrderID, from old: Order.Status, to new: Order.Status) throws
    /// Makes a pending order, which the use case has just read, a paid one.
    func markPaid(_ order: OrderID, at now: Instant) throws
    /// The units of each line that were not refunded yet; lines without any are left out.
    func unitsLeft(of order: OrderID) throws -> [ProductID: Int64]

    // MARK: Payments

    func insertPayment(of order: Order, balanceAfter: Won, saleDay: BusinessDay, at now: Instant) throws -> PaymentID
    /// The business day of the sale, from which a refund subtracts the units.
    func saleDay(of payment: PaymentID) throws -> BusinessDay
    /// Adds a refund and its lines, and notes the units in the order's lines and the total in the payment.
    ///
    /// - Parameter refunded: what was refunded of the payment altogether.
    func insertRefund(of payment: Payment, items: [RequestedItem], amount: Won, refunded: Won, at now: Instant) throws -> RefundID

    // MARK: Events

    /// Appends an event with the next id, and renders its payload with that id.
    func appendEvent(_ event: NewEvent, payload: (EventID) -> String) throws
    func event(_ id: EventID) throws -> EventRecord?
    func eventHead(_ id: EventID) throws -> EventHead?
    /// Changes how far the event's message has come, if its delivery is one of `states`; returns whether it was.
    func changeDelivery(of event: EventID, if states: DeliveryStates, to change: DeliveryChange) throws -> Bool
    /// Whether the lease of the duties is still of that term, which it is then until the transaction ends.
    func isHeld(_ duty: DutyMark) throws -> Bool
    /// How far old events were removed.
    func prunedEvents() throws -> PrunedEvents
    /// Removes the events after `old` through `new` with their units, and notes that.
    func pruneEvents(from old: PrunedEvents, to new: PrunedEvents) throws

    // MARK: Admin log

    /// Appends an entry with the next id. Ids have no gap and rise in the order of the commits.
    func append(_ entry: NewAdminLogEntry) throws

    // MARK: Grants

    func grant(_ id: GrantID) throws -> Grant?
    /// Adds a grant whose list is being received and has no users yet.
    func insertGrant(of campaign: CouponID, by actor: String, lastCouponBefore last: IssuedCouponID, at now: Instant) throws -> Grant
    /// Gives the grant its new state, counters and place.
    func update(_ grant: Grant) throws
    func insertChunk(_ chunk: GrantChunk, of grant: GrantID) throws
    func setOutcomes(_ outcomes: [GrantOutcome], ofChunk position: Int64, of grant: GrantID) throws
    /// Removes the chunks from that position on.
    func removeChunks(of grant: GrantID, from position: Int64) throws
    /// Removes a grant that has no chunks.
    func removeGrant(_ id: GrantID) throws

    // MARK: Stored responses

    func keep(_ answer: StoredResponse, under key: IdempotencyKey, at now: Instant) throws
    /// Removes the response stored under the key, if it was stored before the instant; returns whether it was.
    func removeAnswer(under key: IdempotencyKey, storedBefore instant: Instant) throws -> Bool
}

/// An order that is to be written, with its number.
package struct NewOrder: Sendable {
    package let draft: OrderDraft
    package let number: OrderNumber
    package let status: Order.Status
    package let createdAt: Instant
    package let expiresAt: Instant
    package let paidAt: Instant?
}

/// An event that is to be appended to the outbox.
package struct NewEvent: Sendable {
    package let kind: OrderEvent.Kind
    package let order: OrderID
    /// The business day of the sale.
    package let saleDay: BusinessDay
    /// What the event adds to the scores of that day.
    package let units: [ProductUnits]
    package let occurredAt: Instant
    /// The trace of the request that causes the event; nil without one.
    package let trace: TraceParent?
}

/// How far a campaign is archived; raw values as stored.
package enum Archival: Int64, Sendable {
    case live = 0
    /// Its gate is being removed from Redis.
    case begun = 1
    case done = 2
}

/// A set of delivery states of events.
package struct DeliveryStates: OptionSet, Sendable {
    package let rawValue: Int64

    package init(rawValue: Int64) { self.rawValue = rawValue }

    package init(_ state: OrderEvent.Delivery) { rawValue = 1 << state.rawValue }

    package static let waiting = DeliveryStates(.waiting)
    package static let delivered = DeliveryStates(.delivered)
    package static let parked = DeliveryStates(.parked)
}

/// A step in the delivery of an event.
package enum DeliveryChange: Sendable, Equatable {
    case delivered
    /// An attempt failed, and will be repeated.
    case failed(nextAttemptAt: Instant, error: String)
    /// The last attempt failed: the event waits for an operator.
    case parked(error: String)
    /// The event is due at once and has all its attempts.
    case again(at: Instant)
}

extension Books {
    /// One service alone decides in the order in which it was asked.
    package func decisionTime(_ now: Instant) -> Instant { now }
}
