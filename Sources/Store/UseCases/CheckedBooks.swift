#if DEBUG

import Commerce

/// Books that report each access to a row that is not in the needs of the use case, and each row too many that it adds.
///
/// SQLite reads any row when it is asked for, so there an incomplete ``Needs`` would go unnoticed; books that hold the rows of a group in
/// memory would miss the row. Debug builds therefore run every use case on these, and a report ends the process.
final class CheckedBooks<Base: Books>: Books {
    private let base: Base
    private let needs: Needs
    private let answers: Set<IdempotencyKey>
    /// Rows that were added or found by another key since the use case began.
    private var added = Added()
    /// Rows that follow from those in the needs; read when the first row is missed.
    private var followers: Needs?
    private let report: (String) -> Void

    private struct Added {
        var rows = NewRows()
        var users: Set<UserID> = []
        var products: Set<ProductID> = []
        var campaigns: Set<CouponID> = []
        var issuedCoupons: Set<IssuedCouponID> = []
        var orders: Set<OrderID> = []
        var payments: Set<PaymentID> = []
        var grants: Set<GrantID> = []
    }

    /// - Parameter key: under which the response of the write may be stored.
    init(
        _ base: Base, needs: Needs, key: IdempotencyKey? = nil,
        report: @escaping (String) -> Void = { preconditionFailure("the needs of a use case are incomplete: \($0)") }
    ) {
        (self.base, self.needs, self.report) = (base, needs, report)
        answers = Set(needs.answers + (key.map { [$0] } ?? []))
    }

    var rules: StoreRules { base.rules }
    var writeCount: Int { base.writeCount }
}

extension SQLiteBooks {
    /// The books on which a debug build runs the use case.
    func checked(_ useCase: some UseCase, and key: IdempotencyKey? = nil) -> CheckedBooks<SQLiteBooks> {
        CheckedBooks(self, needs: useCase.needs, key: key)
    }
}

// MARK: - The check

extension CheckedBooks {
    private func check(_ id: UserID) { check(id, \.users, added.users) }
    private func check(_ id: ProductID) { check(id, \.products, added.products) }
    private func check(_ id: CouponID) { check(id, \.campaigns, added.campaigns) }
    private func check(_ id: IssuedCouponID) { check(id, \.issuedCoupons, added.issuedCoupons) }
    private func check(_ id: OrderID) { check(id, \.orders, added.orders) }
    private func check(_ id: PaymentID) { check(id, \.payments, added.payments) }
    private func check(_ id: GrantID) { check(id, \.grants, added.grants) }
    private func check(_ id: EventID) { check(id, \.events, []) }

    private func check<Entity>(_ id: Identifier<Entity>, _ named: KeyPath<Needs, [Identifier<Entity>]>, _ known: Set<Identifier<Entity>>) {
        if needs[keyPath: named].contains(id) || known.contains(id) { return }
        if following()[keyPath: named].contains(id) { return }
        report("\(Entity.self) \(id)")
    }

    /// The rows that follow from the needs, see ``Needs``. A malformed row has no followers.
    private func following() -> Needs {
        if let followers { return followers }
        var found = Needs()
        for id in needs.payments {
            guard let payment = try? base.payment(id) else { continue }
            found.orders.append(payment.orderID)
            found.users.append(payment.userID)
        }
        for id in needs.orders + found.orders {
            guard let order = try? base.order(id) else { continue }
            found.products += order.lines.map(\.productID)
            if let coupon = order.issuedCouponID { found.issuedCoupons.append(coupon) }
        }
        followers = found
        return found
    }

    private func check(_ key: IdempotencyKey) {
        if !answers.contains(key) { report("the response under a key") }
    }

    private func check(_ condition: Bool, _ what: String) {
        if !condition { report(what) }
    }

    private func adding(_ rows: WritableKeyPath<NewRows, Int>, _ what: String) {
        added.rows[keyPath: rows] += 1
        check(added.rows[keyPath: rows] <= needs.new[keyPath: rows], "one more new \(what)")
    }
}

// MARK: - Rows

extension CheckedBooks {
    func user(_ id: UserID) throws -> User? {
        check(id)
        return try base.user(id)
    }

    func balance(of id: UserID) throws -> Balance? {
        check(id)
        return try base.balance(of: id)
    }

    func product(_ id: ProductID) throws -> Product? {
        check(id)
        return try base.product(id)
    }

    func campaign(_ id: CouponID) throws -> Campaign? {
        check(id)
        return try base.campaign(id)
    }

    func issuedCoupon(_ id: IssuedCouponID) throws -> IssuedCoupon? {
        check(id)
        return try base.issuedCoupon(id)
    }

    func issuedCoupon(of campaign: CouponID, userID: UserID) throws -> IssuedCoupon? {
        check(
            needs.ownedCoupons.contains(CouponOwner(campaign: campaign, user: userID)), "the coupon of campaign \(campaign), user \(userID)"
        )
        let coupon = try base.issuedCoupon(of: campaign, userID: userID)
        if let coupon { added.issuedCoupons.insert(coupon.id) }
        return coupon
    }

