import Commerce
import JSON
import Services
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Money, stock and coupons under concurrency", .sharedService { $0.connections = 128 }, .everyEngine)
    struct MoneyTests {}
}

extension EndToEnd.MoneyTests {
    @Test("many pay for the last unit at once: one has it and has paid, nobody else is charged or has an order")
    func lastUnit() async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 5_000, stock: 1)
        let users = try await live.newUsers(100, balance: 10_000)
        let answers = try await together(users) { try await $0.checkout(product) }
        #expect(answers.statusCounts == ["201": 1, "409 OUT_OF_STOCK": 99])
        var paid = 0
        for user in users {
            let balance = try await user.balance
            let orders = try await user.get("/users/\(user.id)/orders").items()
            #expect(balance == 10_000 && orders.isEmpty || balance == 5_000 && orders.count == 1)
            paid += orders.count
        }
        #expect(paid == 1)
        #expect(try await live.admin.stock(of: product) == 0)
    }

    @Test("N buyers place orders on limited stock at once: units ordered are the stock, and all that were ordered can be paid")
    func limitedStock() async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 1_000, stock: 20)
        let users = try await live.newUsers(60, balance: 10_000)
        let placed = try await together(users) { try await $0.order(product, 2) }
        #expect(placed.statusCounts == ["201": 10, "409 OUT_OF_STOCK": 50])
        #expect(try await live.admin.stock(of: product) == 0)
        let orders = try placed.with(status: 201).map { (order: try $0.int("orderId"), user: try $0.int("userId")) }
        let payments = try await together(orders) { try await live.caller(user: $0.user).pay($0.order) }
        #expect(payments.statusCounts == ["201": 10])
        try await expectClean(live)
    }

    @Test("one balance, many orders at once: what is paid never exceeds it")
    func oneBalance() async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 3_000, stock: 1_000)
        let user = try await live.newUser(balance: 10_000)
        let answers = try await together(Array(repeating: user, count: 40)) { try await $0.checkout(product) }
        #expect(answers.statusCounts == ["201": 3, "409 INSUFFICIENT_BALANCE": 37])
        #expect(try await user.balance == 1_000)
        #expect(try answers.with(status: 201).map { try $0.int("payment", "balance") }.sorted() == [1_000, 4_000, 7_000])
    }

    @Test("one order is paid many times at once: one payment, one debit")
    func onePayment() async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 3_000)
        let user = try await live.newUser(balance: 100_000)
        let order = try await user.order(product).expect(201).int("orderId")
        #expect(
            try await together(Array(repeating: user, count: 50)) { try await $0.pay(order) }.statusCounts == [
                "201": 1, "409 ORDER_NOT_PAYABLE": 49,
            ])
        #expect(try await user.balance == 97_000)
    }

    @Test("one coupon in many orders at once: one order has it")
    func oneCoupon() async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 3_000)
        let user = try await live.newUser(balance: 1_000_000)
        let coupon = try await user.claim(try await live.admin.makeCoupon()).expect(201).int("issuedCouponId")
        let answers = try await together(Array(0..<40)) { index in
            index.isMultiple(of: 2) ? try await user.order(product, coupon: coupon) : try await user.checkout(product, coupon: coupon)
        }
        #expect(answers.with(status: 201).count == 1)
        #expect(answers.filter { $0.code == "COUPON_NOT_USABLE" }.count == 39)
        #expect(try await user.balance >= 998_000)
    }

    @Test("pay, cancel and the end of its time race for one order: one wins, and stock, coupon and money say the same", arguments: 0..<6)
    func race(round: Int) async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 8_000, stock: 10)
        let user = try await live.newUser(balance: 50_000)
        let coupon = try await user.claim(try await live.admin.makeCoupon()).expect(201).int("issuedCouponId")
        let order = try await user.order(product, 4, coupon: coupon).expect(201).int("orderId")
        // In half of the rounds the sweeper joins the race.
        if round.isMultiple(of: 2) { live.clock.advance(byMilliseconds: 15 * 60_000) }
        let answers = try await together(Array(0..<20)) { index in
            index.isMultiple(of: 2) ? try await user.pay(order) : try await user.cancel(order)
        }
        #expect(answers.filter { $0.status < 300 }.count == (round.isMultiple(of: 2) ? 0 : 1), "\(answers.statusCounts)")
        let status = try await user.get("/orders/\(order)").string("status")
        let (isPaid, item) = (status == "PAID", "/users/\(user.id)/coupons")
        #expect((round.isMultiple(of: 2) ? ["EXPIRED"] : ["PAID", "CANCELLED"]).contains(status))
        try await eventually("stock is free again, or sold") { try await live.admin.stock(of: product) == (isPaid ? 6 : 10) }
        #expect(try await user.balance == (isPaid ? 50_000 - 31_000 : 50_000))
        #expect(try await user.get(item).items().map { $0["status"]?.string } == [isPaid ? "USED" : "ISSUED"])

        // Usable again, and exactly once.
        let again = try await together(Array(0..<10)) { _ in try await user.order(product, coupon: coupon) }
        #expect(again.with(status: 201).count == (isPaid ? 0 : 1), "\(again.statusCounts)")
        #expect(try await live.admin.stock(of: product) == (isPaid ? 6 : 9))
    }

    @Test("an order is payable until the millisecond before its time is over, and then it is EXPIRED everywhere")
    func expiry() async throws {
        var setup = LiveService.Setup()
        let start = Instant(milliseconds: 1_800_000_000_000)
        setup.standingClock = start
        try await LiveService.run(setup) { live in
            let product = try await live.admin.makeProduct(price: 1_000, stock: 10)
            let user = try await live.newUser(balance: 10_000)
            let orders = [try await user.order(product, 2).expect(201), try await user.order(product, 3).expect(201)]
            let (first, second) = (try orders[0].int("orderId"), try orders[1].int("orderId"))
            #expect(try orders[0].string("expiresAt") == Instant(milliseconds: start.milliseconds + 900_000).description)
            live.clock.stop(at: Instant(milliseconds: start.milliseconds + 899_999))
            #expect(try await user.pay(first).status == 201)
            #expect(try await user.get("/orders/\(second)").string("status") == "PENDING")
            live.clock.stop(at: Instant(milliseconds: start.milliseconds + 900_000))
            let refusal = try await user.pay(second)
            #expect(refusal.code == "ORDER_NOT_PAYABLE")
            #expect(try refusal.string("orderStatus") == "EXPIRED")
            let cancel = try await user.cancel(second)
            #expect(cancel.code == "ORDER_NOT_CANCELLABLE")
            #expect(try cancel.string("orderStatus") == "EXPIRED")
            #expect(try await user.get("/orders/\(second)").string("status") == "EXPIRED")
            #expect(try await user.get("/users/\(user.id)/orders").items().map { $0["status"]?.string } == ["EXPIRED", "PAID"])
            try await eventually("the sweeper frees the stock") { try await live.admin.stock(of: product) == 8 }
        }
    }

    @Test("two refunds of 60 % at once: one 409, and no more than was paid comes back", arguments: 0..<4)
    func overRefund(round: Int) async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 1_000)
        let user = try await live.newUser(balance: 10_000)
        let payment = try await user.checkout(product, 5).expect(201).int("payment", "paymentId")
        let answers = try await together([live.admin, live.admin]) { try await $0.refund(payment, product, 3) }
        #expect(answers.statusCounts == ["201": 1, "409 REFUND_EXCEEDS_PAYMENT": 1])
        #expect(try await user.balance == 8_000)
        #expect(try await user.get("/payments/\(payment)").int("refundedAmount") == 3_000)
    }

    @Test("refunds of single units at once pay back exactly what was paid, to the last won")
    func partialRefunds() async throws {
        let live = try service
        let (three, seven) = (try await live.admin.makeProduct(price: 333), try await live.admin.makeProduct(price: 7_777))
        let user = try await live.newUser(balance: 100_000)
        let terms = #"{"type": "PERCENT", "percent": 13}"#
        let coupon = try await user.claim(try await live.admin.makeCoupon(discount: terms)).expect(201).int("issuedCouponId")
        let body =
            #"{"items": [{"productId": \#(three), "quantity": 3}, {"productId": \#(seven), "quantity": 7}], "issuedCouponId": \#(coupon)}"#
        let paid = try await user.post("/checkout", body).expect(201)
        let (payment, final) = (try paid.int("payment", "paymentId"), try paid.int("order", "finalAmount"))
        let total = 3 * 333 + 7 * 7_777
        #expect(final == Int64(total - total * 13 / 100))

        let units = Array(repeating: three, count: 3) + Array(repeating: seven, count: 7)
        let refunds = try await together(units) { try await live.admin.refund(payment, $0, 1) }
        #expect(refunds.statusCounts == ["201": 10])
        let amounts = try refunds.map { try $0.int("amount") }
        #expect(amounts.reduce(0, +) == final)
        // Every refund but the one that empties the payment is its unit's share, rounded down.
        let shares = units.map { final * ($0 == three ? 333 : 7_777) / Int64(total) }
        #expect(zip(amounts, shares).filter { $0 != $1 }.count <= 1)
        #expect(try await user.balance == 100_000)
        #expect(try await live.admin.refund(payment).code == "REFUND_EXCEEDS_PAYMENT")
        #expect(try await live.admin.stock(of: three) == 100)
    }

    @Test("a coupon comes back on a full refund alone, and only where its campaign says so", arguments: [true, false])
    func restoreOnRefund(restores: Bool) async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 5_000)
        let user = try await live.newUser(balance: 50_000)
        let campaign = try await live.admin.makeCoupon(quantity: 100, #", "restoreOnRefund": \#(restores)"#)
        let coupon = try await user.claim(campaign).expect(201).int("issuedCouponId")
        let payment = try await user.checkout(product, 2, coupon: coupon).expect(201).int("payment", "paymentId")
        _ = try await live.admin.refund(payment, product, 1).expect(201)
        #expect(try await user.checkout(product, coupon: coupon).code == "COUPON_NOT_USABLE")
        _ = try await live.admin.refund(payment).expect(201)
        let again = try await user.checkout(product, coupon: coupon)
        if restores {
            #expect(try again.expect(201).int("order", "discountAmount") == 1_000)
        } else {
            #expect(again.code == "COUPON_NOT_USABLE")
            #expect(try again.string("reason") == "USED")
        }
    }

    @Test("after all of this, every invariant holds and had rows to look at")
    func audit() async throws {
        let live = try service
        let product = try await live.admin.makeProduct(price: 1_000)
        let user = try await live.newUser(balance: 10_000)
        _ = try await user.claim(try await live.admin.makeCoupon()).expect(201)
        _ = try await user.checkout(product).expect(201)
        try await expectClean(live)
    }

    private func expectClean(_ live: LiveService) async throws {
        try await eventsDelivered(live)
        let report = try await live.audit()
        #expect(report.isClean, "\(report.checks.flatMap(\.violations))")
        #expect(Set(report.checks.map(\.invariant)).isSuperset(of: [1, 3, 4, 5, 6, 7, 8]))
    }
}
