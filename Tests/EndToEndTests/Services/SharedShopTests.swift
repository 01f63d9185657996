import JSON
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Requests that come to any of several services")
    struct SharedShopTests {}
}

extension EndToEnd.SharedShopTests {
    @Test("what one of three services answered, every other one knows: balances, orders, coupons, repeats and changes")
    func anyService() async throws {
        try await ServicesOnServers.run(3) { shop in
            let user = try await shop.newUser(at: 0, balance: 0)
            @Sendable func at(_ service: Int) -> Caller { Caller(pool: shop.services[service].pool, token: user.token, id: user.id) }
            let product = try await shop.admin.makeProduct(price: 1_000, stock: 50)

            // A repeat under one key finds the first answer, wherever it comes.
            let path = "/users/\(user.id)/balance/charges"
            let charged = try await at(0).post(path, #"{"amount": 90000}"#, key: "charge").expect(201)
            for service in [1, 2, 0] {
                let repeated = try await at(service).post(path, #"{"amount": 90000}"#, key: "charge").expect(201)
                #expect(repeated[header: "idempotent-replayed"] == "true" && repeated.body == charged.body)
                #expect(try await at(service).balance == 90_000)
            }
            #expect(try await at(1).post(path, #"{"amount": 90001}"#, key: "charge").status == 422)
            let together = try await TestSupport.together(Array(0..<30)) { index in
                try await at(index % 3).post(path, #"{"amount": 1000}"#, key: "at-once")
            }
            let first = together.filter { $0.status == 201 && $0[header: "idempotent-replayed"] == nil }
            #expect(first.count == 1, "\(together.statusCounts)")
            #expect(together.allSatisfy { $0.status == 201 || $0.code == "IDEMPOTENCY_KEY_IN_USE" }, "\(together.statusCounts)")
            #expect(try await at(2).balance == 91_000)

            // An order that is placed, paid, read and refunded by different services.
            let order = try await at(1).order(product, 4).expect(201).int("orderId")
            #expect(try await at(2).get("/orders/\(order)").expect(200).string("status") == "PENDING")
            let payment = try await at(2).pay(order).expect(201).int("paymentId")
            #expect(try await at(0).get("/orders/\(order)").expect(200).string("status") == "PAID")
            #expect(try await at(0).pay(order).status == 409)
            #expect(try await at(1).balance == 87_000)
            let admin = Caller(pool: shop.services[0].pool, token: shop.admin.token)
            _ = try await admin.refund(payment, product, 1).expect(201)
            #expect(try await at(2).balance == 88_000)

            // A coupon that one service made, another gave, and a third lists and takes.
            let coupon = try await admin.makeCoupon(quantity: 2)
            let issued = try await at(1).claim(coupon).expect(201).int("issuedCouponId")
            #expect(try await at(2).claim(coupon).code == "COUPON_ALREADY_CLAIMED")
            let listed = try await at(2).get("/users/\(user.id)/coupons").expect(200).items()
            #expect(listed.compactMap { $0["issuedCouponId"]?.int } == [issued])
            _ = try await at(0).checkout(product, 2, coupon: issued).expect(201)
            #expect(try await at(1).checkout(product, 2, coupon: issued).status == 409)
            #expect(try await at(1).balance == 87_000)

            // A change by one service is seen by the others once their copies are a second old at most.
            _ = try await Caller(pool: shop.services[2].pool, token: shop.admin.token).patch("/products/\(product)", #"{"price": 700}"#)
                .expect(200)
            for service in shop.services {
                try await eventually("the new price is shown") {
                    try await service.guest.get("/products/\(product)").expect(200).int("price") == 700
                }
                try await eventually("the sales of all services are in the ranking") {
                    try await service.guest.get("/products/top").expect(200).text.contains(#""unitsSold":5"#)
                }
            }
            try await eventually("every event is delivered once") { shop.platform.taken.count == 3 }
            #expect(Set(shop.platform.taken).count == 3)
        }
    }
}