    func order(_ id: OrderID) throws -> Order? {
        check(id)
        return try base.order(id)
    }

    func payment(_ id: PaymentID) throws -> Payment? {
        check(id)
        return try base.payment(id)
    }

    func answer(for key: IdempotencyKey, at now: Instant) throws -> StoredResponseLookup {
        check(key)
        return try base.answer(for: key, at: now)
    }

    func lastEventID() throws -> EventID {
        check(needs.outboxBounds, "the newest event")
        return try base.lastEventID()
    }
}

// MARK: - Users, products and campaigns

extension CheckedBooks {
    func userExists(_ id: UserID) -> Bool { base.userExists(id) }

    func insertUser(name: String, at now: Instant) throws -> UserID {
        adding(\.users, "user")
        let id = try base.insertUser(name: name, at: now)
        added.users.insert(id)
        return id
    }

    func transfer(
        _ movement: Movement, user: UserID, amount: Won, balanceAfter: Won, orderID: OrderID?, at now: Instant
    ) throws -> EntryID {
        check(user)
        adding(\.transfers, "transfer")
        return try base.transfer(movement, user: user, amount: amount, balanceAfter: balanceAfter, orderID: orderID, at: now)
    }

    func insertCharge(of user: UserID, amount: Won, transfer: EntryID, at now: Instant) throws -> ChargeID {
        adding(\.charges, "charge")
        return try base.insertCharge(of: user, amount: amount, transfer: transfer, at: now)
    }

    func insertProduct(name: String, folded: String, price: Won, stock: Int64, at now: Instant) throws -> ProductID {
        adding(\.products, "product")
        let id = try base.insertProduct(name: name, folded: folded, price: price, stock: stock, at: now)
        added.products.insert(id)
        return id
    }

    func update(_ product: Product, folded: String) throws {
        check(product.id)
        try base.update(product, folded: folded)
    }

    func hold(_ units: Int64, of product: ProductID) throws {
        check(product)
        try base.hold(units, of: product)
    }

    func release(_ units: Int64, of product: ProductID) throws {
        check(product)
        try base.release(units, of: product)
    }

    func takeHeld(_ units: Int64, of product: ProductID) throws {
        check(product)
        try base.takeHeld(units, of: product)
    }

    func take(_ units: Int64, of product: ProductID) throws {
        check(product)
        try base.take(units, of: product)
    }

    func putBack(_ units: Int64, of product: ProductID) throws {
        check(product)
        try base.putBack(units, of: product)
    }

    func insertCampaign(_ terms: CampaignTerms, epoch: Int64, at now: Instant) throws -> CouponID {
        adding(\.campaigns, "campaign")
        let id = try base.insertCampaign(terms, epoch: epoch, at: now)
        added.campaigns.insert(id)
        return id
    }

    func changeTerms(of campaign: CouponID, to terms: CampaignTerms) throws {
        check(campaign)
        try base.changeTerms(of: campaign, to: terms)
    }

    func setEpoch(of campaign: CouponID, to epoch: Int64) throws {
        check(campaign)
        try base.setEpoch(of: campaign, to: epoch)
    }

    func archival(of campaign: CouponID) throws -> Archival? {
        check(campaign)
        return try base.archival(of: campaign)
    }

    func beginArchiving(_ campaign: CouponID, epoch: Int64, at now: Instant) throws {
        check(campaign)
        try base.beginArchiving(campaign, epoch: epoch, at: now)
    }

    func finishArchiving(_ campaign: CouponID) throws {
        check(campaign)
        try base.finishArchiving(campaign)
    }

    func seal(_ growth: ChainGrowth, of campaign: CouponID) throws {
        check(campaign)
        try base.seal(growth, of: campaign)
    }

    func addIssued(_ count: Int64, to campaign: CouponID) throws {
        check(campaign)
        try base.addIssued(count, to: campaign)
    }
}

// MARK: - Coupons, orders and payments

extension CheckedBooks {
    func insertIssuedCoupon(_ claim: Claim, code: CouponCode, expiresAt: Instant) throws -> IssuedCouponID? {
        adding(\.issuedCoupons, "issued coupon")
        let wanted = CampaignSequence(campaign: claim.couponID, sequence: claim.sequence)
        check(needs.sequences.contains(wanted), "sequence \(claim.sequence) of campaign \(claim.couponID)")
        let owner = CouponOwner(campaign: claim.couponID, user: claim.userID)
        check(needs.ownedCoupons.contains(owner), "the coupon of campaign \(claim.couponID), user \(claim.userID)")
        let id = try base.insertIssuedCoupon(claim, code: code, expiresAt: expiresAt)
        if let id { added.issuedCoupons.insert(id) }
        return id
    }

    func hold(_ coupon: IssuedCouponID, for order: OrderID) throws {
        check(coupon)
        try base.hold(coupon, for: order)
    }

    func use(_ coupon: IssuedCouponID, on order: OrderID, at now: Instant) throws {
        check(coupon)
        try base.use(coupon, on: order, at: now)
    }

