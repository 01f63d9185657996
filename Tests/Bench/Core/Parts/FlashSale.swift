import TestSupport

/// A flash sale second by second: 90 % claims, 5 % reads, 3 % charges and 2 % checkouts, while the coupons run out.
struct FlashSale: BenchPart {
    let title = "flash sale"
    let rows: [Row] = []

    private static let products = 100

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withCleanupStack { cleanup in
            let (users, coupons, seconds) = settings.flashSale
            progress.tell("flash sale: making \(users) users for \(coupons) coupons")
            let shop = try await Shop.open(cleanup)
            let tokens = try await shop.makeUsers(users)
            let campaign = try await shop.admin.makeCoupon(quantity: Int64(coupons))
            for number in 1...Self.products {
                _ = try await shop.admin.makeProduct(price: 1_000, stock: 1_000_000_000, name: "요가 \(number)")
            }
            // Enough money to pay every checkout.
            try await Sales(shop, tokens, users: users, products: Self.products).giveMoney(500_000)
            let file = try RequestFile(requests(users: users, campaign: campaign, tokens), in: shop.folder.path)
            let before = try await shop.metrics()
            async let watching = watch(shop, campaign: campaign, seconds: seconds, progress)
            let (sample, output) = try await shop.wrk.load(
                ports: shop.ports, file, .seconds(seconds), server: shop.watched, redis: shop.watchedRedis)
            var findings = Findings()
            findings.flashSale = FlashSaleResult(
                users: users, coupons: coupons, command: sample.command, whole: sample, seconds: try await watching)
            try await shop.waitUntilIdle()
            findings.problems = try await problems(shop, since: before, coupons: coupons, output)
            try await shop.audit()
            return findings
        }
    }

    private static let claims = "/api/v1/coupons/{couponId}/claims"
    private static let charges = "/api/v1/users/{userId}/balance/charges"

    private func charge(_ user: Int, _ tokens: Tokens, amount: Int) -> RequestText {
        RequestText(
            method: "POST", path: "/api/v1/users/\(user)/balance/charges", token: tokens[user], body: #"{"amount": \#(amount)}"#)
    }

    /// Every user claims in turn, two or three times, with other requests in between.
    private func requests(users: Int, campaign: Int64, _ tokens: Tokens) -> some Sequence<RequestText> {
        (0..<users * 3).lazy.map { number in
            let user = 1 + number % users
            // These shares of each hundred, mixed: 37 and 100 have no common divisor. A user's kind of request changes with each turn.
            switch (number + number / users) * 37 % 100 {
            case 0..<90: return RequestText(method: "POST", path: "/api/v1/coupons/\(campaign)/claims", token: tokens[user])
            case 90..<92: return RequestText(method: "GET", path: "/api/v1/products/\(1 + number % Self.products)")
            case 92..<94: return RequestText(method: "GET", path: "/api/v1/users/\(user)/balance", token: tokens[user])
            case 94: return RequestText(method: "GET", path: "/api/v1/products/top")
            case 95..<98: return charge(user, tokens, amount: 1_000)
            default:
                let body = Caller.orderBody(Int64(1 + number % Self.products), 1)
                return RequestText(method: "POST", path: "/api/v1/checkout", token: tokens[user], body: body)
            }
        }
    }

    /// The deviations from a correct sale: one winner for each coupon, refusals of claims only, and no errors.
    private func problems(_ shop: Shop, since before: ServiceMetrics, coupons: Int, _ output: WrkOutput) async throws -> [String] {
        let after = try await shop.metrics()
        func answers(_ method: String, _ route: String) -> [String: Int] {
            after.statuses(method: method, route: route).since(before.statuses(method: method, route: route))
        }
        var problems: [String] = []
        let claimed = answers("POST", Self.claims)
        let (won, refused) = (claimed["2xx"] ?? 0, claimed["4xx"] ?? 0)
        // On a slow machine coupons may be left; then no claim may have been refused.
        if won > coupons || (refused > 0 && won < coupons) { problems.append("flash sale: \(won) of \(coupons) coupons were won") }
        if claimed["5xx"] != nil { problems.append("flash sale: claims answered \(claimed)") }
        if output.broken > 0 { problems.append("flash sale: \(output.broken) requests got no answer") }
        let others = [
            ("GET", "/api/v1/products/{productId}"), ("GET", "/api/v1/users/{userId}/balance"), ("GET", "/api/v1/products/top"),
            ("POST", Self.charges), ("POST", "/api/v1/checkout"),
        ]
        for (method, route) in others {
            let given = answers(method, route)
            if given.keys.contains(where: { $0 != "2xx" }) { problems.append("flash sale: \(method) \(route) answered \(given)") }
        }
        return problems
    }
}

// MARK: - Over time

extension FlashSale {
    /// Samples the service once a second.
    private func watch(_ shop: Shop, campaign: Int64, seconds: Int, _ progress: Progress) async throws -> [FlashSaleSecond] {
        var result: [FlashSaleSecond] = []
        var (last, lastCPU, lastRedis, lastTime) = (
            try await shop.metrics(), try shop.watched.cpuMicroseconds(), try shop.watchedRedis.cpuMicroseconds(),
            ContinuousClock.now
        )
        for second in 1...seconds {
            try await Task.sleep(for: .seconds(1))
            let (metrics, cpu, redis, now) = (
                try await shop.metrics(), try shop.watched.cpuMicroseconds(), try shop.watchedRedis.cpuMicroseconds(),
                ContinuousClock.now
            )
            let claims = metrics.statuses(method: "POST", route: Self.claims).since(last.statuses(method: "POST", route: Self.claims))
            let requests = (metrics.latencyBuckets.last?.count ?? 0) - (last.latencyBuckets.last?.count ?? 0)
            let point = FlashSaleSecond(
                second: second, perSecond: requests / (lastTime.duration(to: now) / .seconds(1)), cpu: (cpu - lastCPU) / max(requests, 1),
                redisCPU: (redis - lastRedis) / max(requests, 1), won: claims["2xx"] ?? 0, refused: claims["4xx"] ?? 0,
                p99Below: metrics.p99(since: last).flatMap { $0.isFinite ? $0 * 1e6 : nil })
            progress.tell(
                "flash sale, second \(second): \(Figure.count(point.perSecond))/s, \(point.won) won, \(Figure.short(point.cpu)) us CPU")
            result.append(point)
            (last, lastCPU, lastRedis, lastTime) = (metrics, cpu, redis, now)
        }
        return result
    }
}
