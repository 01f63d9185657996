import JSON
import TestSupport
import Testing

/// One way to be refused: what the API document calls it, and how to come to it.
struct RefusalCase: Sendable, CustomTestStringConvertible {
    /// Method and path as the API document writes them.
    let route: String
    let status: Int
    let code: String
    /// The shapes of the members that this refusal has beyond those of every problem.
    var members: [String: String] = [:]
    let request: @Sendable (LiveService) async throws -> HTTPAnswer

    var testDescription: String { "\(route) \(code)" }
}

/// What each route documents about refusals beyond 400, 401 and 403, and the two 400 with codes of their own.
enum ContractRefusals {
    static let table: [String: Set<String>] = [
        "GET /users/{userId}": ["USER_NOT_FOUND"],
        "GET /users/{userId}/balance": ["USER_NOT_FOUND"],
        "POST /users/{userId}/balance/charges": ["AMOUNT_OUT_OF_RANGE", "BALANCE_LIMIT_EXCEEDED", "USER_NOT_FOUND"],
        "GET /users/{userId}/balance/history": ["USER_NOT_FOUND"],
        "PATCH /products/{productId}": ["OUT_OF_STOCK", "PRECONDITION_FAILED", "PRODUCT_NOT_FOUND"],
        "GET /products/{productId}": ["PRODUCT_NOT_FOUND"],
        "PATCH /coupons/{couponId}": ["QUANTITY_ISSUED", "PRECONDITION_FAILED", "COUPON_NOT_FOUND"],
        "GET /coupons/{couponId}": ["COUPON_NOT_FOUND"],
        "POST /coupons/{couponId}/claims": [
            "COUPON_NOT_FOUND", "USER_NOT_FOUND", "COUPON_SOLD_OUT", "COUPON_ALREADY_CLAIMED", "COUPON_NOT_OPEN", "COUPON_CLOSED",
        ],
        "GET /users/{userId}/coupons": ["USER_NOT_FOUND"],
        "POST /orders": ["PRODUCT_NOT_FOUND", "OUT_OF_STOCK", "COUPON_NOT_USABLE", "USER_NOT_FOUND"],
        "POST /orders/{orderId}/cancel": ["ORDER_NOT_FOUND", "ORDER_NOT_CANCELLABLE"],
        "GET /orders/{orderId}": ["ORDER_NOT_FOUND"],
        "GET /users/{userId}/orders": ["USER_NOT_FOUND"],
        "POST /payments": ["ORDER_NOT_FOUND", "INSUFFICIENT_BALANCE", "ORDER_NOT_PAYABLE"],
        "GET /payments/{paymentId}": ["PAYMENT_NOT_FOUND"],
        "POST /payments/{paymentId}/refunds": ["PAYMENT_NOT_FOUND", "REFUND_EXCEEDS_PAYMENT"],
        "POST /checkout": ["PRODUCT_NOT_FOUND", "OUT_OF_STOCK", "COUPON_NOT_USABLE", "INSUFFICIENT_BALANCE", "USER_NOT_FOUND"],
        "POST /coupons/{couponId}/grants": ["COUPON_NOT_FOUND"],
        "GET /coupons/{couponId}/grants": ["COUPON_NOT_FOUND"],
        "GET /coupons/{couponId}/grants/{grantId}": ["COUPON_NOT_FOUND", "GRANT_NOT_FOUND"],
        // Beyond shopping: how operators see and retry what the data platform did not take.
        "POST /admin/events/{eventId}/retry": ["EVENT_NOT_FOUND", "EVENT_NOT_PARKED"],
    ]
    /// An id that nothing has.
    static let nobody: Int64 = 9_000_000_000
}

// MARK: - Things that do not exist

extension RefusalCase {
    private static func missing(_ route: String, _ code: String, _ request: @escaping @Sendable (LiveService) async throws -> HTTPAnswer)
        -> RefusalCase
    {
        let members = code == "PRODUCT_NOT_FOUND" ? ["productId": "int"] : [:]
        return RefusalCase(route: route, status: 404, code: code, members: members, request: request)
    }

    private static let nobody = ContractRefusals.nobody

