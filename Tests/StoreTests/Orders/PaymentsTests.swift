import Commerce
import Store
import Testing

@Suite(.everyEngine) struct PaymentsTests: StoreSuite {
    @Test("a payment moves money, stock, coupon, order and outbox together")
    func paying() async throws {
        let user = try await store.makeUsers(1, balance: 30_000)[0]
        let tea = try await store.makeProduct(price: 10_000, stock: 5)
        let coupon = try await store.issue(store.makeCampaign(), to: user)
        let order = try await store.order(user, [(tea, 2)], coupon: coupon.id)
        let payment = try await store.pay(orderID: order.id, by: user, in: .at(after(7))).value
        #expect(
            payment
                == Payment(
                    id: PaymentID(1), orderID: order.id, orderNumber: order.number, userID: user, amount: Won(17_000),
                    balance: Won(13_000), paidAt: after(7), refundedAmount: .zero))
        #expect(try reader.payment(payment.id) == payment)
        #expect(try reader.balance(of: user) == Balance(userID: user, amount: Won(13_000), updatedAt: after(7)))
        #expect(try reader.product(tea)?.stock == 3 && reader.product(tea)?.held == 0)
        let used = try reader.issuedCoupon(coupon.id)
        #expect(used?.state == .used && used?.usedAt == after(7) && used?.orderID == order.id)
        let paid = try reader.order(order.id)
        #expect(paid?.storedStatus == .paid && paid?.paidAt == after(7) && paid?.lines == order.lines)
        let entry = try await store.balanceHistory(of: user, page: PageRequest(limit: 1)).items[0]
        #expect(entry.kind == .payment && entry.amount == Won(-17_000) && entry.orderID == order.id)
        let event = try await store.events(after: nil, limit: 10)
        #expect(event.map(\.id) == [EventID(1)] && event[0].kind == .paid && event[0].occurredAt == after(7))
        #expect(event[0].units == [ProductUnits(productID: tea, units: 2)] && event[0].saleDay.description == "2026-11-20")
        #expect(event[0].payload == "1 ORDER_PAID order 20261120-000001 PAID paid 17000 back 0 items 0")
    }

    @Test("what cannot be paid is refused, and too little money leaves the order payable")
    func refusals() async throws {
        let users = try await store.makeUsers(2, balance: 10_000)
        let tea = try await store.makeProduct(price: 10_000, stock: 9)
        let order = try await store.order(users[0], [(tea, 2)])
        try await home.expectRefused(.orderNotFound) { try await $0.pay(orderID: OrderID(9), by: users[0], in: .at(noon)) }
        try await home.expectRefused(.notYours) { try await $0.pay(orderID: order.id, by: users[1], in: .at(noon)) }
        try await home.expectRefused(.insufficientBalance(balance: Won(10_000), required: Won(20_000))) {
            try await $0.pay(orderID: order.id, by: users[0], in: .at(noon))
        }
        try await home.expectRefused(.orderNotPayable(.expired)) {
            try await $0.pay(orderID: order.id, by: users[0], in: .at(order.expiresAt))
        }
        _ = try await store.charge(userID: users[0], amount: Won(10_000), in: .at(noon)).value
        #expect(try await store.pay(orderID: order.id, by: users[0], in: .at(noon)).value.balance == .zero)
        try await home.expectRefused(.orderNotPayable(.paid)) { try await $0.pay(orderID: order.id, by: users[0], in: .at(noon)) }
        let cancelled = try await store.order(users[1], [(tea, 1)])
        _ = try await store.cancelOrder(cancelled.id, by: nil, in: .at(noon))
        try await home.expectRefused(.orderNotPayable(.cancelled)) {
            try await $0.pay(orderID: cancelled.id, by: users[1], in: .at(noon))
        }
    }

    @Test("an order that costs nothing is paid without a transfer, and refunded without one")
    func nothingToPay() async throws {
        let user = try await store.makeUsers(1)[0]
        let tea = try await store.makeProduct(price: 2_000, stock: 1)
        let coupon = try await store.issue(store.makeCampaign(restoreOnRefund: true), to: user)
        let checkout = try await store.checkout(
            userID: user, items: wishes([(tea, 1)]), issuedCouponID: coupon.id, in: .at(noon)
        ).value
        #expect(checkout.payment.amount == .zero && checkout.order.discountAmount == Won(2_000))
        let refund = try await store.refund(paymentID: checkout.payment.id, items: nil, in: .at(noon)).value
        #expect(refund.amount == .zero)
        #expect(try await store.balanceHistory(of: user, page: PageRequest()).items.isEmpty)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("a checkout is order and payment in one, as if they had come apart")
    func checkingOut() async throws {
        let user = try await store.makeUsers(1, balance: 50_000)[0]
        let tea = try await store.makeProduct(price: 10_000, stock: 5)
        let coupon = try await store.issue(store.makeCampaign(.percent(15, maxAmount: Won(4_000))), to: user)
        let checkout = try await store.checkout(
            userID: user, items: wishes([(tea, 1), (tea, 2)]), issuedCouponID: coupon.id, in: .at(noon)
        ).value
        #expect(checkout.order.storedStatus == .paid && checkout.order.paidAt == noon)
        #expect(checkout.payment.amount == Won(26_000) && checkout.payment.balance == Won(24_000))
        #expect(try reader.order(checkout.order.id) == checkout.order)
        #expect(try reader.payment(checkout.payment.id) == checkout.payment)
        #expect(try reader.product(tea)?.stock == 2 && reader.product(tea)?.held == 0)
        #expect(try reader.issuedCoupon(coupon.id)?.state == .used)
        #expect(try await store.events(after: nil, limit: 10).map(\.orderID) == [checkout.order.id])
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("a refused checkout leaves no order, no number and no hold")
    func refusedCheckout() async throws {
        let users = try await store.makeUsers(2, balance: 15_000)
        let tea = try await store.makeProduct(price: 10_000, stock: 2)
        let coupon = try await store.issue(store.makeCampaign(), to: users[0])
        func check(_ user: UserID, _ items: [(ProductID, Int64)], _ coupon: IssuedCouponID? = nil)
            -> (TransactionalStore) async throws -> WriteResult<Checkout>
        {
            { try await $0.checkout(userID: user, items: wishes(items), issuedCouponID: coupon, in: .at(noon)) }
        }
        try await home.expectRefused(.userNotFound, check(UserID(9), [(tea, 1)]))
        try await home.expectRefused(.productNotFound(ProductID(9)), check(users[0], [(ProductID(9), 1)]))
        try await home.expectRefused(.outOfStock(tea, available: 2), check(users[0], [(tea, 3)]))
        try await home.expectRefused(.couponNotUsable(.notYours), check(users[1], [(tea, 1)], coupon.id))
        try await home.expectRefused(
            .insufficientBalance(balance: Won(15_000), required: Won(17_000)), check(users[0], [(tea, 2)], coupon.id))
        let checkout = try await store.checkout(userID: users[0], items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon)).value
        #expect(checkout.order.number.counter == 1)
    }

    @Test("of many who pay for the last unit one gets it, and no other is charged")
    func lastUnit() async throws {
        let users = try await store.makeUsers(40, balance: 10_000)
        let tea = try await store.makeProduct(price: 10_000, stock: 1)
        let store = store
        let results = try await withThrowingTaskGroup(of: WriteResult<Checkout>.self) { group in
            for user in users {
                group.addTask { try await store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon)) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.count(where: \.isDone) == 1)
        #expect(results.count { $0 == .refused(.outOfStock(tea, available: 0)) } == 39)
        let charged = try users.filter { try reader.balance(of: $0)?.amount != Won(10_000) }
        #expect(charged.count == 1)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("pay, cancel and expiry of one order meet: one of them wins, and what was held comes back at most once")
    func race() async throws {
        let user = try await store.makeUsers(1, balance: 1_000_000)[0]
        let tea = try await store.makeProduct(price: 1_000, stock: 1_000)
        let store = store
        var outcomes: [Order.Status: Int] = [:]
        for round in 0..<60 {
            let start = after(Int64(round))
            let order = try await store.order(user, [(tea, 3)], at: start)
            // The payer's clock stands before the end, the sweeper's after it: only the order of arrival decides.
            let finished = try await withThrowingTaskGroup(of: Bool.self) { group in
                let actions: [@Sendable () async throws -> Bool] = [
                    { try await store.pay(orderID: order.id, by: user, in: .at(start)).isDone },
                    { try await store.cancelOrder(order.id, by: user, in: .at(start)).isDone },
                    { try await store.expireOrders(at: order.expiresAt) == 1 },
                ]
                for action in actions.shuffled() { group.addTask { try await action() } }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(finished == 1, "order \(order.id)")
            let ended = try #require(try reader.order(order.id))
            outcomes[ended.storedStatus, default: 0] += 1
        }
        #expect(outcomes[.pending] == nil)
        #expect(outcomes.values.reduce(0, +) == 60)
        #expect(try reader.product(tea)?.held == 0)
        #expect(try reader.product(tea)?.stock == 1_000 - Int64(3 * (outcomes[.paid] ?? 0)))
        #expect(try await home.audit().filter { !$0.holds } == [])
    }
}
