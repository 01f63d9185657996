import TestSupport

/// Orders and money, durable, against PostgreSQL that does the same work.
struct MoneyRows: BenchPart {
    let title = "money"
    let rows: [Row] = [.order, .payment, .checkout, .charge] + Row.allCases.filter { $0.rawValue.contains("PostgreSQL") }

    /// Enough that PostgreSQL's clients seldom wait for each other's row.
    static let users = 10_000
    static let products = 1_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withBelongings { belongings in
            progress.tell("money: making \(Self.users) users and \(Self.products) products for the service and for PostgreSQL")
            let stage = try await MoneyStage(try await Shop.open(belongings))
            let peer = try await PostgresStage(try await Postgres(belongings), users: Self.users, products: Self.products)
            var findings = Findings()
            // PostgreSQL's rows stand beside the service's, so that each round holds both.
            for comparison in stage.comparisons(settings, peer) {
                let kept = comparison.keeping(settings.only)
                if !kept.contenders.isEmpty { findings.rows += try await kept.run(rounds: settings.rounds, progress: progress) }
            }
            try await stage.rest()
            progress.tell("money: firstcome audit")
            try await stage.shop.audit()
            try await peer.check()
            return findings
        }
    }
}

/// The service with users that have money and products that have stock.
struct MoneyStage: Sendable {
    let shop: Shop
    private let tokens: Tokens
    private let store: StoreFile
    private let orders: RequestFile
    private let checkouts: RequestFile

    init(_ shop: Shop) async throws {
        self.shop = shop
        let tokens = try await shop.makeUsers(MoneyRows.users)
        self.tokens = tokens
        store = try StoreFile(dataFolder: shop.dataFolder)
        for number in 1...MoneyRows.products {
            _ = try await shop.admin.makeProduct(price: 1_000, stock: 1_000_000_000, name: "요가 매트 \(number)")
        }
        let users = 1...MoneyRows.users
        func buying(_ path: String) throws -> RequestFile {
            try RequestFile(
                users.map { user in
                    // A step that has no divisor in common with the number of products, so that neighbours buy different ones.
                    let product = 1 + user * 7 % MoneyRows.products
                    return RequestText(
                        method: "POST", path: path, token: tokens[user], body: Caller.orderBody(Int64(product), 1))
                }, in: shop.folder.path)
        }
        (orders, checkouts) = (try buying("/api/v1/orders"), try buying("/api/v1/checkout"))
        let charge = try charges(users.map { ($0, nil) }, amount: 1_000_000)
        defer { charge.remove() }
        let sample = try await load("/api/v1/users/{userId}/balance/charges").run(charge, .requests(MoneyRows.users))
        guard sample.problems.isEmpty else { throw BenchFailure(sample.problems.joined(separator: "; ")) }
    }

    private func load(_ route: String) -> ServiceLoad { ServiceLoad(shop: shop, method: "POST", route: route, expected: "2xx") }

    private func charges(_ users: some Sequence<(user: Int, key: String?)>, amount: Int) throws -> RequestFile {
        try RequestFile(
            users.lazy.map { user, key in
                RequestText(
                    method: "POST", path: "/api/v1/users/\(user)/balance/charges", token: tokens[user], body: #"{"amount": \#(amount)}"#,
                    key: key)
            }, in: shop.folder.path)
    }

    /// Waits until the ranking has counted every sale and every event is delivered: nothing of one row burdens the next.
    func rest() async throws {
        try await eventually("all events are delivered and counted", within: .seconds(300)) {
            try await Task.sleep(for: .milliseconds(20))
            guard try store.undeliveredEvents() == 0 else { return false }
            return try await shop.metrics().value("firstcome_ranking_lag_events") == 0
        }
    }
}

// MARK: - The rows

extension MoneyStage {
    func comparisons(_ settings: BenchSettings, _ peer: PostgresStage) -> [Comparison] {
        [
            Comparison(
                title: "orders",
                contenders: [
                    Contender(row: .order, peers: [.postgresOrder64]) { _ in try await placing(settings.writes) },
                    peer.contender(.postgresOrder16, .order, clients: 16, settings),
                    peer.contender(.postgresOrder64, .order, clients: 64, settings),
                ]),
            Comparison(
                title: "sales",
                contenders: [
                    Contender(row: .payment, peers: [.postgresPayment16, .postgresPayment64]) { _ in try await paying(settings.writes) },
                    peer.contender(.postgresPayment16, .payment, clients: 16, settings),
                    Contender(row: .checkout, peers: [.postgresCheckout16, .postgresCheckout64, .postgresPayment16, .postgresPayment64]) {
                        _ in
                        try await withLateWork { try await load("/api/v1/checkout").run(checkouts, .requests(settings.writes)) }
                    },
                    peer.contender(.postgresPayment64, .payment, clients: 64, settings),
                    peer.contender(.postgresCheckout16, .checkout, clients: 16, settings),
                    peer.contender(.postgresCheckout64, .checkout, clients: 64, settings),
                ]),
            Comparison(
                title: "charges",
                contenders: [
                    Contender(row: .charge, peers: [.postgresCharge16, .postgresCharge64]) { round in
                        try await charging(settings.writes, round)
                    },
                    peer.contender(.postgresCharge16, .charge, clients: 16, settings),
                    peer.contender(.postgresCharge64, .charge, clients: 64, settings),
                ]),
        ]
    }

    private func placing(_ count: Int) async throws -> Sample { try await load("/api/v1/orders").run(orders, .requests(count)) }

    /// Pays orders that wait for it, after placing as many as are missing.
    private func paying(_ count: Int) async throws -> Sample {
        let missing = count - (try store.pendingOrders(limit: count).count)
        if missing > 0 { _ = try await placing(missing) }
        let pending = try store.pendingOrders(limit: count)
        let file = try RequestFile(
            pending.lazy.map { order in
                RequestText(
                    method: "POST", path: "/api/v1/payments", token: tokens[Int(order.user)], body: #"{"orderId": \#(order.id)}"#)
            }, in: shop.folder.path)
        defer { file.remove() }
        return try await withLateWork { try await load("/api/v1/payments").run(file, .requests(pending.count)) }
    }

    /// Each charge has an `Idempotency-Key` of its own, as a careful client would send it.
    private func charging(_ count: Int, _ round: Int) async throws -> Sample {
        let file = try charges(
            (0..<count).lazy.map { number in (1 + number % MoneyRows.users, "bench-\(round)-\(number)") }, amount: 1_000)
        defer { file.remove() }
        return try await load("/api/v1/users/{userId}/balance/charges").run(file, .requests(count))
    }

    /// Measures a row of sales, and then what the service still does for them after the last answer: counting them into the
    /// ranking and delivering their events, which PostgreSQL has no part in.
    private func withLateWork(_ body: () async throws -> Sample) async throws -> Sample {
        var sample = try await body()
        let before = try shop.watched.cpuMicroseconds()
        try await rest()
        sample.lateCPU = (try shop.watched.cpuMicroseconds() - before) / Double(max(sample.requests, 1))
        return sample
    }
}
