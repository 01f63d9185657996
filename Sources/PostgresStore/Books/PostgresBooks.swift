import Commerce
import Store

/// The books of one group: its rows in memory. What its use cases write is sent as arrays after all of them have decided.
///
/// Only the thread of a lane touches them.
final class PostgresBooks: Books, WorkingSetReading {
    let rules: StoreRules
    var held: WorkingSet
    var ids: GroupIDs
    /// Numbers of the lane's blocks; they are given back where the group is rolled back.
    var orderNumbers: OrderNumbers
    private(set) var writeCount = 0
    /// How long the present use case has waited since its request began.
    var waited = Duration.zero

    /// Rows that the group adds and no use case reads.
    var transfers: [(id: Int64, row: TransferRow)] = []
    var charges: [(id: Int64, row: ChargeRow)] = []
    var refunds: [(id: Int64, row: RefundRow)] = []
    var adminLog: [NewAdminLogEntry] = []
    var grantWrites = GrantWrites()
    /// The responses to store, and the keys of those to remove with the instant before which they were stored.
    var newAnswers: [AnswerKey: AnswerRow] = [:]
    var removedAnswers: [AnswerKey: Instant] = [:]
    /// Hashes that are added to the chains of campaigns.
    var chainPieces: [(campaign: Int64, piece: ChainBlock)] = []
    var pruning: (from: PrunedEvents, to: PrunedEvents)?
    /// Whether events wait again that were parked or delivered.
    private(set) var retriesEvents = false
    /// Users that the group adds get the next numbers.
    private(set) var newestUser: Int64?
    /// What becomes due by the group, see ``DueWorkListeners``.
    private(set) var firstExpiry: Instant?
    /// Campaigns, coupons and products of which copies are outdated once the group is committed.
    var outdated: [(id: Int64, table: RowVersions.Table)] = []

    init(_ rules: StoreRules, _ held: WorkingSet, _ ids: GroupIDs, _ orderNumbers: OrderNumbers) {
        (self.rules, self.held, self.ids, self.orderNumbers) = (rules, held, ids, orderNumbers)
    }

    /// Whether the group changes anything.
    var hasWrites: Bool { writeCount > 0 }

    /// How many rows the group adds to each table that statements read.
    var added: [Int] {
        [
            held.users.added.count, held.products.added.count, held.campaigns.added.count, held.issuedCoupons.added.count,
            held.orders.added.count, held.payments.added.count, held.events.added.count, newAnswers.count,
        ]
    }

    func decisionTime(_ now: Instant) -> Instant { now.advanced(byMilliseconds: Int64(waited / .milliseconds(1))) ?? now }

    func wrote() { writeCount += 1 }
}

// MARK: - Users and money

extension PostgresBooks {
    func userExists(_ id: UserID) -> Bool { id.rawValue >= 1 && id.rawValue <= held.userCount ?? 0 }

    func insertUser(name: String, at now: Instant) throws -> UserID {
        guard let count = held.userCount else { throw RowTable<UserRow>.miss("one more new user") }
        wrote()
        let id = (newestUser ?? count) + 1
        newestUser = id
        held.users.add(id, UserRow(name: name, balance: .zero, balanceUpdatedAt: nil, createdAt: now))
        return UserID(id)
    }

    func transfer(
        _ movement: Movement, user: UserID, amount: Won, balanceAfter: Won, orderID: OrderID?, at now: Instant
    ) throws -> EntryID {
        wrote()
        try held.users.change(user.rawValue) { row in (row.balance, row.balanceUpdatedAt) = (balanceAfter, now) }
        outdated.append((user.rawValue, .users))
        let id = try ids.transfers.next("transfer")
        let row = TransferRow(movement: movement, user: user, amount: amount, balanceAfter: balanceAfter, order: orderID, at: now)
        transfers.append((id, row))
        return EntryID(id)
    }

    func insertCharge(of user: UserID, amount: Won, transfer: EntryID, at now: Instant) throws -> ChargeID {
        wrote()
        let id = try ids.charges.next("charge")
        charges.append((id, ChargeRow(user: user, amount: amount, transfer: transfer, at: now)))
        return ChargeID(id)
    }
}

// MARK: - Products

extension PostgresBooks {
    func insertProduct(name: String, folded: String, price: Won, stock: Int64, at now: Instant) throws -> ProductID {
        wrote()
        let id = try ids.products.next("product")
        held.products.add(id, ProductRow(name: name, folded: folded, price: price, stock: stock, held: 0, createdAt: now))
        return ProductID(id)
    }

