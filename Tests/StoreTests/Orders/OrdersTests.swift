import Commerce
import Store
import Testing

@Suite(.everyEngine) struct OrdersTests: StoreSuite {
    @Test("an order holds stock and coupon, and keeps names and prices as they were")
    func holding() async throws {
        let user = try await store.makeUsers(1)[0]
        let tea = try await store.makeProduct("Tea", price: 10_000, stock: 5)
        let cup = try await store.makeProduct("Cup", price: 2_500, stock: 9)
        let coupon = try await store.issue(store.makeCampaign(), to: user)
        let order = try await store.order(user, [(cup, 2), (tea, 1), (cup, 1)], coupon: coupon.id)
        #expect(order.lines.map(\.productID) == [cup, tea], "lines of one product are summed, in the order they came")
        #expect(order.lines.map(\.quantity) == [3, 1] && order.lines.map(\.amount) == [Won(7_500), Won(10_000)])
        #expect(order.totalAmount == Won(17_500) && order.discountAmount == Won(3_000) && order.finalAmount == Won(14_500))
        #expect(order.number.description == "20261120-000001" && order.storedStatus == .pending)
        #expect(order.createdAt == noon && order.expiresAt == after(15 * 60_000) && order.paidAt == nil)
        _ = try await store.updateProduct(tea, ProductChange(name: "New tea", price: Won(1)))
        #expect(try reader.order(order.id) == order)
        #expect(try reader.product(cup)?.held == 3 && reader.product(cup)?.stock == 9)
        let held = try reader.issuedCoupon(coupon.id)
        #expect(held?.state == .held && held?.orderID == order.id && held?.usedAt == nil)
    }

    @Test("orders are numbered per business day, whatever the day of UTC")
    func numbering() async throws {
        let user = try await store.makeUsers(1)[0]
        let tea = try await store.makeProduct()
        let lastMillisecond = Instant(milliseconds: noon.milliseconds + 12 * 3_600_000 - 1)
        #expect(try await store.order(user, [(tea, 1)]).number.description == "20261120-000001")
        #expect(try await store.order(user, [(tea, 1)], at: lastMillisecond).number.description == "20261120-000002")
        let midnight = Instant(milliseconds: lastMillisecond.milliseconds + 1)
        #expect(try await store.order(user, [(tea, 1)], at: midnight).number.description == "20261121-000001")
    }

    @Test("an order that cannot be is refused by its own reason")
    func refusals() async throws {
        let users = try await store.makeUsers(2)
        let tea = try await store.makeProduct(price: 10_000, stock: 3)
        let dear = try await store.makeProduct(price: 1_000_000_000_000, stock: 1_000_000_000)
        func place(_ items: [(ProductID, Int64)], by user: UserID? = nil) -> (TransactionalStore) async throws -> WriteResult<Order> {
            { try await $0.placeOrder(userID: user ?? users[0], items: wishes(items), issuedCouponID: nil, in: .at(noon)) }
        }
        try await home.expectRefused(.userNotFound, place([(tea, 1)], by: UserID(9)))
        try await home.expectRefused(.productNotFound(ProductID(9)), place([(tea, 1), (ProductID(9), 1)]))
        try await home.expectRefused(.outOfStock(tea, available: 3), place([(tea, 4)]))
        try await home.expectRefused(.outOfStock(tea, available: 3), place([(tea, 2), (tea, 2)]))
        try await home.expectRefused(.invalid(field: "items", reason: "the total is too large"), place([(dear, 1_000_000_000)]))
        let fault = Refusal.invalid(field: "items", reason: "must hold positive quantities whose sums are not too large")
        try await home.expectRefused(fault, place([]))
        try await home.expectRefused(fault, place([(tea, 0)]))
        try await home.expectRefused(fault, place([(tea, -1)]))
        try await home.expectRefused(fault, place([(tea, .max), (tea, 1)]))
    }

