import TestSupport

/// Three services on one store and one Redis Cluster, compared with a service that is alone on one Redis: the cost of coordination.
///
/// Both have their store on a PostgreSQL of their own with the same settings, and get the same requests by as many load generators and on
/// as many connections. Any service gets any user's requests.
struct ServicesRows: BenchPart {
    let title = "services"
    let rows = Self.all

    static let all: [Row] = [.onePayment, .threePayments, .oneRefused, .threeRefused, .oneWins, .threeWins]
    fileprivate static let count = 3
    fileprivate static let campaigns = 12

    /// Who pay, over so many products that two payments at the same time seldom are of the same one.
    fileprivate static let buyers = 10_000
    fileprivate static let products = 1_000
    /// Who come too late.
    fileprivate static let losers = 1_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withCleanupStack { cleanup in
            let users = max(Self.buyers, settings.storeClaimants)
            progress.tell("services: making \(users) users and \(Self.products) products for one service and for \(Self.count)")
            let one = try await Side.open(cleanup, services: 1, generators: Self.count, users: users)
            let three = try await Side.open(cleanup, services: Self.count, generators: Self.count, users: users)
            var findings = Findings()
            for comparison in comparisons(settings, one, three) {
                let kept = comparison.keeping(settings.only)
                if !kept.cases.isEmpty { findings.rows += try await kept.run(rounds: settings.rounds, progress: progress) }
            }
            for side in [one, three] { try await side.sales.rest() }
            if settings.wants(title) {
                progress.tell("services: without requests, for \(settings.idleSeconds) s")
                findings.idle = try await idle(settings, one.shop, three.shop)
            }
            progress.tell("services: firstcome audit")
            for side in [one, three] { try await side.shop.audit() }
            return findings
        }
    }

    private func comparisons(_ settings: BenchSettings, _ one: Side, _ three: Side) -> [Comparison] {
        func comparison(_ title: String, _ own: Row, _ peer: Row, _ measure: @escaping @Sendable (Side) async throws -> Sample)
            -> Comparison
        {
            Comparison(
                title: title,
                cases: [
                    BenchmarkCase(row: peer) { _ in try await measure(one) },
                    BenchmarkCase(row: own, peers: [peer]) { _ in try await measure(three) },
                ])
        }
        return [
            comparison("payments of several services", .threePayments, .onePayment) { try await $0.sales.paying(settings.storePayments) },
            comparison("refused claims of several services", .threeRefused, .oneRefused) {
                try await $0.refusals(.seconds(settings.seconds))
            },
            comparison("wins of several services", .threeWins, .oneWins) { try await $0.wins(of: settings.storeClaimants) },
        ]
    }

    /// Both at the same time: what one uses is not counted with the other.
    private func idle(_ settings: BenchSettings, _ one: Shop, _ three: Shop) async throws -> [IdleUse] {
        for shop in [one, three] { try await shop.database?.prepareForLoad() }
        try await Task.sleep(for: .seconds(5))
        async let alone = one.idleUse("one service", seconds: settings.idleSeconds)
        let together = try await three.idleUse(IdleUse.severalServices, seconds: settings.idleSeconds)
        return [try await alone, together]
    }
}

/// One of the two that are compared.
private struct Side: Sendable {
    let shop: Shop
    let sales: Sales
    private let tokens: Tokens
    private let soldOut: [Int64]

    static func open(_ cleanup: CleanupStack, services: Int, generators: Int, users: Int) async throws -> Side {
        let database = try await Postgres(cleanup).makeDatabase("store")
        // By TCP in either case.
        let redis = services > 1 ? try await RedisServers.cluster(cleanup) : try await RedisServers.one(cleanup, onTCP: true)
        let shop = try await Shop.open(cleanup, redis: redis, database: database, services: services, generators: generators)
        let tokens = try await shop.makeUsers(users)
        for number in 1...ServicesRows.products {
            _ = try await shop.admin.makeProduct(price: 1_000, stock: 1_000_000_000, name: "요가 매트 \(number)")
        }
        let sales = try Sales(shop, tokens, users: ServicesRows.buyers, products: ServicesRows.products)
        try await sales.giveMoney(1_000_000)
        var soldOut: [Int64] = []
        for _ in 1...ServicesRows.campaigns {
            soldOut.append(try await shop.admin.makeCoupon(quantity: 1))
            _ = try await shop.user(users, token: tokens[users]).claim(soldOut[soldOut.count - 1]).expect(201)
        }
        return Side(shop: shop, sales: sales, tokens: tokens, soldOut: soldOut)
    }

    /// Claims on campaigns whose only coupon another user has.
    func refusals(_ amount: Wrk.Amount) async throws -> Sample {
        let file = try claims(of: soldOut, by: ServicesRows.losers)
        defer { file.remove() }
        let load = shop.claimLoad(expected: "4xx") { [shop, tokens, soldOut] in
            for coupon in soldOut {
                let answer = try await shop.user(1, token: tokens[1]).claim(coupon).expect(409)
                guard answer.code == "COUPON_SOLD_OUT" else { throw HTTPAnswer.NotAsExpected(description: "not sold out: \(answer.text)") }
            }
        }
        return try await load.run(file, amount)
    }

    /// Claims on new campaigns, each of each user.
    func wins(of users: Int) async throws -> Sample {
        var coupons: [Int64] = []
        for _ in 1...ServicesRows.campaigns { coupons.append(try await shop.admin.makeCoupon(quantity: 100_000_000)) }
        let file = try claims(of: coupons, by: users)
        defer { file.remove() }
        try await shop.database?.prepareForLoad()
        return try await shop.claimLoad(expected: "2xx").run(file, .requests(file.count))
    }

    /// One claim of each of the first users on each coupon. The order of the coupons moves on by one with each user, so that every one of
    /// several generators sends claims on all of them.
    private func claims(of coupons: [Int64], by users: Int) throws -> RequestFile {
        try RequestFile(
            (0..<users * coupons.count).lazy.map { number in
                let user = number / coupons.count
                let coupon = coupons[(number + user) % coupons.count]
                return RequestText(method: "POST", path: "/api/v1/coupons/\(coupon)/claims", token: tokens[user + 1])
            }, in: shop.folder.path)
    }
}

extension Shop {
    /// What everything uses while nobody asks anything.
    fileprivate func idleUse(_ name: String, seconds: Int) async throws -> IdleUse {
        func used() throws -> [Double] {
            [try watched.cpuMicroseconds(), try watchedRedis.cpuMicroseconds(), try watchedDatabase?.cpuMicroseconds() ?? 0]
        }
        let (before, start) = (try used(), ContinuousClock.now)
        try await Task.sleep(for: .seconds(seconds))
        let microseconds = start.duration(to: .now) / .microseconds(1)
        let shares = zip(try used(), before).map { ($0 - $1) / microseconds * 100 }
        return IdleUse(name: name, seconds: microseconds / 1e6, services: shares[0], redis: shares[1], database: shares[2])
    }
}