    static let missingThings: [RefusalCase] = [
        missing("GET /users/{userId}", "USER_NOT_FOUND") { try await $0.admin.get("/users/\(nobody)") },
        missing("GET /users/{userId}/balance", "USER_NOT_FOUND") { try await $0.admin.get("/users/\(nobody)/balance") },
        missing("GET /users/{userId}/balance/history", "USER_NOT_FOUND") { try await $0.admin.get("/users/\(nobody)/balance/history") },
        missing("GET /users/{userId}/coupons", "USER_NOT_FOUND") { try await $0.admin.get("/users/\(nobody)/coupons") },
        missing("GET /users/{userId}/orders", "USER_NOT_FOUND") { try await $0.admin.get("/users/\(nobody)/orders") },
        missing("POST /users/{userId}/balance/charges", "USER_NOT_FOUND") {
            try await $0.caller(user: nobody).post("/users/\(nobody)/balance/charges", #"{"amount": 1000}"#)
        },
        missing("POST /coupons/{couponId}/grants", "COUPON_NOT_FOUND") {
            try await $0.admin.post("/coupons/\(nobody)/grants", #"{"userIds": [1]}"#)
        },
        missing("GET /coupons/{couponId}/grants", "COUPON_NOT_FOUND") { try await $0.admin.get("/coupons/\(nobody)/grants") },
        missing("GET /coupons/{couponId}/grants/{grantId}", "COUPON_NOT_FOUND") { try await $0.admin.get("/coupons/\(nobody)/grants/1") },
        missing("GET /coupons/{couponId}/grants/{grantId}", "GRANT_NOT_FOUND") { live in
            try await live.admin.get("/coupons/\(try await live.admin.makeCoupon())/grants/\(nobody)")
        },
        missing("POST /coupons/{couponId}/claims", "USER_NOT_FOUND") { live in
            try await live.caller(user: nobody).claim(try await live.admin.makeCoupon())
        },
        missing("POST /orders", "USER_NOT_FOUND") { live in
            try await live.caller(user: nobody).order(try await live.admin.makeProduct())
        },
        missing("POST /checkout", "USER_NOT_FOUND") { live in
            try await live.caller(user: nobody).checkout(try await live.admin.makeProduct())
        },
        missing("GET /products/{productId}", "PRODUCT_NOT_FOUND") { try await $0.guest.get("/products/\(nobody)") },
        missing("PATCH /products/{productId}", "PRODUCT_NOT_FOUND") { try await $0.admin.patch("/products/\(nobody)", #"{"price": 1}"#) },
        missing("POST /orders", "PRODUCT_NOT_FOUND") { try await $0.newUser().order(nobody) },
        missing("POST /checkout", "PRODUCT_NOT_FOUND") { try await $0.newUser().checkout(nobody) },
        missing("GET /coupons/{couponId}", "COUPON_NOT_FOUND") { try await $0.guest.get("/coupons/\(nobody)") },
        missing("PATCH /coupons/{couponId}", "COUPON_NOT_FOUND") { try await $0.admin.patch("/coupons/\(nobody)", #"{"quantity": 1}"#) },
        missing("POST /coupons/{couponId}/claims", "COUPON_NOT_FOUND") { try await $0.newUser().claim(nobody) },
        missing("GET /orders/{orderId}", "ORDER_NOT_FOUND") { try await $0.admin.get("/orders/\(nobody)") },
        missing("POST /orders/{orderId}/cancel", "ORDER_NOT_FOUND") { try await $0.newUser().cancel(nobody) },
        missing("POST /payments", "ORDER_NOT_FOUND") { try await $0.newUser().pay(nobody) },
        missing("GET /payments/{paymentId}", "PAYMENT_NOT_FOUND") { try await $0.newUser().get("/payments/\(nobody)") },
        missing("POST /payments/{paymentId}/refunds", "PAYMENT_NOT_FOUND") { try await $0.admin.refund(nobody) },
        missing("POST /admin/events/{eventId}/retry", "EVENT_NOT_FOUND") { try await $0.admin.post("/admin/events/\(nobody)/retry") },
    ]
}

// MARK: - Rules of balance, products and campaigns

extension RefusalCase {
    static let tooMuch: [RefusalCase] =
        [Int64.min, -1_000, 0, 999, 1_000_001, Int64.max].map { amount in
            RefusalCase(
                route: "POST /users/{userId}/balance/charges", status: 400, code: "AMOUNT_OUT_OF_RANGE",
                members: ["minimum": "int", "maximum": "int", "errors": "[{field: string, reason: string}]"]
            ) { live in
                let user = try await live.newUser()
                return try await user.post("/users/\(user.id)/balance/charges", #"{"amount": \#(amount)}"#)
            }
        } + [
            RefusalCase(
                route: "POST /users/{userId}/balance/charges", status: 400, code: "BALANCE_LIMIT_EXCEEDED",
                members: ["limit": "int", "balance": "int"]
            ) { live in
                let user = try await live.newUser(balance: 10_000_000)
                return try await user.post("/users/\(user.id)/balance/charges", #"{"amount": 1000}"#)
            },
            RefusalCase(
                route: "PATCH /products/{productId}", status: 409, code: "OUT_OF_STOCK", members: ["productId": "int", "available": "int"]
            ) { live in
                let product = try await live.admin.makeProduct(stock: 5)
                _ = try await live.newUser().order(product, 3).expect(201)
                return try await live.admin.patch("/products/\(product)", #"{"stockChange": -3}"#)
            },
            RefusalCase(route: "PATCH /products/{productId}", status: 412, code: "PRECONDITION_FAILED") { live in
                let path = "/products/\(try await live.admin.makeProduct())"
                return try await live.admin.call("PATCH", path, body: #"{"price": 1}"#, headers: ["If-Match": #""another""#])
            },
            RefusalCase(route: "PATCH /coupons/{couponId}", status: 412, code: "PRECONDITION_FAILED") { live in
                let path = "/coupons/\(try await live.admin.makeCoupon())"
                return try await live.admin.call("PATCH", path, body: #"{"quantity": 1}"#, headers: ["If-Match": #""another""#])
            },
            RefusalCase(route: "PATCH /coupons/{couponId}", status: 409, code: "QUANTITY_ISSUED", members: ["issued": "int"]) { live in
                let coupon = try await live.admin.makeCoupon(quantity: 5)
                for _ in 0..<2 { _ = try await live.newUser().claim(coupon).expect(201) }
                return try await live.admin.patch("/coupons/\(coupon)", #"{"quantity": 1}"#)
            },
        ]
}

// MARK: - Claims

extension RefusalCase {
    private static func claim(
        _ code: String, _ terms: String = "", members: [String: String] = [:],
        before: @escaping @Sendable (LiveService, Int64, Caller) async throws -> Void = { _, _, _ in }
    ) -> RefusalCase {
        RefusalCase(route: "POST /coupons/{couponId}/claims", status: 409, code: code, members: members) { live in
            let coupon = try await live.admin.makeCoupon(quantity: 1, terms)
            let user = try await live.newUser()
            try await before(live, coupon, user)
            return try await user.claim(coupon)
        }
    }

    private static let issuedCoupon =
        "{issuedCouponId: int, code: code, couponId: int, userId: int, name: string, discount: {type: FIXED, amount: int}, minOrderAmount: int, "
        + "sequence: int, status: ISSUED, issuedAt: instant, expiresAt: instant, usedAt: null, orderId: null}"

    static let claims: [RefusalCase] = [
        claim("COUPON_SOLD_OUT") { live, coupon, _ in _ = try await live.newUser().claim(coupon).expect(201) },
        claim("COUPON_ALREADY_CLAIMED", members: ["issuedCoupon": issuedCoupon]) { _, coupon, user in
            _ = try await user.claim(coupon).expect(201)
        },
        claim("COUPON_NOT_OPEN", #", "opensAt": "2098-01-01T00:00:00Z""#, members: ["opensAt": "instant"]),
        claim("COUPON_CLOSED", #", "opensAt": "2020-01-01T00:00:00Z", "closesAt": "2020-02-01T00:00:00Z""#),
    ]
}

// MARK: - Orders, payments and refunds

extension RefusalCase {
    /// Both routes that place an order refuse the same things.
    private static func placing(
        _ code: String, members: [String: String], _ request: @escaping @Sendable (LiveService, _ path: String) async throws -> HTTPAnswer
    ) -> [RefusalCase] {
        ["/orders", "/checkout"].map { path in
            RefusalCase(route: "POST \(path)", status: 409, code: code, members: members) { try await request($0, path) }
        }
    }

    /// - Parameter spoil: makes the user's issued coupon unusable for the product, or answers that of somebody else.
    private static func unusable(
        _ reason: String, terms: String = "",
        _ spoil: @escaping @Sendable (LiveService, Caller, _ product: Int64, _ coupon: Int64) async throws -> Int64
    ) -> [RefusalCase] {
        placing("COUPON_NOT_USABLE", members: ["reason": reason]) { live, path in
            let product = try await live.admin.makeProduct(price: 5_000)
            let user = try await live.newUser(balance: 100_000)
            let coupon = try await user.claim(try await live.admin.makeCoupon(terms)).expect(201).int("issuedCouponId")
            let used = try await spoil(live, user, product, coupon)
            return try await user.post(path, Caller.orderBody(product, 1, coupon: used))
        }
    }

    static let orders: [RefusalCase] =
        placing("OUT_OF_STOCK", members: ["productId": "int", "available": "int"]) { live, path in
            try await live.newUser(balance: 100_000).post(path, Caller.orderBody(try await live.admin.makeProduct(stock: 2), 3))
        }
        + unusable("NOT_YOURS") { live, _, _, _ in
            try await live.newUser().claim(try await live.admin.makeCoupon()).expect(201).int("issuedCouponId")
        }
        + unusable("NOT_YOURS") { _, _, _, _ in ContractRefusals.nobody }
        + unusable("USED") { _, user, product, coupon in
            _ = try await user.checkout(product, coupon: coupon).expect(201)
            return coupon
        }
        + unusable("HELD") { _, user, product, coupon in
            _ = try await user.order(product, coupon: coupon).expect(201)
            return coupon
        }
        + unusable("EXPIRED", terms: #", "validFor": 1"#) { live, user, _, coupon in
            try await eventually("the coupon has expired") {
                try await user.get("/users/\(user.id)/coupons?status=EXPIRED").items().count == 1
            }
            return coupon
        }
        + unusable("BELOW_MINIMUM", terms: #", "minOrderAmount": 5001"#) { _, _, _, coupon in coupon }

    static let payments: [RefusalCase] = [
        RefusalCase(
            route: "POST /payments", status: 409, code: "INSUFFICIENT_BALANCE", members: ["balance": "int", "required": "int"]
        ) { live in
            let user = try await live.newUser(balance: 9_000)
            let order = try await user.order(try await live.admin.makeProduct(price: 9_001)).expect(201).int("orderId")
            let refusal = try await user.pay(order)
            #expect(try await user.get("/orders/\(order)").string("status") == "PENDING")
            return refusal
        },
        RefusalCase(
            route: "POST /checkout", status: 409, code: "INSUFFICIENT_BALANCE", members: ["balance": "int", "required": "int"]
        ) { live in
            let user = try await live.newUser(balance: 9_000)
            let refusal = try await user.checkout(try await live.admin.makeProduct(price: 9_001))
            #expect(try await user.get("/users/\(user.id)/orders").items().isEmpty)
            return refusal
        },
        over("POST /payments", "ORDER_NOT_PAYABLE", "PAID") { user, order in
            _ = try await user.pay(order).expect(201)
        } then: {
            try await $0.pay($1)
        },
        over("POST /payments", "ORDER_NOT_PAYABLE", "CANCELLED") { user, order in
            _ = try await user.cancel(order).expect(200)
        } then: {
            try await $0.pay($1)
        },
        over("POST /orders/{orderId}/cancel", "ORDER_NOT_CANCELLABLE", "PAID") { user, order in
            _ = try await user.pay(order).expect(201)
        } then: {
            try await $0.cancel($1)
        },
        over("POST /orders/{orderId}/cancel", "ORDER_NOT_CANCELLABLE", "CANCELLED") { user, order in
            _ = try await user.cancel(order).expect(200)
        } then: {
            try await $0.cancel($1)
        },
        excess { product in (product, 3) },
        excess { _ in (ContractRefusals.nobody, 1) },
        RefusalCase(route: "POST /payments/{paymentId}/refunds", status: 409, code: "REFUND_EXCEEDS_PAYMENT") { live in
            let product = try await live.admin.makeProduct()
            let payment = try await live.newUser(balance: 100_000).checkout(product).expect(201).int("payment", "paymentId")
            _ = try await live.admin.refund(payment).expect(201)
            return try await live.admin.refund(payment)
        },
        RefusalCase(route: "POST /admin/events/{eventId}/retry", status: 409, code: "EVENT_NOT_PARKED") { live in
            _ = try await live.newUser(balance: 100_000).checkout(try await live.admin.makeProduct()).expect(201)
            return try await live.admin.post("/admin/events/\(try live.firstEvent)/retry")
        },
    ]

    private static func over(
        _ route: String, _ code: String, _ status: String, _ end: @escaping @Sendable (Caller, Int64) async throws -> Void,
        then request: @escaping @Sendable (Caller, Int64) async throws -> HTTPAnswer
    ) -> RefusalCase {
        RefusalCase(route: route, status: 409, code: code, members: ["orderStatus": status]) { live in
            let user = try await live.newUser(balance: 100_000)
            let order = try await user.order(try await live.admin.makeProduct()).expect(201).int("orderId")
            try await end(user, order)
            return try await request(user, order)
        }
    }

    /// A refund of something that two bought units do not cover.
    private static func excess(_ item: @escaping @Sendable (_ product: Int64) -> (Int64, Int64)) -> RefusalCase {
        RefusalCase(route: "POST /payments/{paymentId}/refunds", status: 409, code: "REFUND_EXCEEDS_PAYMENT") { live in
            let product = try await live.admin.makeProduct()
            let payment = try await live.newUser(balance: 100_000).checkout(product, 2).expect(201).int("payment", "paymentId")
            let (refunded, quantity) = item(product)
            return try await live.admin.refund(payment, refunded, quantity)
        }
    }

    static let all = missingThings + tooMuch + claims + orders + payments
}

extension Caller {
    fileprivate func makeCoupon(_ terms: String) async throws -> Int64 { try await makeCoupon(quantity: 100, terms) }
}
