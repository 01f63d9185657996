import TestSupport
import Testing

@testable import Torture

/// One customer with one record of each kind, and an account that agrees with it.
private struct Sample {
    var record = Record()
    var account = Account(balance: 0, coupons: [], entries: [], orders: [:], payments: [:])

    static let coupon = CouponFacts(id: 11, code: "0123456789ABCDEF", campaign: 3, sequence: 7)

    init() {
        record.claims[3] = ClaimRecord(wins: [Self.coupon])
        record.charges[5_001] = ChargeRecord(told: .yes, chargeID: 1, balance: 5_001)
        record.charges[5_002] = ChargeRecord(told: .no)
        record.charges[5_003] = ChargeRecord(told: .unknown)
        record.orders[21] = OrderRecord(units: [1: 2], finalAmount: 2_000, coupon: 11, mayBePaid: true, payments: [31])
        record.orders[22] = OrderRecord(units: [1: 1], finalAmount: 1_500, coupon: nil, cancellations: 1)
        record.orders[23] = OrderRecord(units: [2: 1], finalAmount: 900, coupon: nil, statesShown: ["EXPIRED"])
        record.refunds[31] = [RefundRecord(id: 41, items: [1: 1], amount: 1_000)]
        account.balance = 4_001
        account.coupons = [.init(facts: Self.coupon, status: "USED", order: 21)]
        account.entries = [
            .init(id: 1, kind: "CHARGE", amount: 5_001, balanceAfter: 5_001, order: nil),
            .init(id: 2, kind: "PAYMENT", amount: -2_000, balanceAfter: 3_001, order: 21),
            .init(id: 3, kind: "REFUND", amount: 1_000, balanceAfter: 4_001, order: 21),
        ]
        account.orders = [
            21: .init(id: 21, status: "PAID", units: [1: 2], finalAmount: 2_000, coupon: 11),
            22: .init(id: 22, status: "CANCELLED", units: [1: 1], finalAmount: 1_500, coupon: nil),
            23: .init(id: 23, status: "EXPIRED", units: [2: 1], finalAmount: 900, coupon: nil),
        ]
        account.payments = [31: .init(id: 31, order: 21, amount: 2_000, refunded: 1_000)]
    }

    func findings() -> [Finding] {
        let findings = Findings()
        let customer = Customer(Caller(pool: HTTPPool(port: 0, maximumConnections: 1), id: 9))
        customer.note { [record] in $0 = record }
        Comparison(customer: customer, account: account, findings: findings).run()
        return findings.take()
    }

    mutating func setStatus(_ status: String, of order: Int64) {
        guard let old = account.orders[order] else { return }
        account.orders[order] = .init(id: order, status: status, units: old.units, finalAmount: old.finalAmount, coupon: old.coupon)
    }
}

/// One contradiction, and the findings that the comparison must report.
struct Wrong: Sendable, CustomTestStringConvertible {
    let testDescription: String
    fileprivate let happen: @Sendable (inout Sample) -> Void
    /// Every finding, in any order: the kind and a part of its text.
    let expected: [(Finding.Kind, String)]

    fileprivate init(
        _ description: String, _ expected: (Finding.Kind, String)..., happen: @escaping @Sendable (inout Sample) -> Void
    ) {
        (testDescription, self.expected, self.happen) = (description, expected, happen)
    }

