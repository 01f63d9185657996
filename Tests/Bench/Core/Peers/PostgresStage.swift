import Synchronization

/// PostgreSQL with the same tables, users and products, and the transactions that pgbench runs on it.
final class PostgresStage: Sendable {
    private let postgres: Postgres
    private let users: Int
    private let products: Int
    /// The id of the last pending order that was made.
    private let lastOrder = Mutex(0)
    private let paid = Mutex(0)
    private let checkedOut = Mutex(0)

    enum Transaction: Sendable { case order, payment, checkout, charge }

    init(_ postgres: Postgres, users: Int, products: Int) async throws {
        (self.postgres, self.users, self.products) = (postgres, users, products)
        try await postgres.sql(PostgresSchema.tables)
        try await postgres.sql(PostgresFunctions.all)
        try await postgres.sql(PostgresSchema.people(users: users, products: products))
        // Orders that are placed under load have ids from 10^9 on.
        try await postgres.sql("ALTER SEQUENCE orders_id_seq RESTART WITH 1000000000")
        try await postgres.sql("ALTER SEQUENCE order_counter RESTART WITH 1000000000")
        try await postgres.sql("VACUUM ANALYZE")
    }

    func benchmarkCase(_ row: Row, _ transaction: Transaction, clients: Int, _ settings: BenchSettings) -> BenchmarkCase {
        BenchmarkCase(row: row) { [self] round in
            try await run(transaction, round: round, clients: clients, seconds: settings.seconds)
        }
    }

    /// More payments than PostgreSQL makes in a second; if it makes more, the orders run out and its load fails with an error.
    private static let paymentsPerSecond = 15_000

    private func run(_ transaction: Transaction, round: Int, clients: Int, seconds: Int) async throws -> Sample {
        var variables = ["users": users, "products": products, "i": 0]
        switch transaction {
        case .order, .checkout: break
        case .charge: (variables["run"], variables["clients"]) = (round * 1_000 + clients, clients)
        case .payment: (variables["first"], variables["clients"]) = (try await makeOrders(seconds * Self.paymentsPerSecond), clients)
        }
        // Writes what an earlier load has left to write, and makes the files of its write-ahead log reusable.
        try await postgres.sql("CHECKPOINT")
        let sample = try await Pgbench(postgres: postgres).run(
            transaction.script, variables: variables, clients: clients, seconds: seconds)
        switch transaction {
        case .payment: paid.withLock { $0 += sample.requests }
        case .checkout: checkedOut.withLock { $0 += sample.requests }
        case .order, .charge: break
        }
        return sample
    }

    /// Makes pending orders, and returns the id of the first.
    private func makeOrders(_ count: Int) async throws -> Int {
        let first = lastOrder.withLock { last in
            defer { last += count }
            return last + 1
        }
        try await postgres.sql(PostgresSchema.pendingOrders(first...first + count - 1, users: users, products: products))
        try await postgres.sql("ANALYZE orders, order_lines")
        return first
    }

    /// Checks that PostgreSQL did all the work that pgbench counted.
    ///
    /// - Throws: an error where payments and the rows that follow from them do not add up.
    func check() async throws {
        let sold = paid.withLock { $0 } + checkedOut.withLock { $0 }
        let counts = try await postgres.sql(
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
        }
    }
}
