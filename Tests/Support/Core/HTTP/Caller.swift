import NIOCore

/// A client of the service: a user, an admin, or a guest without a token.
package struct Caller: Sendable {
    package var pool: HTTPPool
    package var token: String?
    /// The user's id; 0 for an admin or a guest.
    package var id: Int64 = 0
    /// How long an answer may take; nil for no limit.
    package var timeLimit: Duration?

    package init(pool: HTTPPool, token: String? = nil, id: Int64 = 0) {
        (self.pool, self.token, self.id) = (pool, token, id)
    }

    @discardableResult
    package func get(_ path: String, headers: [String: String] = [:]) async throws -> HTTPAnswer {
        try await call("GET", path, headers: headers)
    }

    /// Posts a JSON body, or none; `key` is the `Idempotency-Key`.
    @discardableResult
    package func post(_ path: String, _ body: String? = nil, key: String? = nil) async throws -> HTTPAnswer {
        try await call("POST", path, body: body, headers: key.map { ["Idempotency-Key": $0] } ?? [:])
    }

    @discardableResult
    package func patch(_ path: String, _ body: String) async throws -> HTTPAnswer {
        try await call("PATCH", path, body: body)
    }

    /// - Parameters:
    ///   - path: relative to `/api/v1`, except for the operational paths and full paths.
    ///   - headers: replace the default headers; an empty value removes one.
    package func call(_ method: String, _ path: String, body: String? = nil, headers: [String: String] = [:]) async throws -> HTTPAnswer {
        var fields = ["Host": "127.0.0.1"]
        if let token { fields["Authorization"] = "Bearer \(token)" }
        if let body {
            fields["Content-Type"] = "application/json"
            fields["Content-Length"] = String(body.utf8.count)
        } else if method == "POST" {
            fields["Content-Length"] = "0"
        }
        fields.merge(headers) { $1 }
        let isOperational = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/api/"].contains { path.hasPrefix($0) }
        var bytes = ByteBuffer(string: "\(method) \(isOperational ? "" : "/api/v1")\(path) HTTP/1.1\r\n")
        for (name, value) in fields where !value.isEmpty { bytes.writeString("\(name): \(value)\r\n") }
        bytes.writeString("\r\n")
        if let body { bytes.writeString(body) }
        return try await pool.send(bytes, isHead: method == "HEAD", within: timeLimit)
    }
}

// MARK: - What tests do again and again

extension Caller {
    @discardableResult
    package func charge(_ amount: Int64) async throws -> HTTPAnswer {
        try await post("/users/\(id)/balance/charges", #"{"amount": \#(amount)}"#).expect(201)
    }

    package var balance: Int64 {
        get async throws { try await get("/users/\(id)/balance").expect(200).int("balance") }
    }

    package func order(_ product: Int64, _ quantity: Int64 = 1, coupon: Int64? = nil) async throws -> HTTPAnswer {
        try await post("/orders", Self.orderBody(product, quantity, coupon: coupon))
    }

    package func checkout(_ product: Int64, _ quantity: Int64 = 1, coupon: Int64? = nil) async throws -> HTTPAnswer {
        try await post("/checkout", Self.orderBody(product, quantity, coupon: coupon))
    }

    package func pay(_ order: Int64) async throws -> HTTPAnswer { try await post("/payments", #"{"orderId": \#(order)}"#) }

    package func cancel(_ order: Int64) async throws -> HTTPAnswer { try await post("/orders/\(order)/cancel") }

    package func claim(_ coupon: Int64) async throws -> HTTPAnswer { try await post("/coupons/\(coupon)/claims") }

    /// Refunds some units of one product, or everything not yet refunded.
    package func refund(_ payment: Int64, _ product: Int64? = nil, _ quantity: Int64 = 1) async throws -> HTTPAnswer {
        let items = product.map { #"{"items": [{"productId": \#($0), "quantity": \#(quantity)}]}"# }
        return try await post("/payments/\(payment)/refunds", items)
    }

    /// Creates a product and returns its id.
    package func makeProduct(price: Int64 = 10_000, stock: Int64 = 100, name: String = "요가 매트") async throws -> Int64 {
        try await post("/products", #"{"name": "\#(name)", "price": \#(price), "stock": \#(stock)}"#).expect(201).int("productId")
    }

    /// Creates a campaign and returns its id; `terms` are further members, each after a comma.
    ///
    /// By default it has been open for years: tests move the service's clock, whose time may be in the future for Redis.
    package func makeCoupon(quantity: Int64 = 100, discount: String = #"{"type": "FIXED", "amount": 1000}"#, _ terms: String = "")
        async throws
        -> Int64
    {
        let opening = terms.contains("opensAt") ? "" : #", "opensAt": "2020-01-01T00:00:00Z""#
        let body = #"{"name": "선착순", "discount": \#(discount), "quantity": \#(quantity)\#(opening)\#(terms)}"#
        return try await post("/coupons", body).expect(201).int("couponId")
    }

    package func stock(of product: Int64) async throws -> Int64 { try await get("/products/\(product)").expect(200).int("stock") }

    package static func orderBody(_ product: Int64, _ quantity: Int64, coupon: Int64? = nil) -> String {
        let coupon = coupon.map { #", "issuedCouponId": \#($0)"# } ?? ""
        return #"{"items": [{"productId": \#(product), "quantity": \#(quantity)}]\#(coupon)}"#
    }
}
