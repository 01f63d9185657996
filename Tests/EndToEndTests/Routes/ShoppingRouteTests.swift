import JSON
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Claims, orders, payments and refunds answer as the API document says", .sharedService, .everyEngine)
    struct ShoppingRouteTests {}
}

extension EndToEnd.ShoppingRouteTests {
    private static func coupon(status: String, usedAt: String = "null", orderId: String = "null", isSealed: Bool = true) -> String {
        "{issuedCouponId: int, code: code, couponId: int, userId: int, name: string, discount: {type: FIXED, amount: int}, minOrderAmount: int, "
            + "sequence: int, status: \(status), issuedAt: instant, expiresAt: instant, usedAt: \(usedAt), orderId: \(orderId)\(isSealed ? receipt : "")}"
    }
    private static let receipt = ", receipt: {nonce: string, userHash: string, previousHash: string, hash: string}"
    private static func order(status: String, coupon: String = "null", paidAt: String = "null") -> String {
        "{orderId: int, orderNumber: orderNumber, userId: int, status: \(status), "
            + "items: [{productId: int, name: string, unitPrice: int, quantity: int, amount: int}], totalAmount: int, discountAmount: int, "
            + "finalAmount: int, issuedCouponId: \(coupon), createdAt: instant, expiresAt: instant, paidAt: \(paidAt)}"
    }
    private static let payment =
        "{paymentId: int, orderId: int, orderNumber: orderNumber, userId: int, amount: int, balance: int, paidAt: instant, refundedAmount: int}"

