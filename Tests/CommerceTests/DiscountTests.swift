import Commerce
import TestSupport
import Testing

@Suite("Discounts")
struct DiscountTests {
    @Test(
        "a fixed discount takes its amount, and never more than the order costs",
        arguments: [(3_000, 10_000, 3_000), (3_000, 3_000, 3_000), (3_000, 2_999, 2_999), (3_000, 0, 0), (.max, 1, 1), (1, .max, 1)]
            as [(Int64, Int64, Int64)])
    func fixed(amount: Int64, total: Int64, discount: Int64) {
        #expect(Discount.fixed(amount: Won(amount)).amount(offTotal: Won(total)).rawValue == discount)
    }

    @Test(
        "a percentage is rounded down to a won, then cut to its maximum",
        arguments: [
            (10, nil, 9_999, 999), (10, nil, 9, 0), (1, nil, 99, 0), (1, nil, 100, 1), (33, nil, 100, 33), (100, nil, 12_345, 12_345),
            (100, nil, .max, .max), (50, 1_000, 1_999, 999), (50, 1_000, 2_000, 1_000), (50, 1_000, 2_001, 1_000), (50, 1_000, .max, 1_000),
            (99, .max, 1, 0), (15, 500, 0, 0),
        ] as [(Int64, Int64?, Int64, Int64)])
    func percent(percent: Int64, maximum: Int64?, total: Int64, discount: Int64) {
        #expect(Discount.percent(percent, maxAmount: maximum.map { Won($0) }).amount(offTotal: Won(total)).rawValue == discount)
    }

    @Test("whatever the discount and the total, what is left to pay is neither negative nor more than the total")
    func bounds() {
        var random = SeededGenerator()
        for _ in 0..<5_000 {
            let total = Won(Int64.random(in: 0 ... .max, using: &random) >> Int64.random(in: 0...62, using: &random))
            let amount = Won(Int64.random(in: 1 ... .max, using: &random) >> Int64.random(in: 0...62, using: &random))
            let discounts: [Discount] = [
                .fixed(amount: amount), .percent(.random(in: 1...100, using: &random), maxAmount: nil),
                .percent(.random(in: 1...100, using: &random), maxAmount: amount),
            ]
            for discount in discounts {
                #expect((Won.zero...total).contains(discount.amount(offTotal: total)), "\(random): \(discount) off \(total)")
            }
        }
    }
}
