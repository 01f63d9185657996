import Commerce
import Store
import TraceContext

// The rows of the tables as a group holds them in memory; what they say to a use case is made from them when it asks.

struct UserRow {
    var name: String
    var balance: Won
    var balanceUpdatedAt: Instant?
    var createdAt: Instant
}

struct TransferRow {
    var movement: Movement
    var user: UserID
    var amount: Won
    var balanceAfter: Won
    var order: OrderID?
    var at: Instant
}

struct ChargeRow {
    var user: UserID
    var amount: Won
    var transfer: EntryID
    var at: Instant
}

struct ProductRow {
    var name: String
    /// The name as searches compare it, where the row is new or its name has changed.
    var folded: String?
    var price: Won
    var stock: Int64
    var held: Int64
    var createdAt: Instant
}

struct CampaignRow {
    var terms: CampaignTerms
    var issued: Int64
    var createdAt: Instant
    var epoch: Int64
    var archival: Archival
    var archivedAt: Instant?
    var chain = ChainHead.none
}

/// An issued coupon with what its campaign promises.
struct IssuedCouponRow {
    var code: CouponCode
    var campaign: CouponID
    var user: UserID
    var promise: Promise
    var sequence: Int64
    var state: IssuedCoupon.State
    var issuedAt: Instant
    var expiresAt: Instant
    var usedAt: Instant?
    var order: OrderID?

    struct Promise {
        var name: String
        var discount: Discount
        var minOrderAmount: Won
        var comesBackOnRefund: Bool
    }
}

struct OrderRow {
    var number: OrderNumber
    var user: UserID
    var status: Order.Status
    var total: Won
    var discount: Won
    var coupon: IssuedCouponID?
    var createdAt: Instant
    var expiresAt: Instant
    var paidAt: Instant?
    /// In the order of their positions.
    var lines: [OrderLineRow] = []
}

struct OrderLineRow {
    var line: OrderLine
    var refunded: Int64 = 0
    var isChanged = false
}

struct PaymentRow {
    var order: OrderID
    var number: OrderNumber
    var user: UserID
    var amount: Won
    var balanceAfter: Won
    var paidAt: Instant
    var saleDay: BusinessDay
    var refunded: Won = .zero
}

struct RefundRow {
    var payment: PaymentID
    var amount: Won
    var at: Instant
    var items: [RequestedItem]
}

struct EventRow {
    var kind: OrderEvent.Kind
    var order: OrderID
    var occurredAt: Instant
    var saleDay: BusinessDay
    var payload: String
    var delivery = OrderEvent.Delivery.waiting
    var attempts: Int64 = 0
    var nextAttemptAt: Instant
    var lastError: String?
    var trace: TraceParent?
    var units: [ProductUnits]
}

struct AnswerRow {
    var fingerprint: [UInt8]
    var status: Int64
    var body: [UInt8]
    var createdAt: Instant
}
