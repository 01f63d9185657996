import Commerce
import Store

/// The rows that the use cases or look-ups of a group need together, each once.
struct GroupNeeds {
    var users: Set<Int64> = []
    var products: Set<Int64> = []
    var campaigns: Set<Int64> = []
    var issuedCoupons: Set<Int64> = []
    var owners: Set<CouponOwner> = []
    var sequences: Set<CampaignSequence> = []
    var orders: Set<Int64> = []
    var payments: Set<Int64> = []
    var events: Set<Int64> = []
    var grants: Set<Int64> = []
    var answers: Set<AnswerKey> = []
    var outboxBounds = false
    var duty = false
    /// How many orders are numbered on each day at most.
    var orderNumbers: [BusinessDay: Int] = [:]
    var new = NewRows()

    /// Whether the number of users is read: whoever claims a coupon must be one.
    var userCount: Bool { !owners.isEmpty }

    init() {}

    /// - Parameter calendar: nil for a look-up, which numbers no order.
    mutating func add(_ needs: Needs, calendar: BusinessCalendar? = nil) {
        users.formUnion(needs.users.lazy.map(\.rawValue))
        products.formUnion(needs.products.lazy.map(\.rawValue))
        campaigns.formUnion(needs.campaigns.lazy.map(\.rawValue))
        issuedCoupons.formUnion(needs.issuedCoupons.lazy.map(\.rawValue))
        owners.formUnion(needs.ownedCoupons)
        sequences.formUnion(needs.sequences)
        orders.formUnion(needs.orders.lazy.map(\.rawValue))
        payments.formUnion(needs.payments.lazy.map(\.rawValue))
        events.formUnion(needs.events.lazy.map(\.rawValue))
        grants.formUnion(needs.grants.lazy.map(\.rawValue))
        answers.formUnion(needs.answers.lazy.map { AnswerKey($0) })
        if needs.outboxBounds { outboxBounds = true }
        if needs.duty != nil { duty = true }
        if let instant = needs.orderNumbersAt, let calendar { orderNumbers[calendar.day(of: instant), default: 0] += needs.new.orders }
        new.add(needs.new)
    }
}

/// Under what a response is stored.
struct AnswerKey: Hashable, Sendable {
    let scope: String
    let key: String

    init(_ key: IdempotencyKey) { (scope, self.key) = (key.scope, key.key) }
    init(scope: String, key: String) { (self.scope, self.key) = (scope, key) }
}

extension NewRows {
    mutating func add(_ more: NewRows) {
        users += more.users
        transfers += more.transfers
        charges += more.charges
        products += more.products
        campaigns += more.campaigns
        issuedCoupons += more.issuedCoupons
        orders += more.orders
        payments += more.payments
        refunds += more.refunds
        events += more.events
        adminLogEntries += more.adminLogEntries
        grants += more.grants
    }

    /// In the order of ``PostgresTables/sequences``. Users and the admin log are not among them: their ids are counted.
    var fromSequences: [Int] { [transfers, charges, products, campaigns, issuedCoupons, orders, payments, refunds, events, grants] }
}
