import TestSupport

/// Orders, payments, checkouts and charges of many users over many products of one service.
struct Sales: Sendable {
    private let shop: Shop
    private let tokens: Tokens
    private let users: Int
    private let store: any SalesStore
    private let orders: RequestFile
    private let checkouts: RequestFile

    /// - Parameters:
    ///   - tokens: of the users from 1 on.
    ///   - products: how many there are, each with more stock than is sold.
    init(_ shop: Shop, _ tokens: Tokens, users: Int, products: Int) throws {
        (self.shop, self.tokens, self.users) = (shop, tokens, users)
        store = if let database = shop.database { database } else { try StoreFile(dataFolder: shop.dataFolder) }
        func buying(_ path: String) throws -> RequestFile {
            try RequestFile(
                (1...users).lazy.map { user in
                    // A step without a common divisor with the number of products, so that consecutive users buy different ones.
                    let body = Caller.orderBody(Int64(1 + user * 7 % products), 1)
                    return RequestText(method: "POST", path: path, token: tokens[user], body: body)
                }, in: shop.folder.path)
        }
        (orders, checkouts) = (try buying("/api/v1/orders"), try buying("/api/v1/checkout"))
    }

    private func load(_ route: String) -> ServiceLoad { ServiceLoad(shop: shop, method: "POST", route: route, expected: "2xx") }

    func placing(_ count: Int) async throws -> Sample { try await load("/api/v1/orders").run(orders, .requests(count)) }

    /// Pays pending orders, after placing as many as are missing.
    func paying(_ count: Int) async throws -> Sample {
        let missing = count - (try await store.pendingOrders(limit: count).count)
        if missing > 0 { _ = try await placing(missing) }
        let pending = try await store.pendingOrders(limit: count)
        let file = try RequestFile(
            pending.lazy.map { order in
                RequestText(
                    method: "POST", path: "/api/v1/payments", token: tokens[Int(order.user)], body: #"{"orderId": \#(order.id)}"#)
            }, in: shop.folder.path)
        defer { file.remove() }
        try await shop.database?.prepareForLoad()
        return try await withLateWork { try await load("/api/v1/payments").run(file, .requests(pending.count)) }
    }

    func checkingOut(_ count: Int) async throws -> Sample {
        try await withLateWork { try await load("/api/v1/checkout").run(checkouts, .requests(count)) }
    }

    /// Each charge has an `Idempotency-Key` of its own, as a careful client would send it.
    func charging(_ count: Int, round: Int) async throws -> Sample {
        try await charge((0..<count).lazy.map { number in (1 + number % users, "bench-\(round)-\(number)") }, amount: 1_000)
    }

    /// Charges the balance of every user once.
    func giveMoney(_ amount: Int) async throws {
        let sample = try await charge((1...users).lazy.map { ($0, nil) }, amount: amount)
        guard sample.problems.isEmpty else { throw BenchFailure(sample.problems.joined(separator: "; ")) }
    }

    private func charge(_ charges: some Collection<(user: Int, key: String?)>, amount: Int) async throws -> Sample {
        let file = try RequestFile(
            charges.lazy.map { user, key in
                RequestText(
                    method: "POST", path: "/api/v1/users/\(user)/balance/charges", token: tokens[user], body: #"{"amount": \#(amount)}"#,
                    key: key)
            }, in: shop.folder.path)
        defer { file.remove() }
        return try await load("/api/v1/users/{userId}/balance/charges").run(file, .requests(charges.count))
    }
}

// MARK: - What follows from a sale

extension Sales {
    /// Waits until the ranking has counted every sale and every event is delivered, so that no work of one row falls into the next.
    func rest() async throws {
        try await eventually("all events are delivered and counted", within: .seconds(300)) {
            try await Task.sleep(for: .milliseconds(20))
            guard try await store.undeliveredEvents() == 0 else { return false }
            return try await store.isCounted(by: shop)
        }
    }

    /// Measures a row of sales, and then the work that the service does for them after the last answer: counting them into the ranking
    /// and delivering their events. PostgreSQL does nothing of the kind.
    private func withLateWork(_ body: () async throws -> Sample) async throws -> Sample {
        var sample = try await body()
        let (before, start) = (try shop.cpuMicroseconds(), ContinuousClock.now)
        try await rest()
        sample.lateSeconds = start.duration(to: .now) / .seconds(1)
        sample.lateCPU = (try shop.cpuMicroseconds() - before) / Double(max(sample.requests, 1))
        return sample
    }
}