    static let all = [
        Wrong("a reported coupon is missing", (.lost, "was shown")) { $0.account.coupons = [] },
        Wrong("a coupon has another sequence than reported", (.lost, "was shown")) {
            $0.account.coupons[0] = .init(
                facts: CouponFacts(id: 11, code: "0123456789ABCDEF", campaign: 3, sequence: 8), status: "USED", order: 21)
        },
        Wrong("two coupons of one campaign", (.doubled, "two coupons")) {
            $0.account.coupons.insert(
                .init(facts: CouponFacts(id: 12, code: "X", campaign: 3, sequence: 9), status: "ISSUED", order: nil), at: 0)
        },
        Wrong("a claim got 201 twice", (.doubled, "got 201")) { $0.record.claims[3]?.wins.append(Sample.coupon) },
        Wrong("a coupon stays held", (.wrong, "is HELD")) {
            $0.account.coupons[0] = .init(facts: Sample.coupon, status: "HELD", order: 21)
        },
        Wrong("a coupon of a paid order is free again", (.wrong, "is ISSUED")) {
            $0.account.coupons[0] = .init(facts: Sample.coupon, status: "ISSUED", order: nil)
        },
        Wrong("two paid orders use one coupon", (.doubled, "is used by orders")) {
            $0.account.orders[24] = .init(id: 24, status: "REFUNDED", units: [:], finalAmount: 0, coupon: 11)
            $0.account.coupons[0] = .init(
                facts: Sample.coupon, status: "USED", order: $0.account.orders.values.first { $0.coupon == 11 }?.id)
            $0.record.unknownOrders = 1
        },
        Wrong("the balance is off by one", (.wrong, "the balance is 4002")) { $0.account.balance = 4_002 },
        Wrong("an entry does not follow from the one before", (.wrong, "entry 2 says balance")) {
            $0.account.entries[1] = .init(id: 2, kind: "PAYMENT", amount: -2_000, balanceAfter: 3_000, order: 21)
        },
        Wrong(
            "a reported charge is missing", (.lost, "charge of 5001"), (.wrong, "the balance was -2000"),
            (.wrong, "the balance was -1000")
        ) {
            $0.account.entries = [
                .init(id: 2, kind: "PAYMENT", amount: -2_000, balanceAfter: -2_000, order: 21),
                .init(id: 3, kind: "REFUND", amount: 1_000, balanceAfter: -1_000, order: 21),
            ]
            $0.account.balance = -1_000
        },
        Wrong("a charge was made twice", (.doubled, "5001 was made 2 times")) {
            $0.account.entries.append(.init(id: 4, kind: "CHARGE", amount: 5_001, balanceAfter: 9_002, order: nil))
            $0.account.balance = 9_002
        },
        Wrong("a refused charge exists", (.wrong, "5002 was refused and exists")) {
            $0.account.entries.append(.init(id: 4, kind: "CHARGE", amount: 5_002, balanceAfter: 9_003, order: nil))
            $0.account.balance = 9_003
        },
        Wrong("a charge was never requested", (.wrong, "the charge of 77 was never requested")) {
            $0.account.entries.append(.init(id: 4, kind: "CHARGE", amount: 77, balanceAfter: 4_078, order: nil))
            $0.account.balance = 4_078
        },
        Wrong("a charge reported another balance", (.wrong, "reported balance 5")) { $0.record.charges[5_001]?.balance = 5 },
        Wrong("a reported order is missing", (.lost, "order 22 was reported and is missing")) { $0.account.orders[22] = nil },
        Wrong("an order was never requested", (.doubled, "orders [25] are there")) {
            $0.account.orders[25] = .init(id: 25, status: "EXPIRED", units: [:], finalAmount: 1, coupon: nil)
        },
        Wrong("an order differs from its report", (.wrong, "order 22 was")) {
            $0.record.orders[22] = .init(units: [1: 5], finalAmount: 1_500, coupon: nil, cancellations: 1)
        },
        Wrong(
            "a payment is undone", (.lost, "order 21 was paid and is EXPIRED"), (.wrong, "pay order 21, which is not paid"),
            (.wrong, "coupon 11")
        ) { $0.setStatus("EXPIRED", of: 21) },
        Wrong("an order was paid twice", (.doubled, "order 21 was paid by [31, 32]")) {
            $0.record.orders[21]?.payments = [31, 32]
            $0.account.payments[32] = .init(id: 32, order: 21, amount: 2_000, refunded: 0)
        },
        Wrong("an order was cancelled twice", (.doubled, "was cancelled 2 times")) { $0.record.orders[22]?.cancellations = 2 },
        Wrong("a cancelled order is expired", (.lost, "was cancelled and is EXPIRED")) { $0.setStatus("EXPIRED", of: 22) },
        Wrong("an order is still pending", (.wrong, "order 23 is still pending"), (.wrong, "was shown as EXPIRED")) {
            $0.setStatus("PENDING", of: 23)
        },
        Wrong(
            "an expired order became paid without a payment request", (.wrong, "order 23 was never paid"), (.wrong, "was shown as EXPIRED"),
            (.wrong, "its payment entries")
        ) { $0.setStatus("PAID", of: 23) },
        Wrong("a reported payment is missing", (.lost, "payment 31 of order 21")) { $0.account.payments = [:] },
        Wrong("a reported refund is missing", (.lost, "it says 0"), (.wrong, "refund entries")) {
            $0.account.payments[31] = .init(id: 31, order: 21, amount: 2_000, refunded: 0)
        },
        Wrong("a refund was made twice", (.doubled, "it says 2000")) {
            $0.account.payments[31] = .init(id: 31, order: 21, amount: 2_000, refunded: 2_000)
            $0.account.entries.append(.init(id: 4, kind: "REFUND", amount: 1_000, balanceAfter: 5_001, order: 21))
            $0.account.balance = 5_001
        },
        Wrong("more was refunded than was paid", (.doubled, "it says 3000"), (.wrong, "gave back more")) {
            $0.account.payments[31] = .init(id: 31, order: 21, amount: 2_000, refunded: 3_000)
            $0.account.entries.append(.init(id: 4, kind: "REFUND", amount: 2_000, balanceAfter: 6_001, order: 21))
            $0.account.balance = 6_001
        },
    ]
}

@Suite("Answers compared with the state of the service")
struct ComparisonTests {
    @Test("records that agree give no finding")
    func agreement() { #expect(Sample().findings() == []) }

    @Test("each contradiction gives exactly its findings", arguments: Wrong.all)
    func found(wrong: Wrong) {
        var sample = Sample()
        wrong.happen(&sample)
        var findings = sample.findings()
        for (kind, text) in wrong.expected {
            let index = findings.firstIndex { $0.kind == kind && $0.text.contains(text) }
            #expect(index != nil, "\(kind) \(text) is not among \(findings)")
            if let index { findings.remove(at: index) }
        }
        #expect(findings == [], "nothing else is wrong")
    }
}