    func update(_ product: Product, folded: String) throws {
        try change(product.id) { row in
            if row.name != product.name { (row.name, row.folded) = (product.name, folded) }
            (row.price, row.stock) = (product.price, product.stock)
        }
    }

    func hold(_ units: Int64, of product: ProductID) throws { try change(product) { $0.held += units } }
    func release(_ units: Int64, of product: ProductID) throws { try change(product) { $0.held -= units } }
    func takeHeld(_ units: Int64, of product: ProductID) throws {
        try change(product) { ($0.stock, $0.held) = ($0.stock - units, $0.held - units) }
    }
    func take(_ units: Int64, of product: ProductID) throws { try change(product) { $0.stock -= units } }
    func putBack(_ units: Int64, of product: ProductID) throws { try change(product) { $0.stock += units } }

    private func change(_ product: ProductID, _ body: (inout ProductRow) -> Void) throws {
        wrote()
        try held.products.change(product.rawValue, body)
        outdated.append((product.rawValue, .products))
    }
}

// MARK: - Campaigns

extension PostgresBooks {
    func insertCampaign(_ terms: CampaignTerms, epoch: Int64, at now: Instant) throws -> CouponID {
        wrote()
        let id = try ids.campaigns.next("campaign")
        let row = CampaignRow(terms: terms, issued: 0, createdAt: now, epoch: epoch, archival: .live, archivedAt: nil)
        held.campaigns.add(id, row)
        return CouponID(id)
    }

    func changeTerms(of campaign: CouponID, to terms: CampaignTerms) throws {
        try change(campaign) { row in
            (row.terms.quantity, row.terms.opensAt, row.terms.closesAt) = (terms.quantity, terms.opensAt, terms.closesAt)
            (row.archival, row.archivedAt) = (.live, nil)
        }
    }

    func setEpoch(of campaign: CouponID, to epoch: Int64) throws { try change(campaign) { $0.epoch = epoch } }

    func archival(of campaign: CouponID) throws -> Archival? { try held.campaigns.find(campaign.rawValue)?.archival }

    func beginArchiving(_ campaign: CouponID, epoch: Int64, at now: Instant) throws {
        try change(campaign) { ($0.archival, $0.archivedAt, $0.epoch) = (.begun, now, epoch) }
    }

    func finishArchiving(_ campaign: CouponID) throws {
        wrote()
        try held.campaigns.change(campaign.rawValue) { $0.archival = .done }
    }

    func addIssued(_ count: Int64, to campaign: CouponID) throws {
        wrote()
        try held.campaigns.change(campaign.rawValue) { $0.issued += count }
    }

    func seal(_ growth: ChainGrowth, of campaign: CouponID) throws {
        wrote()
        try held.campaigns.change(campaign.rawValue) { $0.chain = growth.head }
        for piece in growth.pieces {
            // One statement may not change a row twice.
            if let index = chainPieces.firstIndex(where: { $0.campaign == campaign.rawValue && $0.piece.number == piece.number }) {
                chainPieces[index].piece.hashes += piece.hashes
            } else {
                chainPieces.append((campaign.rawValue, piece))
            }
        }
    }

    private func change(_ campaign: CouponID, _ body: (inout CampaignRow) -> Void) throws {
        wrote()
        try held.campaigns.change(campaign.rawValue, body)
        outdated.append((campaign.rawValue, .campaigns))
    }
}

// MARK: - Issued coupons

extension PostgresBooks {
    func insertIssuedCoupon(_ claim: Claim, code: CouponCode, expiresAt: Instant) throws -> IssuedCouponID? {
        let owner = CouponOwner(campaign: claim.couponID, user: claim.userID)
        let sequence = CampaignSequence(campaign: claim.couponID, sequence: claim.sequence)
        guard let owned = held.owners[owner], let isTaken = held.sequences[sequence] else {
            throw RowTable<IssuedCouponRow>.miss("campaign \(claim.couponID), user \(claim.userID), sequence \(claim.sequence)")
        }
        if owned != nil || isTaken { return nil }
        let terms = try held.campaigns.row(claim.couponID.rawValue).terms
        wrote()
        let id = try ids.issuedCoupons.next("issued coupon")
        let promise = IssuedCouponRow.Promise(
            name: terms.name, discount: terms.discount, minOrderAmount: terms.minOrderAmount, comesBackOnRefund: terms.restoreOnRefund)
        held.issuedCoupons.add(
            id,
            IssuedCouponRow(
                code: code, campaign: claim.couponID, user: claim.userID, promise: promise, sequence: claim.sequence, state: .issued,
                issuedAt: claim.issuedAt, expiresAt: expiresAt))
        held.owners[owner] = id
        held.sequences[sequence] = true
        return IssuedCouponID(id)
    }