    @Test("a claim needs no body, answers the coupon with its code and place, and the user's list shows every state it goes through")
    func claims() async throws {
        let admin = try service.admin
        let coupon = try await admin.makeCoupon()
        let product = try await admin.makeProduct(price: 5_000)
        let (first, second) = (try await service.newUser(), try await service.newUser(balance: 50_000))
        #expect(try await first.claim(coupon).expect(201).int("sequence") == 1)
        let claim = try await second.post("/coupons/\(coupon)/claims", "{}").expect(201)
        #expect(try claim.json().shape == Self.coupon(status: "ISSUED", isSealed: false))
        #expect(try claim.int("sequence") == 2 && claim.int("userId") == second.id && claim.int("couponId") == coupon)

        let list = "/users/\(second.id)/coupons"
        let issued = try claim.int("issuedCouponId")
        #expect(try await second.get(list).expect(200).items().map { $0["issuedCouponId"]?.int } == [issued])
        try await eventually("the win is sealed") { try await second.get(list).items().first?["receipt"] != nil }
        #expect(try await second.get(list).items().map(\.shape) == [Self.coupon(status: "ISSUED")])
        let order = try await second.order(product, coupon: issued).expect(201).int("orderId")
        #expect(try await second.get(list + "?status=HELD").items().map(\.shape) == [Self.coupon(status: "HELD", orderId: "int")])
        _ = try await second.pay(order).expect(201)
        let used = try await service.admin.get(list + "?status=USED").items()
        #expect(used.map(\.shape) == [Self.coupon(status: "USED", usedAt: "instant", orderId: "int")])
        #expect(used.first?["orderId"]?.int == order)
        for status in ["ISSUED", "HELD", "EXPIRED"] { #expect(try await second.get(list + "?status=\(status)").items().isEmpty) }
    }

    @Test("an order adds up its lines, takes the coupon off, and is found by its owner, by an admin and in the owner's list")
    func orders() async throws {
        let admin = try service.admin
        let (apples, pears) = (try await admin.makeProduct(price: 1_500), try await admin.makeProduct(price: 4_000))
        let user = try await service.newUser()
        let coupon = try await user.claim(try await admin.makeCoupon()).expect(201).int("issuedCouponId")
        let body = """
            {"items": [{"productId": \(apples), "quantity": 2}, {"productId": \(pears), "quantity": 1}, {"productId": \(apples), "quantity": 3}],
             "issuedCouponId": \(coupon)}
            """
        let order = try await user.post("/orders", body).expect(201)
        #expect(try order.json().shape == Self.order(status: "PENDING", coupon: "int"))
        #expect(try order.items().map { $0["quantity"]?.int } == [5, 1])
        #expect(try order.items().map { $0["amount"]?.int } == [7_500, 4_000])
        #expect(try order.int("totalAmount") == 11_500 && order.int("discountAmount") == 1_000 && order.int("finalAmount") == 10_500)
        let id = try order.int("orderId")
        #expect(order[header: "location"] == "/api/v1/orders/\(id)")
        for caller in [user, admin] {
            #expect(try await caller.get("/orders/\(id)").expect(200).text == order.text)
            #expect(try await caller.get("/users/\(user.id)/orders").expect(200).items() == [order.json()])
        }
        let cancelled = try await admin.cancel(id).expect(200)
        #expect(try cancelled.json().shape == Self.order(status: "CANCELLED", coupon: "int"))
    }

    @Test(
        "a discount never goes below nothing to pay, and a share is rounded down and then capped",
        arguments: [
            (#"{"type": "FIXED", "amount": 9999999}"#, 3_333, 3_333), (#"{"type": "PERCENT", "percent": 10}"#, 3_339, 333),
            (#"{"type": "PERCENT", "percent": 50, "maxAmount": 1000}"#, 3_333, 1_000), (#"{"type": "PERCENT", "percent": 100}"#, 777, 777),
        ] as [(String, Int64, Int64)])
    func discounts(discount: String, price: Int64, expected: Int64) async throws {
        let admin = try service.admin
        let product = try await admin.makeProduct(price: price)
        let user = try await service.newUser(balance: 10_000)
        let coupon = try await user.claim(try await admin.makeCoupon(discount: discount)).expect(201).int("issuedCouponId")
        let paid = try await user.checkout(product, coupon: coupon).expect(201)
        #expect(try paid.int("order", "discountAmount") == expected)
        #expect(try paid.int("payment", "amount") == price - expected)
        #expect(try await user.balance == 10_000 - price + expected)
    }

    @Test("a payment answers the order's number and the balance after it, and the order is paid")
    func payments() async throws {
        let admin = try service.admin
        let product = try await admin.makeProduct(price: 30_000)
        let user = try await service.newUser(balance: 100_000)
        let order = try await user.order(product, 2).expect(201)
        let id = try order.int("orderId")
        let payment = try await user.pay(id).expect(201)
        #expect(try payment.json().shape == Self.payment)
        #expect(try payment.int("amount") == 60_000 && payment.int("balance") == 40_000 && payment.int("refundedAmount") == 0)
        #expect(try payment.string("orderNumber") == order.string("orderNumber"))
        let location = try #require(payment[header: "location"])
        for caller in [user, admin] { #expect(try await caller.get(location).expect(200).text == payment.text) }
        let paid = try await user.get("/orders/\(id)").expect(200)
        #expect(try paid.json().shape == Self.order(status: "PAID", paidAt: "instant"))
        #expect(try paid.string("paidAt") == payment.string("paidAt"))
    }

    @Test("a checkout answers order and payment of one moment, and points to the order")
    func checkout() async throws {
        let product = try await service.admin.makeProduct(price: 30_000)
        let user = try await service.newUser(balance: 100_000)
        let answer = try await user.checkout(product, 3).expect(201)
        #expect(try answer.json().shape == "{order: \(Self.order(status: "PAID", paidAt: "instant")), payment: \(Self.payment)}")
        let order = try answer.int("order", "orderId")
        #expect(answer[header: "location"] == "/api/v1/orders/\(order)")
        #expect(try answer.int("payment", "balance") == 10_000 && answer.int("payment", "orderId") == order)
    }

    @Test("a refund of some units pays their share, and the refund without items pays all that is left")
    func refunds() async throws {
        let (admin, user) = (try service.admin, try await service.newUser(balance: 100_000))
        let product = try await admin.makeProduct(price: 10_000, stock: 5)
        let paid = try await user.checkout(product, 3).expect(201)
        let (payment, order) = (try paid.int("payment", "paymentId"), try paid.int("order", "orderId"))
        let part = try await admin.refund(payment, product, 1).expect(201)
        #expect(
            try part.json().shape == "{refundId: int, paymentId: int, amount: int, refundedAmount: int, balance: int, refundedAt: instant}")
        #expect(try part.int("amount") == 10_000 && part.int("refundedAmount") == 10_000 && part.int("balance") == 80_000)
        #expect(try await user.get("/orders/\(order)").string("status") == "PAID")
        let rest = try await admin.post("/payments/\(payment)/refunds", "{}").expect(201)
        #expect(try rest.int("amount") == 20_000 && rest.int("refundedAmount") == 30_000 && rest.int("balance") == 100_000)
        #expect(try await user.get("/orders/\(order)").string("status") == "REFUNDED")
        #expect(try await user.get("/payments/\(payment)").int("refundedAmount") == 30_000)
        #expect(try await admin.stock(of: product) == 5)
    }

    @Test("order numbers count the orders of a business day, in the order in which they were placed")
    func orderNumbers() async throws {
        let product = try await service.admin.makeProduct(price: 1_000)
        let user = try await service.newUser()
        let first = try await user.order(product).expect(201).string("orderNumber")
        let second = try await user.order(product).expect(201).string("orderNumber")
        #expect(first.prefix(9) == second.prefix(9) && first < second)
    }
}
