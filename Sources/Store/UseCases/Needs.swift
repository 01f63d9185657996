package import Commerce

/// The rows that a use case may read or change, by key, and how many rows it may add.
///
/// Rows that follow from these rows need not be named:
///
/// - a payment: its order, and the user who paid;
/// - an order: its lines, the products of these lines, and the issued coupon that it holds or used;
/// - an issued coupon: what its campaign promised when it was issued (name, discount, least amount, whether it comes back after a
///   refund), but not the campaign's row, whose number of issued coupons changes with each claim.
///
/// SQLite reads rows when they are asked for and does not look at the needs. Its debug builds check that they are complete, see
/// ``CheckedBooks``.
package struct Needs: Sendable, Equatable {
    package var users: [UserID] = []
    package var products: [ProductID] = []
    package var campaigns: [CouponID] = []
    package var issuedCoupons: [IssuedCouponID] = []
    /// Issued coupons by campaign and user; whether there are such is not known.
    package var ownedCoupons: [CouponOwner] = []
    /// Sequences of campaigns that new issued coupons are to get; whether they are taken is not known.
    package var sequences: [CampaignSequence] = []
    package var orders: [OrderID] = []
    package var payments: [PaymentID] = []
    package var events: [EventID] = []
    /// Their chunks are named by position when they are written, and no use case reads one.
    package var grants: [GrantID] = []
    /// Keys under which responses may be stored, beside the key of the write itself.
    package var answers: [IdempotencyKey] = []
    /// The term of the lease by which the duty is done that the use case is part of; nil for what anybody may do at any time.
    package var duty: DutyMark?
    /// Whether the id of the newest event, or how far events were removed, is read.
    package var outboxBounds = false
    /// The instant whose business day numbers the new orders; nil without new orders.
    package var orderNumbersAt: Instant?
    /// The most rows that are added.
    package var new = NewRows()

    package init() {}

    package init(
        users: [UserID] = [], products: [ProductID] = [], campaigns: [CouponID] = [], issuedCoupons: [IssuedCouponID] = [],
        orders: [OrderID] = [], payments: [PaymentID] = [], events: [EventID] = [], grants: [GrantID] = [],
        new: NewRows = NewRows()
    ) {
        (self.users, self.products, self.campaigns, self.issuedCoupons) = (users, products, campaigns, issuedCoupons)
        (self.orders, self.payments, self.events, self.grants, self.new) = (orders, payments, events, grants, new)
    }
}

/// A campaign and a user, who has at most one coupon of it.
package struct CouponOwner: Sendable, Hashable {
    package let campaign: CouponID
    package let user: UserID

    package init(campaign: CouponID, user: UserID) { (self.campaign, self.user) = (campaign, user) }
}

/// A sequence of a campaign, which at most one issued coupon has.
package struct CampaignSequence: Sendable, Hashable {
    package let campaign: CouponID
    package let sequence: Int64

    package init(campaign: CouponID, sequence: Int64) { (self.campaign, self.sequence) = (campaign, sequence) }
}

/// How many rows of each kind a use case adds at most: so many ids it needs.
package struct NewRows: Sendable, Equatable {
    package var users = 0
    package var transfers = 0
    package var charges = 0
    package var products = 0
    package var campaigns = 0
    package var issuedCoupons = 0
    package var orders = 0
    package var payments = 0
    package var refunds = 0
    package var events = 0
    package var adminLogEntries = 0
    package var grants = 0

    package init(
        users: Int = 0, transfers: Int = 0, charges: Int = 0, products: Int = 0, campaigns: Int = 0, issuedCoupons: Int = 0,
        orders: Int = 0, payments: Int = 0, refunds: Int = 0, events: Int = 0, grants: Int = 0
    ) {
        (self.users, self.transfers, self.charges, self.products) = (users, transfers, charges, products)
        (self.campaigns, self.issuedCoupons, self.orders) = (campaigns, issuedCoupons, orders)
        (self.payments, self.refunds, self.events, self.grants) = (payments, refunds, events, grants)
    }
}
