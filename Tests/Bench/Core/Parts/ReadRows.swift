import TestSupport

/// Reads of one resource, compared with servers that answer without reading anything.
struct ReadRows: BenchPart {
    let title = "reads"
    let rows: [Row] = [.top, .product, .balance, .nginx, .bareServer]

    private static let users = 1_000
    private static let products = 100

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withCleanupStack { cleanup in
            let shop = try await Shop.open(cleanup)
            let tokens = try await shop.makeUsers(Self.users)
            var products: [Int64] = []
            for number in 1...Self.products { products.append(try await shop.admin.makeProduct(stock: 1_000, name: "요가 매트 \(number)")) }
            try await fillTop(shop, tokens, products)
            let (nginx, bare) = (
                try await PeerServer.nginx(cleanup), try await PeerServer.bare(cleanup, executable: settings.executable)
            )
            let time = Wrk.Amount.seconds(settings.seconds)
            let peers: [Row] = [.bareServer, .nginx]
            let top = try RequestFile([RequestText(method: "GET", path: "/api/v1/products/top")], in: shop.folder.path)
            let views = try RequestFile(
                products.map { RequestText(method: "GET", path: "/api/v1/products/\($0)") }, in: shop.folder.path)
            let balances = try RequestFile(
                (1...Self.users).map { RequestText(method: "GET", path: "/api/v1/users/\($0)/balance", token: tokens[$0]) },
                in: shop.folder.path)
            let comparison = Comparison(
                title: title,
                cases: [
                    reading(.top, peers, shop, "/api/v1/products/top", top, time),
                    reading(.product, peers, shop, "/api/v1/products/{productId}", views, time),
                    BenchmarkCase(row: .bareServer, peers: [.nginx]) { _ in try await bare.run(shop.wrk, time) },
                    reading(.balance, peers, shop, "/api/v1/users/{userId}/balance", balances, time),
                    BenchmarkCase(row: .nginx) { _ in try await nginx.run(shop.wrk, time) },
                ])
            var findings = Findings()
            findings.rows = try await comparison.keeping(settings.only).run(rounds: settings.rounds, progress: progress)
            return findings
        }
    }

    private func reading(_ row: Row, _ peers: [Row], _ shop: Shop, _ route: String, _ file: RequestFile, _ time: Wrk.Amount)
        -> BenchmarkCase
    {
        let load = ServiceLoad(shop: shop, method: "GET", route: route, expected: "2xx")
        return BenchmarkCase(row: row, peers: peers) { _ in try await load.run(file, time) }
    }

    /// Sells five products, so that the top list is full.
    private func fillTop(_ shop: Shop, _ tokens: Tokens, _ products: [Int64]) async throws {
        let buyer = shop.user(1, token: tokens[1])
        try await buyer.charge(1_000_000)
        for product in products.prefix(5) { _ = try await buyer.checkout(product).expect(201) }
        try await eventually("the top products are counted") {
            try await shop.admin.get("/products/top").expect(200).items().count == 5
        }
    }
}
