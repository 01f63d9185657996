import Commerce
import Testing

@Suite("Lines and states")
struct OrderRulesTests {
    private func item(_ product: Int64, _ quantity: Int64) -> RequestedItem {
        RequestedItem(productID: ProductID(product), quantity: quantity)
    }

    @Test("lines of one product are added up where the product first appears")
    func summed() {
        #expect(RequestedItem.summed([]) == [])
        #expect(
            RequestedItem.summed([item(2, 1), item(1, 5), item(2, 3), item(3, 1), item(2, 1)]) == [item(2, 5), item(1, 5), item(3, 1)])
        #expect(RequestedItem.summed([item(1, .max), item(1, 1)]) == nil)
        #expect(RequestedItem.summed([item(1, .max), item(2, 1)]) == [item(1, .max), item(2, 1)])
        #expect(RequestedItem.summed([item(1, .max), item(2, 1), item(1, 0)]) == [item(1, .max), item(2, 1)])
    }

    @Test(
        "a campaign is scheduled, open, sold out or closed by its window first, then by what is left",
        arguments: [
            (99, 0, .scheduled), (99, 10, .scheduled), (100, 0, .open), (100, 9, .open), (100, 10, .soldOut), (199, 9, .open),
            (199, 10, .soldOut),
            (200, 0, .closed), (200, 10, .closed), (.max, 0, .closed),
        ] as [(Int64, Int64, Campaign.Status)])
    func campaign(now: Int64, issued: Int64, status: Campaign.Status) {
        #expect(campaign(issued: issued, closesAt: Instant(milliseconds: 200)).status(at: Instant(milliseconds: now)) == status)
    }

    @Test("a campaign without an end never closes")
    func endless() {
        #expect(campaign(issued: 0, closesAt: nil).status(at: Instant(milliseconds: .max)) == .open)
        #expect(campaign(issued: 10, closesAt: nil).status(at: Instant(milliseconds: .max)) == .soldOut)
        #expect(campaign(issued: 4, closesAt: nil).remaining == 6)
    }

    private func campaign(issued: Int64, closesAt: Instant?) -> Campaign {
        let terms = CampaignTerms(
            name: "Launch", discount: .fixed(amount: Won(1)), quantity: 10, opensAt: Instant(milliseconds: 100), closesAt: closesAt,
            validForSeconds: 60, minOrderAmount: .zero, restoreOnRefund: false)
        return Campaign(id: CouponID(1), terms: terms, issued: issued, createdAt: Instant(milliseconds: 0), epoch: 1)
    }

    @Test(
        "only an unused coupon expires; one that an order holds or used stays what it is",
        arguments: [(.issued, 99, .issued), (.issued, 100, .expired), (.held, 100, .held), (.used, 100, .used), (.held, 99, .held)]
            as [(IssuedCoupon.State, Int64, IssuedCoupon.Status)])
    func coupon(state: IssuedCoupon.State, now: Int64, status: IssuedCoupon.Status) throws {
        let coupon = IssuedCoupon(
            id: IssuedCouponID(1), code: try #require(CouponCode("0123456789ABCDEF")), couponID: CouponID(1), userID: UserID(1),
            name: "Launch",
            discount: .fixed(amount: Won(1)), minOrderAmount: .zero, sequence: 1, state: state, issuedAt: Instant(milliseconds: 0),
            expiresAt: Instant(milliseconds: 100), usedAt: nil, orderID: nil)
        #expect(coupon.status(at: Instant(milliseconds: now)) == status)
    }

    @Test(
        "a pending order is over the moment its time is; every other state is final",
        arguments: [
            (.pending, 99, .pending), (.pending, 100, .expired), (.paid, 100, .paid), (.cancelled, 100, .cancelled),
            (.refunded, 100, .refunded),
        ]
            as [(Order.Status, Int64, Order.Status)])
    func order(stored: Order.Status, now: Int64, status: Order.Status) {
        let order = Order(
            id: OrderID(1), number: OrderNumber(day: BusinessDay(number: 0), counter: 1), userID: UserID(1), storedStatus: stored,
            lines: [],
            totalAmount: Won(10), discountAmount: Won(3), issuedCouponID: nil, createdAt: Instant(milliseconds: 0),
            expiresAt: Instant(milliseconds: 100), paidAt: nil)
        #expect(order.status(at: Instant(milliseconds: now)) == status)
        #expect(order.finalAmount == Won(7))
    }
}