    @Test("a coupon is usable by its owner, once, in time, and from its minimum on")
    func couponRules() async throws {
        let users = try await store.makeUsers(2)
        let tea = try await store.makeProduct(price: 10_000, stock: 100)
        let campaign = try await store.makeCampaign(minOrder: 20_000)
        let coupon = try await store.issue(campaign, to: users[0])
        func place(_ user: UserID, _ quantity: Int64, _ coupon: IssuedCouponID, at now: Instant = noon)
            -> (TransactionalStore) async throws -> WriteResult<Order>
        {
            { try await $0.placeOrder(userID: user, items: wishes([(tea, quantity)]), issuedCouponID: coupon, in: .at(now)) }
        }
        try await home.expectRefused(.couponNotUsable(.notYours), place(users[1], 2, coupon.id))
        try await home.expectRefused(.couponNotUsable(.notYours), place(users[0], 2, IssuedCouponID(99)))
        try await home.expectRefused(.couponNotUsable(.belowMinimum), place(users[0], 1, coupon.id))
        try await home.expectRefused(.couponNotUsable(.expired), place(users[0], 2, coupon.id, at: coupon.expiresAt))
        _ = try await store.charge(userID: users[0], amount: Won(50_000), in: .at(noon))
        let order = try await store.order(
            users[0], [(tea, 2)], coupon: coupon.id, at: Instant(milliseconds: coupon.expiresAt.milliseconds - 1))
        try await home.expectRefused(.couponNotUsable(.held), place(users[0], 2, coupon.id))
        _ = try await store.pay(orderID: order.id, by: users[0], in: .at(coupon.expiresAt)).value
        try await home.expectRefused(.couponNotUsable(.used), place(users[0], 2, coupon.id))
    }

    @Test("cancelling frees stock and coupon once, for the owner and for an admin alone")
    func cancelling() async throws {
        let users = try await store.makeUsers(2)
        let tea = try await store.makeProduct(stock: 5)
        let coupon = try await store.issue(store.makeCampaign(), to: users[0])
        let order = try await store.order(users[0], [(tea, 2)], coupon: coupon.id)
        try await home.expectRefused(.notYours) { try await $0.cancelOrder(order.id, by: users[1], in: .at(noon)) }
        try await home.expectRefused(.orderNotFound) { try await $0.cancelOrder(OrderID(9), by: nil, in: .at(noon)) }
        let cancelled = try await store.cancelOrder(order.id, by: users[0], in: .at(noon)).value
        #expect(cancelled.storedStatus == .cancelled && cancelled.lines == order.lines)
        #expect(try reader.order(order.id) == cancelled)
        #expect(try reader.product(tea)?.available == 5)
        #expect(try reader.issuedCoupon(coupon.id) == coupon)
        try await home.expectRefused(.orderNotCancellable(.cancelled)) { try await $0.cancelOrder(order.id, by: nil, in: .at(noon)) }
        let late = try await store.order(users[0], [(tea, 2)])
        try await home.expectRefused(.orderNotCancellable(.expired)) { try await $0.cancelOrder(late.id, by: nil, in: .at(late.expiresAt)) }
        let third = try await store.order(users[0], [(tea, 2)])
        #expect(try await store.cancelOrder(third.id, by: nil, in: .at(noon)).isDone)
    }

    @Test("the sweeper ends what is over, no order before its time and none twice")
    func expiring() async throws {
        let user = try await store.makeUsers(1, balance: 100_000)[0]
        let tea = try await store.makeProduct(stock: 10)
        let coupon = try await store.issue(store.makeCampaign(), to: user)
        #expect(try await store.nextExpiry() == nil)
        let first = try await store.order(user, [(tea, 1)], coupon: coupon.id)
        let second = try await store.order(user, [(tea, 1)], at: after(1))
        let third = try await store.order(user, [(tea, 1)], at: after(2))
        _ = try await store.pay(orderID: third.id, by: user, in: .at(after(2))).value
        #expect(try await store.nextExpiry() == first.expiresAt)
        #expect(try await store.expireOrders(at: Instant(milliseconds: first.expiresAt.milliseconds - 1)) == 0)
        #expect(try await store.expireOrders(at: first.expiresAt) == 1)
        #expect(try reader.order(first.id)?.storedStatus == .expired)
        #expect(try reader.issuedCoupon(coupon.id)?.state == .issued)
        #expect(try reader.product(tea)?.held == 1)
        #expect(try await store.nextExpiry() == second.expiresAt)
        #expect(try await store.expireOrders(at: after(100_000_000)) == 1)
        #expect(try await store.expireOrders(at: after(100_000_000)) == 0)
        #expect(try reader.order(third.id)?.storedStatus == .paid)
        #expect(try reader.product(tea) == Product(id: tea, name: "Tea", price: Won(10_000), stock: 9, held: 0, createdAt: noon))
    }

    @Test("the sweeper takes no more than its limit at once")
    func expiryInBatches() async throws {
        let user = try await store.makeUsers(1)[0]
        let tea = try await store.makeProduct(stock: 10)
        for _ in 1...5 { _ = try await store.order(user, [(tea, 1)]) }
        #expect(try await store.expireOrders(at: after(100_000_000), limit: 3) == 3)
        #expect(try await store.expireOrders(at: after(100_000_000), limit: 3) == 2)
        #expect(try reader.product(tea)?.held == 0)
    }
}