    func hold(_ coupon: IssuedCouponID, for order: OrderID) throws { try change(coupon) { ($0.state, $0.order) = (.held, order) } }

    func use(_ coupon: IssuedCouponID, on order: OrderID, at now: Instant) throws {
        try change(coupon) { ($0.state, $0.order, $0.usedAt) = (.used, order, now) }
    }

    func giveBack(_ coupon: IssuedCouponID, from order: OrderID) throws {
        guard try held.issuedCoupons.find(coupon.rawValue)?.order == order else { return }
        try change(coupon) { ($0.state, $0.order, $0.usedAt) = (.issued, nil, nil) }
    }

    func comesBackOnRefund(_ coupon: IssuedCouponID) throws -> Bool {
        try held.issuedCoupons.find(coupon.rawValue)?.promise.comesBackOnRefund ?? false
    }

    private func change(_ coupon: IssuedCouponID, _ body: (inout IssuedCouponRow) -> Void) throws {
        wrote()
        try held.issuedCoupons.change(coupon.rawValue, body)
        outdated.append((coupon.rawValue, .issuedCoupons))
    }
}

// MARK: - Orders

extension PostgresBooks {
    func nextOrderNumber(of day: BusinessDay) throws -> OrderNumber {
        wrote()
        return try orderNumbers.next(of: day)
    }

    func insertOrder(_ order: NewOrder) throws -> OrderID {
        wrote()
        let id = try ids.orders.next("order")
        let draft = order.draft
        held.orders.add(
            id,
            OrderRow(
                number: order.number, user: draft.userID, status: order.status, total: draft.total, discount: draft.discount,
                coupon: draft.issuedCouponID, createdAt: order.createdAt, expiresAt: order.expiresAt, paidAt: order.paidAt,
                lines: draft.lines.map { OrderLineRow(line: $0) }))
        if order.status == .pending { firstExpiry = min(firstExpiry ?? order.expiresAt, order.expiresAt) }
        return OrderID(id)
    }

    func move(_ order: OrderID, from old: Order.Status, to new: Order.Status) throws {
        try change(order, in: old) { $0.status = new }
    }

    func markPaid(_ order: OrderID, at now: Instant) throws {
        try change(order, in: .pending) { ($0.status, $0.paidAt) = (.paid, now) }
    }

    private func change(_ order: OrderID, in status: Order.Status, _ body: (inout OrderRow) -> Void) throws {
        wrote()
        try held.orders.change(order.rawValue) { row in
            guard row.status == status else { throw StoreError(.internal, "an order was not in the status just read") }
            body(&row)
        }
    }

    func unitsLeft(of order: OrderID) throws -> [ProductID: Int64] {
        let lines = try held.orders.find(order.rawValue)?.lines ?? []
        return Dictionary(
            lines.lazy.filter { $0.line.quantity > $0.refunded }.map { ($0.line.productID, $0.line.quantity - $0.refunded) },
            uniquingKeysWith: +)
    }
}

// MARK: - Payments

extension PostgresBooks {
    func insertPayment(of order: Order, balanceAfter: Won, saleDay: BusinessDay, at now: Instant) throws -> PaymentID {
        wrote()
        let id = try ids.payments.next("payment")
        held.payments.add(
            id,
            PaymentRow(
                order: order.id, number: order.number, user: order.userID, amount: order.finalAmount, balanceAfter: balanceAfter,
                paidAt: now, saleDay: saleDay))
        return PaymentID(id)
    }

    func saleDay(of payment: PaymentID) throws -> BusinessDay { try held.payments.row(payment.rawValue).saleDay }

