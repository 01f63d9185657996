import TestSupport

/// Durable orders, payments and charges, compared with PostgreSQL that does the same work.
struct MoneyRows: BenchPart {
    let title = "money"
    let rows: [Row] = [
        .order, .payment, .checkout, .charge, .postgresOrder16, .postgresOrder64, .postgresPayment16, .postgresPayment64,
        .postgresCheckout16, .postgresCheckout64, .postgresCharge16, .postgresCharge64,
    ]

    /// Enough that PostgreSQL's clients seldom wait for each other's row.
    private static let users = 10_000
    private static let products = 1_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withCleanupStack { cleanup in
            progress.tell("money: making \(Self.users) users and \(Self.products) products for the service and for PostgreSQL")
            let shop = try await Shop.open(cleanup)
            let tokens = try await shop.makeUsers(Self.users)
            for number in 1...Self.products {
                _ = try await shop.admin.makeProduct(price: 1_000, stock: 1_000_000_000, name: "요가 매트 \(number)")
            }
            let sales = try Sales(shop, tokens, users: Self.users, products: Self.products)
            try await sales.giveMoney(1_000_000)
            let peer = try await PostgresStage.make(try await Postgres(cleanup), users: Self.users, products: Self.products)
            var findings = Findings()
            for comparison in comparisons(settings, sales, peer) {
                let kept = comparison.keeping(settings.only)
                if !kept.cases.isEmpty { findings.rows += try await kept.run(rounds: settings.rounds, progress: progress) }
            }
            progress.tell("money: firstcome audit")
            try await sales.rest()
            try await shop.audit()
            try await peer.check()
            return findings
        }
    }

    private func comparisons(_ settings: BenchSettings, _ sales: Sales, _ peer: PostgresStage) -> [Comparison] {
        let (payments, checkouts): ([Row], [Row]) = (
            [.postgresPayment16, .postgresPayment64], [.postgresCheckout16, .postgresCheckout64]
        )
        return [
            Comparison(
                title: "orders",
                cases: [
                    BenchmarkCase(row: .order, peers: [.postgresOrder16, .postgresOrder64]) { _ in try await sales.placing(settings.writes)
                    },
                    peer.benchmarkCase(.postgresOrder16, .order, clients: 16, settings),
                    peer.benchmarkCase(.postgresOrder64, .order, clients: 64, settings),
                ]),
            Comparison(
                title: "sales",
                cases: [
                    BenchmarkCase(row: .payment, peers: payments) { _ in try await sales.paying(settings.writes) },
                    peer.benchmarkCase(.postgresPayment16, .payment, clients: 16, settings),
                    peer.benchmarkCase(.postgresPayment64, .payment, clients: 64, settings),
                    BenchmarkCase(row: .checkout, peers: checkouts + payments) { _ in try await sales.checkingOut(settings.writes) },
                    peer.benchmarkCase(.postgresCheckout16, .checkout, clients: 16, settings),
                    peer.benchmarkCase(.postgresCheckout64, .checkout, clients: 64, settings),
                ]),
            Comparison(
                title: "charges",
                cases: [
                    BenchmarkCase(row: .charge, peers: [.postgresCharge16, .postgresCharge64]) { round in
                        try await sales.charging(settings.writes, round: round)
                    },
                    peer.benchmarkCase(.postgresCharge16, .charge, clients: 16, settings),
                    peer.benchmarkCase(.postgresCharge64, .charge, clients: 64, settings),
                ]),
        ]
    }
}
