import Commerce
import Store
import Testing

@Suite(.everyEngine) struct RefundsTests: StoreSuite {
    private func paid(
        _ items: [(ProductID, Int64)], by user: UserID, coupon: IssuedCouponID? = nil, at now: Instant = noon
    ) async throws -> Checkout {
        try await store.checkout(userID: user, items: wishes(items), issuedCouponID: coupon, in: .at(now)).value
    }

    @Test("a full refund gives back money, units and, where the campaign says so, the coupon", arguments: [true, false])
    func whole(restores: Bool) async throws {
        let user = try await store.makeUsers(1, balance: 50_000)[0]
        let tea = try await store.makeProduct(price: 10_000, stock: 5)
        let coupon = try await store.issue(store.makeCampaign(restoreOnRefund: restores), to: user)
        let checkout = try await paid([(tea, 3)], by: user, coupon: coupon.id)
        let refund = try await store.refund(paymentID: checkout.payment.id, items: nil, in: .at(after(9))).value
        #expect(
            refund
                == Refund(
                    id: RefundID(1), paymentID: checkout.payment.id, amount: Won(27_000), refundedAmount: Won(27_000),
                    balance: Won(50_000), refundedAt: after(9)))
        #expect(try reader.order(checkout.order.id)?.storedStatus == .refunded)
        #expect(try reader.payment(checkout.payment.id)?.refundedAmount == Won(27_000))
        #expect(try reader.product(tea)?.stock == 5)
        #expect(try reader.issuedCoupon(coupon.id)?.state == (restores ? .issued : .used))
        let entry = try await store.balanceHistory(of: user, page: PageRequest(limit: 1)).items[0]
        #expect(entry.kind == .refund && entry.amount == Won(27_000) && entry.orderID == checkout.order.id)
        try await home.expectRefused(.refundExceedsPayment) {
            try await $0.refund(paymentID: checkout.payment.id, items: nil, in: .at(noon))
        }
        #expect(try await home.audit().filter { !$0.holds } == [])
        if restores { _ = try await paid([(tea, 1)], by: user, coupon: coupon.id) }
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("parts are rounded down, and the last one pays the exact rest")
    func rounding() async throws {
        let user = try await store.makeUsers(1, balance: 50_000)[0]
        let tea = try await store.makeProduct(price: 3_333, stock: 3)
        let cup = try await store.makeProduct("Cup", price: 1_001, stock: 3)
        let coupon = try await store.issue(store.makeCampaign(.fixed(amount: Won(1_000)), restoreOnRefund: true), to: user)
        let checkout = try await paid([(tea, 2), (cup, 3)], by: user, coupon: coupon.id)
        #expect(checkout.payment.amount == Won(8_669))
        var amounts: [Int64] = []
        for product in [cup, tea, cup, tea, cup] {
            #expect(try reader.order(checkout.order.id)?.storedStatus == .paid)
            #expect(try reader.issuedCoupon(coupon.id)?.state == .used, "a partial refund keeps the coupon")
            amounts.append(
                try await store.refund(paymentID: checkout.payment.id, items: wishes([(product, 1)]), in: .at(noon)).value.amount.rawValue)
        }
        // 1001 / 9669 and 3333 / 9669 of 8669, and what they leave.
        #expect(amounts == [897, 2_988, 897, 2_988, 899])
        #expect(amounts.reduce(0, +) == 8_669)
        #expect(try reader.balance(of: user)?.amount == Won(50_000))
        #expect(try reader.order(checkout.order.id)?.storedStatus == .refunded)
        #expect(try reader.issuedCoupon(coupon.id)?.state == .issued)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("a refund of more than is left, of something else or of nothing is refused")
    func refusals() async throws {
        let user = try await store.makeUsers(1, balance: 50_000)[0]
        let tea = try await store.makeProduct(stock: 5)
        let other = try await store.makeProduct("Cup")
        let payment = try await paid([(tea, 2)], by: user).payment.id
        func refund(_ items: [(ProductID, Int64)]) -> (TransactionalStore) async throws -> WriteResult<Refund> {
            { try await $0.refund(paymentID: payment, items: wishes(items), in: .at(noon)) }
        }
        try await home.expectRefused(.paymentNotFound) { try await $0.refund(paymentID: PaymentID(9), items: nil, in: .at(noon)) }
        try await home.expectRefused(.refundExceedsPayment, refund([(tea, 3)]))
        try await home.expectRefused(.refundExceedsPayment, refund([(tea, 1), (tea, 2)]))
        try await home.expectRefused(.refundExceedsPayment, refund([(other, 1)]))
        try await home.expectRefused(.refundExceedsPayment, refund([(tea, .max), (tea, 1)]))
        let fault = Refusal.invalid(field: "items", reason: "must hold positive quantities")
        try await home.expectRefused(fault, refund([]))
        try await home.expectRefused(fault, refund([(tea, 0)]))
        #expect(try await refund([(tea, 1)])(store).isDone)
        try await home.expectRefused(.refundExceedsPayment, refund([(tea, 2)]))
    }

    @Test("of two refunds of 60 % at once one is refused")
    func twoAtOnce() async throws {
        let user = try await store.makeUsers(1, balance: 50_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 10)
        let payment = try await paid([(tea, 10)], by: user).payment.id
        let store = store
        async let first = store.refund(paymentID: payment, items: wishes([(tea, 6)]), in: .at(noon))
        async let second = store.refund(paymentID: payment, items: wishes([(tea, 6)]), in: .at(noon))
        let results = try await [first, second]
        #expect(results.count(where: \.isDone) == 1)
        #expect(results.contains(.refused(.refundExceedsPayment)))
        #expect(try reader.payment(payment)?.refundedAmount == Won(6_000))
    }

    @Test("a refund leaves the totals of the day of sale, whenever it is made")
    func dayOfSale() async throws {
        let user = try await store.makeUsers(1, balance: 50_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 10)
        let cup = try await store.makeProduct("Cup", price: 1_000, stock: 10)
        let payment = try await paid([(tea, 5), (cup, 1)], by: user).payment.id
        let nextWeek = after(7 * 86_400_000)
        _ = try await store.refund(paymentID: payment, items: wishes([(tea, 2), (cup, 1)]), in: .at(nextWeek)).value
        let calendar = try #require(BusinessCalendar(timeZoneIdentifier: "Asia/Seoul"))
        #expect(try await store.salesTotals(on: calendar.day(of: noon)) == [ProductUnits(productID: tea, units: 3)])
        #expect(try await store.salesTotals(on: calendar.day(of: nextWeek)) == [])
        let event = try await store.events(after: EventID(1), limit: 10)
        #expect(event.map(\.kind) == [.refunded])
        #expect(event[0].units == [ProductUnits(productID: tea, units: -2), ProductUnits(productID: cup, units: -1)])
        #expect(event[0].occurredAt == nextWeek)
        #expect(event[0].payload == "2 ORDER_REFUNDED order 20261120-000001 PAID paid 6000 back 3000 items 2")
    }
}