    func insertRefund(of payment: Payment, items: [RequestedItem], amount: Won, refunded: Won, at now: Instant) throws -> RefundID {
        wrote()
        let id = try ids.refunds.next("refund")
        refunds.append((id, RefundRow(payment: payment.id, amount: amount, at: now, items: items)))
        try held.payments.change(payment.id.rawValue) { $0.refunded = refunded }
        try held.orders.change(payment.orderID.rawValue) { order in
            for item in items {
                for index in order.lines.indices where order.lines[index].line.productID == item.productID {
                    order.lines[index].refunded += item.quantity
                    order.lines[index].isChanged = true
                }
            }
        }
        return RefundID(id)
    }
}

// MARK: - Events and stored responses

extension PostgresBooks {
    func appendEvent(_ event: NewEvent, payload: (EventID) -> String) throws {
        wrote()
        let id = try ids.events.next("event")
        held.events.add(
            id,
            EventRow(
                kind: event.kind, order: event.order, occurredAt: event.occurredAt, saleDay: event.saleDay, payload: payload(EventID(id)),
                nextAttemptAt: event.occurredAt, trace: event.trace, units: event.units))
    }

    func event(_ id: EventID) throws -> EventRecord? {
        try held.events.find(id.rawValue).map { row in
            EventRecord(
                event: OrderEvent(
                    id: id, kind: row.kind, orderID: row.order, occurredAt: row.occurredAt, saleDay: row.saleDay, units: row.units,
                    payload: row.payload),
                delivery: row.delivery, attempts: row.attempts, nextAttemptAt: row.nextAttemptAt, lastError: row.lastError)
        }
    }

    func eventHead(_ id: EventID) throws -> EventHead? {
        try held.events.find(id.rawValue).map { EventHead(kind: $0.kind, delivery: $0.delivery, occurredAt: $0.occurredAt) }
    }

    func changeDelivery(of event: EventID, if states: DeliveryStates, to change: DeliveryChange) throws -> Bool {
        guard let row = try held.events.find(event.rawValue), states.contains(DeliveryStates(row.delivery)) else { return false }
        wrote()
        if case .again = change { retriesEvents = true }
        try held.events.change(event.rawValue) { row in
            switch change {
            case .delivered: (row.delivery, row.lastError) = (.delivered, nil)
            case .failed(let nextAttemptAt, let error):
                (row.attempts, row.nextAttemptAt, row.lastError) = (row.attempts + 1, nextAttemptAt, error)
            case .parked(let error): (row.delivery, row.attempts, row.lastError) = (.parked, row.attempts + 1, error)
            case .again(let instant): (row.delivery, row.attempts, row.nextAttemptAt) = (.waiting, 0, instant)
            }
        }
        return true
    }

    func isHeld(_ duty: DutyMark) throws -> Bool {
        guard let present = held.duty else { throw RowTable<EventRow>.miss("the lease of the duties") }
        return present == duty
    }

    func prunedEvents() throws -> PrunedEvents {
        guard let outbox = held.outbox else { throw RowTable<EventRow>.miss("how far events were removed") }
        return outbox.pruned
    }

    func pruneEvents(from old: PrunedEvents, to new: PrunedEvents) throws {
        guard let outbox = held.outbox else { throw RowTable<EventRow>.miss("how far events were removed") }
        wrote()
        pruning = (pruning?.from ?? old, new)
        held.outbox = (outbox.newest, new)
    }

    func append(_ entry: NewAdminLogEntry) throws {
        wrote()
        adminLog.append(entry)
    }

    func keep(_ answer: StoredResponse, under key: IdempotencyKey, at now: Instant) throws {
        wrote()
        let row = AnswerRow(fingerprint: key.fingerprint, status: Int64(answer.status), body: answer.body, createdAt: now)
        let place = AnswerKey(key)
        // One that is past its lifetime is still there: the primary key would refuse the new one beside it.
        if case .some(.some(let old)) = held.answers[place] {
            removedAnswers[place] = Instant(milliseconds: old.createdAt.milliseconds + 1)
        }
        held.answers[place] = row
        newAnswers[place] = row
    }

    func removeAnswer(under key: IdempotencyKey, storedBefore instant: Instant) throws -> Bool {
        guard let found = held.answers[AnswerKey(key)] else { throw RowTable<AnswerRow>.miss("the response under a key") }
        guard let row = found, row.createdAt < instant else { return false }
        wrote()
        held.answers[AnswerKey(key)] = .some(nil)
        removedAnswers[AnswerKey(key)] = instant
        newAnswers[AnswerKey(key)] = nil
        return true
    }
}