    func giveBack(_ coupon: IssuedCouponID, from order: OrderID) throws {
        check(coupon)
        try base.giveBack(coupon, from: order)
    }

    func comesBackOnRefund(_ coupon: IssuedCouponID) throws -> Bool {
        check(coupon)
        return try base.comesBackOnRefund(coupon)
    }

    func nextOrderNumber(of day: BusinessDay) throws -> OrderNumber {
        check(needs.orderNumbersAt.map { rules.calendar.day(of: $0) } == day, "an order number of that day")
        return try base.nextOrderNumber(of: day)
    }

    func insertOrder(_ order: NewOrder) throws -> OrderID {
        adding(\.orders, "order")
        let id = try base.insertOrder(order)
        added.orders.insert(id)
        return id
    }

    func move(_ order: OrderID, from old: Order.Status, to new: Order.Status) throws {
        check(order)
        try base.move(order, from: old, to: new)
    }

    func markPaid(_ order: OrderID, at now: Instant) throws {
        check(order)
        try base.markPaid(order, at: now)
    }

    func unitsLeft(of order: OrderID) throws -> [ProductID: Int64] {
        check(order)
        return try base.unitsLeft(of: order)
    }

    func insertPayment(of order: Order, balanceAfter: Won, saleDay: BusinessDay, at now: Instant) throws -> PaymentID {
        check(order.id)
        adding(\.payments, "payment")
        let id = try base.insertPayment(of: order, balanceAfter: balanceAfter, saleDay: saleDay, at: now)
        added.payments.insert(id)
        return id
    }

    func saleDay(of payment: PaymentID) throws -> BusinessDay {
        check(payment)
        return try base.saleDay(of: payment)
    }

    func insertRefund(of payment: Payment, items: [RequestedItem], amount: Won, refunded: Won, at now: Instant) throws -> RefundID {
        check(payment.id)
        check(payment.orderID)
        adding(\.refunds, "refund")
        return try base.insertRefund(of: payment, items: items, amount: amount, refunded: refunded, at: now)
    }
}

// MARK: - Grants

extension CheckedBooks {
    func grant(_ id: GrantID) throws -> Grant? {
        check(id)
        return try base.grant(id)
    }

    func insertGrant(of campaign: CouponID, by actor: String, lastCouponBefore last: IssuedCouponID, at now: Instant) throws -> Grant {
        check(campaign)
        adding(\.grants, "grant")
        let grant = try base.insertGrant(of: campaign, by: actor, lastCouponBefore: last, at: now)
        added.grants.insert(grant.id)
        return grant
    }

    func update(_ grant: Grant) throws {
        check(grant.id)
        try base.update(grant)
    }

    func insertChunk(_ chunk: GrantChunk, of grant: GrantID) throws {
        check(grant)
        try base.insertChunk(chunk, of: grant)
    }

    func setOutcomes(_ outcomes: [GrantOutcome], ofChunk position: Int64, of grant: GrantID) throws {
        check(grant)
        try base.setOutcomes(outcomes, ofChunk: position, of: grant)
    }

    func removeChunks(of grant: GrantID, from position: Int64) throws {
        check(grant)
        try base.removeChunks(of: grant, from: position)
    }

    func removeGrant(_ id: GrantID) throws {
        check(id)
        try base.removeGrant(id)
    }
}

// MARK: - Events and stored responses

extension CheckedBooks {
    func appendEvent(_ event: NewEvent, payload: (EventID) -> String) throws {
        check(event.order)
        adding(\.events, "event")
        try base.appendEvent(event, payload: payload)
    }

    func event(_ id: EventID) throws -> EventRecord? {
        check(id)
        return try base.event(id)
    }

    func eventHead(_ id: EventID) throws -> EventHead? {
        check(id)
        return try base.eventHead(id)
    }

    func changeDelivery(of event: EventID, if states: DeliveryStates, to change: DeliveryChange) throws -> Bool {
        check(event)
        return try base.changeDelivery(of: event, if: states, to: change)
    }

    func isHeld(_ duty: DutyMark) throws -> Bool {
        check(needs.duty == duty, "the lease of the duties")
        return try base.isHeld(duty)
    }

    func prunedEvents() throws -> PrunedEvents {
        check(needs.outboxBounds, "how far events were removed")
        return try base.prunedEvents()
    }

    func pruneEvents(from old: PrunedEvents, to new: PrunedEvents) throws {
        check(needs.outboxBounds, "how far events were removed")
        check(needs.events.contains(new.through), "the event through which the others are removed")
        try base.pruneEvents(from: old, to: new)
    }

    func append(_ entry: NewAdminLogEntry) throws {
        adding(\.adminLogEntries, "entry of the admin log")
        try base.append(entry)
    }

    func keep(_ answer: StoredResponse, under key: IdempotencyKey, at now: Instant) throws {
        check(key)
        try base.keep(answer, under: key, at: now)
    }

    func removeAnswer(under key: IdempotencyKey, storedBefore instant: Instant) throws -> Bool {
        check(key)
        return try base.removeAnswer(under: key, storedBefore: instant)
    }
}

#endif
