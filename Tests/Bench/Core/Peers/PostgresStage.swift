import Synchronization

/// PostgreSQL with the same tables, users and products, and the transactions that pgbench runs on it.
final class PostgresStage: Sendable {
    private let database: PostgresDatabase
    private let users: Int
    private let products: Int
    /// The id of the last pending order that was made.
    private let lastOrder = Mutex(0)
    private let paid = Mutex(0)
    private let checkedOut = Mutex(0)
    private let claimed = Mutex(0)

    enum Transaction: Sendable { case order, payment, checkout, charge, claim }

    private init(_ database: PostgresDatabase, users: Int, products: Int) {
        (self.database, self.users, self.products) = (database, users, products)
    }

    /// Tables with the keys, checks and references of the service's SQLite store, as many users with money, and as many products.
    static func make(_ postgres: Postgres, users: Int, products: Int) async throws -> PostgresStage {
        let database = postgres.firstDatabase
        try await database.sql(PostgresSchema.tables)
        try await database.sql(PostgresFunctions.all)
        try await database.sql(PostgresSchema.people(users: users, products: products))
        // Orders that are placed under load have ids from 10^9 on.
        try await database.sql("ALTER SEQUENCE orders_id_seq RESTART WITH \(firstPlaced)")
        try await database.sql("ALTER SEQUENCE order_counter RESTART WITH \(firstPlaced)")
        try await database.sql("VACUUM ANALYZE")
        return PostgresStage(database, users: users, products: products)
    }

    /// A copy of a service's store on the same server, in which nothing has been ordered.
    ///
    /// - Parameters:
    ///   - name: of the new database.
    ///   - users: how many pay or claim.
    ///   - products: how many the store has.
    static func copying(_ store: PostgresDatabase, as name: String, users: Int, products: Int) async throws -> PostgresStage {
        let database = try await store.copy(to: name)
        try await database.sql(PostgresSchema.defaultsOfStore)
        try await database.sql(PostgresFunctions.all + PostgresFunctions.claim)
        return PostgresStage(database, users: users, products: products)
    }

    private static let firstPlaced = 1_000_000_000

    func benchmarkCase(_ row: Row, _ transaction: Transaction, clients: Int, _ settings: BenchSettings) -> BenchmarkCase {
        BenchmarkCase(row: row) { [self] round in
            try await run(transaction, round: round, clients: clients, seconds: settings.seconds)
        }
    }

    /// More payments or claims than PostgreSQL makes in a second; if it makes more, the orders or campaigns run out and its load fails with
    /// an error. One client waits for each of its commits.
    private static func perSecond(clients: Int) -> Int { clients == 1 ? 8_000 : 15_000 }

    private func run(_ transaction: Transaction, round: Int, clients: Int, seconds: Int) async throws -> Sample {
        var variables = ["users": users, "products": products, "i": 0]
        switch transaction {
        case .order, .checkout: break
        case .charge: (variables["run"], variables["clients"]) = (round * 1_000 + clients, clients)
        case .payment:
            let count = seconds * Self.perSecond(clients: clients)
            (variables["first"], variables["clients"]) = (try await makeOrders(count), clients)
        case .claim:
            // The next campaign begins when every user has a coupon of the last.
            let campaigns = seconds * Self.perSecond(clients: clients) / users + 1
            (variables["campaign"], variables["clients"]) = (try await makeCampaigns(campaigns), clients)
        }
        try await database.prepareForLoad()
        let sample = try await Pgbench(database: database).run(
            transaction.script, variables: variables, clients: clients, seconds: seconds)
        switch transaction {
        case .payment: paid.withLock { $0 += sample.requests }
        case .checkout: checkedOut.withLock { $0 += sample.requests }
        case .claim: claimed.withLock { $0 += sample.requests }
        case .order, .charge: break
        }
        return sample
    }

    /// Makes as many pending orders as are missing after the last one that was paid, and returns the id of the first.
    private func makeOrders(_ count: Int) async throws -> Int {
        let paid = try await database.sql("SELECT coalesce(max(order_id), 0) FROM payments WHERE order_id < \(Self.firstPlaced)")
        guard let paid = Int(paid) else { throw BenchFailure("psql printed \(paid) for an order") }
        let missing = lastOrder.withLock { last -> ClosedRange<Int>? in
            guard paid + count > last else { return nil }
            defer { last = paid + count }
            return last + 1...paid + count
        }
        if let missing { try await database.sql(PostgresSchema.pendingOrders(missing, users: users, products: products)) }
        return paid + 1
    }

    /// Makes open campaigns whose coupons do not run out, and returns the id of the first.
    private func makeCampaigns(_ count: Int) async throws -> Int {
        let made = try await database.sql(PostgresSchema.campaigns(count))
        guard let first = made.split(separator: "\n").first.flatMap({ Int($0) }) else { throw BenchFailure("psql printed \(made)") }
        return first
    }

    /// Checks that PostgreSQL did all the work that pgbench counted.
    ///
    /// - Throws: an error where payments and the rows that follow from them do not add up.
    func check() async throws {
        let sold = paid.withLock { $0 } + checkedOut.withLock { $0 }
        let counts = try await database.sql(
            """
            SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM events), (SELECT sum(units) FROM event_units),
                (SELECT count(*) FROM orders WHERE status = 1), (SELECT count(*) FROM transfers WHERE kind = 1)
            """)
        let numbers = counts.split(separator: "|").compactMap { Int($0) }
        // pgbench may stop before it reads the result of the last transaction of each client.
        guard
            sold == 0
                || (numbers.count == 5 && numbers.allSatisfy { $0 == numbers[0] } && numbers[0] >= sold && numbers[0] <= sold + 10_000)
        else { throw BenchFailure("PostgreSQL has \(counts) of \(sold) sales") }
        try await checkClaims()
    }

    private func checkClaims() async throws {
        let claimed = claimed.withLock { $0 }
        guard claimed > 0 else { return }
        let counts = try await database.sql("SELECT (SELECT count(*) FROM issued_coupons), (SELECT sum(issued) FROM campaigns)")
        let numbers = counts.split(separator: "|").compactMap { Int($0) }
        guard numbers.count == 2, numbers[0] == numbers[1], numbers[0] >= claimed, numbers[0] <= claimed + 10_000 else {
            throw BenchFailure("PostgreSQL has \(counts) of \(claimed) coupons")
        }
    }
}

extension PostgresStage.Transaction {
    /// The script in pgbench's language; each client has its own variables.
    fileprivate var script: String {
        let buyer = #"\set buyer random(1, :users)"#
        let product = #"\set product random(1, :products)"#
        return switch self {
        case .order: "\(buyer)\n\(product)\nSELECT place_order(:buyer, :product, 1);\n"
        case .checkout: "\(buyer)\n\(product)\nSELECT checkout(:buyer, :product, 1);\n"
        case .charge: "\(buyer)\n\\set i :i + 1\nSELECT charge(:buyer, 1000, :run, :client_id, :i);\n"
        case .payment:
            #"""
            \set order :first + :i * :clients + :client_id
            \set buyer 1 + :order % :users
            \set i :i + 1
            SELECT pay(:order, :buyer);

            """#
        case .claim:
            #"""
            \set n :i * :clients + :client_id
            \set buyer 1 + :n % :users
            \set which :campaign + :n / :users
            \set i :i + 1
            SELECT claim(:which, :buyer);

            """#
        }
    }
}
