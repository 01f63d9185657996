import JSON
import Synchronization
import TestSupport

/// One user, with a record of their requests and the answers to them. The record rests on nothing else.
final class Customer: Sendable {
    let caller: Caller
    private let record = Mutex(Record())

    init(_ caller: Caller) { self.caller = caller }

    var id: Int64 { caller.id }
    var known: Record { record.withLock { $0 } }

    @discardableResult
    func note<Value: Sendable>(_ change: @Sendable (inout Record) -> Value) -> Value { record.withLock { change(&$0) } }
}

/// Whether something happened, as far as the client can know.
enum Told: Sendable, Equatable {
    case yes
    case no
    /// The connection broke before the answer.
    case unknown
}

/// A coupon as its owner sees it.
struct CouponFacts: Sendable, Equatable {
    let id: Int64
    let code: String
    let campaign: Int64
    let sequence: Int64

    init(id: Int64, code: String, campaign: Int64, sequence: Int64) {
        (self.id, self.code, self.campaign, self.sequence) = (id, code, campaign, sequence)
    }

    init?(_ json: JSONValue) {
        guard let id = json["issuedCouponId"]?.int, let code = json["code"]?.string, let campaign = json["couponId"]?.int,
            let sequence = json["sequence"]?.int
        else { return nil }
        (self.id, self.code, self.campaign, self.sequence) = (id, code, campaign, sequence)
    }
}

struct ClaimRecord: Sendable {
    /// 201 answers that were no replays; more than one is a doubled coupon.
    var wins: [CouponFacts] = []
    /// The coupons that `COUPON_ALREADY_CLAIMED` and replays showed.
    var shown: [CouponFacts] = []
}

struct ChargeRecord: Sendable {
    var told: Told
    var chargeID: Int64?
    var balance: Int64?
}

struct RefundRecord: Sendable {
    let id: Int64
    /// Units by product; nil for everything not yet refunded.
    let items: [Int64: Int64]?
    let amount: Int64
}

struct OrderRecord: Sendable {
    /// Units by product.
    let units: [Int64: Int64]
    let finalAmount: Int64
    let coupon: Int64?
    var mayBePaid = false
    /// Payments that answers reported; more than one is a doubled payment.
    var payments: [Int64] = []
    var cancellations = 0
    /// Final states that refusals named.
    var statesShown: Set<String> = []

    var isOver: Bool { !payments.isEmpty || cancellations > 0 || !statesShown.isEmpty }
}

struct Record: Sendable {
    var claims: [Int64: ClaimRecord] = [:]
    /// By amount: no two charges of one user have the same amount.
    var charges: [Int64: ChargeRecord] = [:]
    var orders: [Int64: OrderRecord] = [:]
    /// Orders and checkouts whose answer was lost.
    var unknownOrders = 0
    /// By payment.
    var refunds: [Int64: [RefundRecord]] = [:]
    /// Idempotency keys with the body of their success.
    var answersByKey: [String: String] = [:]
    var nextCharge: Int64 = 5_000

    /// The coupons that answers have shown to the user.
    var coupons: [CouponFacts] { claims.values.compactMap { $0.wins.first ?? $0.shown.first } }

    mutating func newChargeAmount() -> Int64 {
        nextCharge += 1
        return nextCharge
    }
}
