import TestSupport

/// Payments and winning claims of a service whose store is on PostgreSQL, compared with pgbench on a copy of that store on the same server.
///
/// Both pay the same flushes, because the server and its settings are the same. pgbench sends one call of a PL/pgSQL function for each
/// payment or claim; its best of 1, 16 and 64 clients counts.
struct PostgresRows: BenchPart {
    let title = "postgres"
    let rows = Self.all

    static let payments: [Row] = [.pgbenchPayment1, .pgbenchPayment16, .pgbenchPayment64]
    static let wins: [Row] = [.pgbenchWins1, .pgbenchWins16, .pgbenchWins64]
    static let all: [Row] = [.storePayment, .storeHotPayment] + payments + [.storeWins] + wins

    /// Who pay. Enough that clients seldom wait for each other's row.
    private static let buyers = 10_000
    private static let products = 1_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withCleanupStack { cleanup in
            let users = max(Self.buyers, settings.storeWins)
            progress.tell("postgres: making \(users) users and \(Self.products) products")
            let server = try await Postgres(cleanup)
            let database = try await server.makeDatabase("store")
            let shop = try await Shop.open(cleanup, database: database)
            let tokens = try await shop.makeUsers(users)
            for number in 1...Self.products {
                _ = try await shop.admin.makeProduct(price: 1_000, stock: 1_000_000_000, name: "요가 매트 \(number)")
            }
            let sales = try Sales(shop, tokens, users: Self.buyers, products: Self.products)
            try await sales.giveMoney(1_000_000)
            progress.tell("postgres: copying the store for pgbench")
            let payers = try await PostgresStage.copying(database, as: "payments", users: Self.buyers, products: Self.products)
            let claimants = try await PostgresStage.copying(database, as: "claims", users: users, products: Self.products)
            var findings = Findings()
            let comparisons = [
                try payments(settings, shop, tokens, sales, payers), wins(settings, try await Wins(shop, tokens), claimants),
            ]
            for comparison in comparisons {
                let kept = comparison.keeping(settings.only)
                if !kept.cases.isEmpty { findings.rows += try await kept.run(rounds: settings.rounds, progress: progress) }
            }
            progress.tell("postgres: firstcome audit")
            try await sales.rest()
            try await shop.audit()
            try await payers.check()
            try await claimants.check()
            return findings
        }
    }

    private func payments(
        _ settings: BenchSettings, _ shop: Shop, _ tokens: Tokens, _ sales: Sales, _ peer: PostgresStage
    ) throws -> Comparison {
        let hot = try Sales(shop, tokens, users: Self.buyers, products: 1)
        return Comparison(
            title: "payments on PostgreSQL",
            cases: [
                BenchmarkCase(row: .storePayment, peers: Self.payments) { _ in try await sales.paying(settings.storePayments) },
                peer.benchmarkCase(.pgbenchPayment1, .payment, clients: 1, settings),
                peer.benchmarkCase(.pgbenchPayment16, .payment, clients: 16, settings),
                BenchmarkCase(row: .storeHotPayment, peers: [.storePayment]) { _ in try await hot.paying(settings.storePayments) },
                peer.benchmarkCase(.pgbenchPayment64, .payment, clients: 64, settings),
            ])
    }

    private func wins(_ settings: BenchSettings, _ wins: Wins, _ peer: PostgresStage) -> Comparison {
        Comparison(
            title: "wins on PostgreSQL",
            cases: [
                BenchmarkCase(row: .storeWins, peers: Self.wins) { _ in try await wins.newCampaign(settings.storeWins) },
                peer.benchmarkCase(.pgbenchWins1, .claim, clients: 1, settings),
                peer.benchmarkCase(.pgbenchWins16, .claim, clients: 16, settings),
                peer.benchmarkCase(.pgbenchWins64, .claim, clients: 64, settings),
            ])
    }
}

extension PostgresDatabase {
    /// Writes what an earlier load has left to write, makes the files of its write-ahead log reusable, and does what autovacuum would do in
    /// the middle of the load.
    func prepareForLoad() async throws {
        try await sql("VACUUM ANALYZE")
        try await sql("CHECKPOINT")
    }
}
