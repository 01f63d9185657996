import TestSupport

/// The top products among more and more products that were sold in the last three days: nearly all of them once, and fifty best
/// sellers with a tenth of all sales.
struct ProductCurve: GrowthCurve {
    let title = "GET top, many products"
    let unit = "products sold"

    private static let users = 1_000
    /// Many lines per order, so that few orders suffice; nine tenths of the lines each name another product.
    private static let (lines, products) = (100, 90)
    private static let bestSellers = 50

    func sizes(isQuick: Bool) -> [Int] { isQuick ? [1_000, 100_000] : [1_000, 100_000, 1_000_000] }

    func fill(_ store: GrownStore, size: Int) throws {
        let others = size - Self.bestSellers
        try store.addProducts(size)
        try store.addOrders(
            (others + Self.products - 1) / Self.products, lines: Self.lines, daysAgo: "o % 3", users: Self.users, products: others,
            bestSellers: Self.bestSellers)
    }

    func stage(_ shop: Shop, size: Int, _ settings: BenchSettings) async throws -> GrowthMeasure {
        try await eventually("the top products are counted", within: .seconds(60)) {
            try await shop.admin.get("/products/top").expect(200).items().count == 5
        }
        let file = try RequestFile([RequestText(method: "GET", path: "/api/v1/products/top")], in: shop.folder.path)
        let load = ServiceLoad(shop: shop, method: "GET", route: "/api/v1/products/top", expected: "2xx")
        return { _ in try await load.run(file, .seconds(settings.growthSeconds)) }
    }

    /// Waits for the next computation. Redis runs no other script meanwhile, because nothing is sold or viewed.
    func refreshMicroseconds(_ shop: Shop) async throws -> Double? {
        try shop.redis.cli("CONFIG", "RESETSTAT")
        try await eventually("the top products were computed again", within: .seconds(60)) {
            try await Task.sleep(for: .milliseconds(50))
            return try shop.redis.scriptCalls() > 0
        }
        let line = try shop.redis.cli("INFO", "commandstats").split { $0.isNewline }.first { $0.hasPrefix("cmdstat_evalsha:") }
        return line?.firstMatch(of: /usec_per_call=([0-9.]+)/).flatMap { Double($0.1) }
    }
}

/// Payments with more and more orders that were paid long ago.
struct OrderCurve: GrowthCurve {
    let title = "payment, many orders"
    let unit = "earlier orders"

    private static let users = 1_000
    private static let products = 100

    func sizes(isQuick: Bool) -> [Int] { isQuick ? [1_000, 100_000] : [1_000, 1_000_000] }

    func fill(_ store: GrownStore, size: Int) throws {
        try store.addProducts(Self.products)
        // Older than the days that the ranking keeps.
        try store.addOrders(size, lines: 1, daysAgo: "10", users: Self.users, products: Self.products)
    }

    func stage(_ shop: Shop, size: Int, _ settings: BenchSettings) async throws -> GrowthMeasure {
        let sales = try Sales(shop, try await shop.tokens(from: 1, to: Self.users), users: Self.users, products: Self.products)
        return { _ in try await sales.paying(settings.growthPayments) }
    }
}
