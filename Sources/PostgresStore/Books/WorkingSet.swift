import Commerce
import Store

/// The rows that a group of use cases or look-ups has asked for, as they were read and as its use cases have changed them.
struct WorkingSet {
    var users = RowTable<UserRow>("user")
    var products = RowTable<ProductRow>("product")
    var campaigns = RowTable<CampaignRow>("campaign")
    var issuedCoupons = RowTable<IssuedCouponRow>("issued coupon")
    var orders = RowTable<OrderRow>("order")
    var payments = RowTable<PaymentRow>("payment")
    var events = RowTable<EventRow>("event")
    var grants = RowTable<Grant>("grant")

    /// The coupons that the users have of the campaigns; nil where they have none.
    var owners: [CouponOwner: Int64?] = [:]
    /// Whether a coupon has the sequence.
    var sequences: [CampaignSequence: Bool] = [:]
    var answers: [AnswerKey: AnswerRow?] = [:]
    /// The place of the newest event and how far events were removed; nil where nobody has asked.
    var outbox: (newest: EventID, pruned: PrunedEvents)?
    /// The present term of the duties' lease; nil where nobody has asked.
    var duty: DutyMark?
    /// The number of users; nil where nobody has asked.
    var userCount: Int64?

    /// Notes what was asked for, with what follows from the rows that were found.
    mutating func ask(_ needs: GroupNeeds) {
        users.ask(needs.users)
        products.ask(needs.products)
        campaigns.ask(needs.campaigns)
        issuedCoupons.ask(needs.issuedCoupons)
        orders.ask(needs.orders)
        payments.ask(needs.payments)
        events.ask(needs.events)
        grants.ask(needs.grants)
        for owner in needs.owners { owners[owner] = .some(nil) }
        for sequence in needs.sequences { sequences[sequence] = false }
        for key in needs.answers { answers[key] = .some(nil) }
    }
}

/// Rows by key from a working set.
protocol WorkingSetReading: Rows {
    var held: WorkingSet { get }
}

extension WorkingSetReading {
    package func user(_ id: UserID) throws -> User? {
        try held.users.find(id.rawValue).map { User(id: id, name: $0.name, createdAt: $0.createdAt) }
    }

    package func balance(of id: UserID) throws -> Balance? {
        try held.users.find(id.rawValue).map { Balance(userID: id, amount: $0.balance, updatedAt: $0.balanceUpdatedAt) }
    }

    package func product(_ id: ProductID) throws -> Product? {
        try held.products.find(id.rawValue).map { row in
            Product(id: id, name: row.name, price: row.price, stock: row.stock, held: row.held, createdAt: row.createdAt)
        }
    }

    package func campaign(_ id: CouponID) throws -> Campaign? {
        try held.campaigns.find(id.rawValue).map { row in
            Campaign(
                id: id, terms: row.terms, issued: row.issued, createdAt: row.createdAt, epoch: row.epoch, isArchived: row.archival != .live,
                chain: row.chain)
        }
    }

    package func issuedCoupon(_ id: IssuedCouponID) throws -> IssuedCoupon? {
        try held.issuedCoupons.find(id.rawValue).map { row in
            IssuedCoupon(
                id: id, code: row.code, couponID: row.campaign, userID: row.user, name: row.promise.name, discount: row.promise.discount,
                minOrderAmount: row.promise.minOrderAmount, sequence: row.sequence, state: row.state, issuedAt: row.issuedAt,
                expiresAt: row.expiresAt, usedAt: row.usedAt, orderID: row.order)
        }
    }

    package func issuedCoupon(of campaign: CouponID, userID: UserID) throws -> IssuedCoupon? {
        guard let owned = held.owners[CouponOwner(campaign: campaign, user: userID)] else {
            throw RowTable<IssuedCouponRow>.miss("the coupon of campaign \(campaign), user \(userID)")
        }
        return try owned.flatMap { try issuedCoupon(IssuedCouponID($0)) }
    }

    package func order(_ id: OrderID) throws -> Order? {
        try held.orders.find(id.rawValue).map { row in
            Order(
                id: id, number: row.number, userID: row.user, storedStatus: row.status, lines: row.lines.map(\.line),
                totalAmount: row.total,
                discountAmount: row.discount, issuedCouponID: row.coupon, createdAt: row.createdAt, expiresAt: row.expiresAt,
                paidAt: row.paidAt)
        }
    }

    package func payment(_ id: PaymentID) throws -> Payment? {
        try held.payments.find(id.rawValue).map { row in
            Payment(
                id: id, orderID: row.order, orderNumber: row.number, userID: row.user, amount: row.amount, balance: row.balanceAfter,
                paidAt: row.paidAt, refundedAmount: row.refunded)
        }
    }

    package func answer(for key: IdempotencyKey, at now: Instant) throws -> StoredResponseLookup {
        guard let found = held.answers[AnswerKey(key)] else { throw RowTable<AnswerRow>.miss("the response under a key") }
        guard let row = found, row.createdAt.milliseconds > now.milliseconds - StoredResponse.lifetimeMilliseconds else { return .absent }
        guard row.fingerprint == key.fingerprint else { return .reused }
        return .stored(StoredResponse(status: Int(row.status), body: row.body))
    }

    package func lastEventID() throws -> EventID {
        guard let outbox = held.outbox else { throw RowTable<EventRow>.miss("the newest event") }
        return outbox.newest
    }
}

/// The rows of a group of look-ups.
struct PostgresRows: WorkingSetReading {
    let held: WorkingSet
}
