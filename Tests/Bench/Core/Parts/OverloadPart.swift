import Foundation
package import LoadGenerator
import NIOCore
import TestSupport

/// A mix of requests at half and at twice of what the service can do on one core, with and without shedding.
struct OverloadPart: BenchPart {
    let title = "overload"
    let rows: [Row] = []

    static let shares = [0.5, 2]
    private static let users = 20_000
    private static let products = 1_000
    /// Those of the closed loop that finds the capacity, and those of the open loop, in which as good as every request that
    /// is due finds a free one: what waits in the generator is hidden from the service.
    private static let (closedConnections, openConnections) = (256, 8_000)

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        var findings = Findings()
        try await pin(getpid(), to: Self.generatorCores)
        for isShedding in [false, true] {
            let points = try await withCleanupStack { cleanup in try await measure(isShedding, settings, progress, cleanup) }
            findings.overload += points
        }
        findings.problems = findings.overload.flatMap(\.problems)
        try await pin(getpid(), to: "0-\(ProcessInfo.processInfo.processorCount - 1)")
        return findings
    }

    /// The generator has a core of its own, and the service shares one with Redis: a generator that sends twice as much would otherwise
    /// take the time that the service had at half of it.
    private static let (serviceCores, generatorCores) = ("0", "1")

    private func pin(_ process: Int32, to cores: String) async throws {
        guard ProcessInfo.processInfo.processorCount > 1 else { return }
        try await Command.run(["taskset", "-a", "-p", "-c", cores, String(process)])
    }

    private func measure(
        _ isShedding: Bool, _ settings: BenchSettings, _ progress: Progress, _ cleanup: CleanupStack
    ) async throws -> [OverloadPoint] {
        progress.tell("overload, \(isShedding ? "with" : "without") shedding: making \(Self.users) users")
        let shop = try await Shop.open(cleanup, arguments: isShedding ? [] : ["--shed-after", "0"])
        for pid in shop.watched.pids { try await pin(pid, to: Self.serviceCores) }
        if let redis = shop.redis.pid { try await pin(redis, to: Self.serviceCores) }
        let tokens = try await shop.makeUsers(Self.users)
        for number in 1...Self.products {
            _ = try await shop.admin.makeProduct(price: 1_000, stock: 1_000_000_000, name: "요가 매트 \(number)")
        }
        try await Sales(shop, tokens, users: Self.users, products: Self.products).giveMoney(1_000_000)
        let capacity = try await capacity(shop, tokens, settings)
        progress.tell("overload: a closed loop reaches \(Figure.count(capacity))/s")
        var points: [OverloadPoint] = []
        for share in Self.shares {
            try Task.checkCancellation()
            let (rate, seconds) = (capacity * share, settings.overloadSeconds)
            let requests = try await mix(Int(rate * seconds) + 1, shop, tokens).map { ByteBuffer(string: $0.text) }
            var load = OpenLoop(
                port: shop.ports[0], requests: requests, rate: rate, seconds: seconds, connections: Self.openConnections)
            load.warmUpSeconds = settings.overloadWarmUpSeconds
            load.patience = .seconds(60)
            let point = OverloadPoint(share: share, isShedding: isShedding, capacity: capacity, result: try await load.run())
            points.append(point)
            progress.tell(point.line)
            try await shop.waitUntilIdle()
        }
        try await shop.audit()
        return points
    }

    private func capacity(_ shop: Shop, _ tokens: Tokens, _ settings: BenchSettings) async throws -> Double {
        let file = try RequestFile(try await mix(settings.openLoopProbe, shop, tokens), in: shop.folder.path)
        defer { file.remove() }
        return try await shop.wrk.load(
            ports: shop.ports, file, .requests(settings.openLoopProbe), server: shop.watched, redis: shop.watchedRedis,
            connections: Self.closedConnections
        ).sample.perSecond
    }

    /// Of ten requests, four are checkouts, three claims that win, two reads by key and one a list.
    private func mix(_ count: Int, _ shop: Shop, _ tokens: Tokens) async throws -> [RequestText] {
        var requests: [RequestText] = []
        requests.reserveCapacity(count)
        var (claims, coupon) = (0, Int64(0))
        for number in 0..<count {
            let user = 1 + number % Self.users
            let product = 1 + number * 7 % Self.products
            switch number % 10 {
            case 0, 3, 5, 8:
                let body = Caller.orderBody(Int64(product), 1)
                requests.append(RequestText(method: "POST", path: "/api/v1/checkout", token: tokens[user], body: body))
            case 1, 4, 7:
                if claims % Self.users == 0 { coupon = try await shop.admin.makeCoupon(quantity: 1_000_000) }
                let claimant = 1 + claims % Self.users
                claims += 1
                requests.append(RequestText(method: "POST", path: "/api/v1/coupons/\(coupon)/claims", token: tokens[claimant]))
            case 2: requests.append(RequestText(method: "GET", path: "/api/v1/products/\(product)"))
            case 6: requests.append(RequestText(method: "GET", path: "/api/v1/users/\(user)/balance", token: tokens[user]))
            default: requests.append(RequestText(method: "GET", path: "/api/v1/products?limit=20"))
            }
        }
        return requests
    }
}

/// The mix at one rate.
package struct OverloadPoint: Codable, Sendable {
    /// The rate as a share of the capacity.
    package let share: Double
    package let isShedding: Bool
    /// Requests a second of a closed loop just before.
    package let capacity: Double
    package let result: OpenLoopResult

    package init(share: Double, isShedding: Bool, capacity: Double, result: OpenLoopResult) {
        (self.share, self.isShedding, self.capacity, self.result) = (share, isShedding, capacity, result)
    }

    var refusals: Int { result.statuses.filter { OpenLoopResult.isRefusal($0.key) }.values.reduce(0, +) }

    var line: String {
        func pair(_ latency: Percentiles) -> String { [latency.p50, latency.p99].map(Figure.milliseconds).joined(separator: " / ") }
        return "\(Int(share * 100)) %, \(isShedding ? "shedding" : "no shedding"): \(Figure.count(result.achievedRate))/s answered, "
            + "\(refusals) of \(result.answered) refused; p50 / p99 accepted \(pair(result.accepted)) ms, refused \(pair(result.refused)) ms"
    }

    /// What makes the point a failure: answers that are neither a success nor a refusal for overload, and requests without an answer.
    var problems: [String] {
        let wrong = result.statuses.filter { $0.key >= 400 && !OpenLoopResult.isRefusal($0.key) }
        let lost = result.errors.closed + result.errors.malformed + (isShedding ? result.errors.unanswered : 0)
        var problems: [String] = []
        if !wrong.isEmpty { problems.append("overload, \(Int(share * 100)) %: answers \(wrong)") }
        if lost > 0 { problems.append("overload, \(Int(share * 100)) %: \(result.errors)") }
        return problems
    }
}

extension Report {
    package var overloadTable: String {
        var table = Table(
            [
                "Shedding", "of capacity", "asked/s", "answered/s", "refused", "accepted p50, ms", "p99, ms", "refused p50, ms", "p99, ms",
                "load generator",
            ], numeric: 1...8)
        for point in findings.overload {
            let result = point.result
            let latencies = [result.accepted.p50, result.accepted.p99, result.refused.p50, result.refused.p99].map(Figure.milliseconds)
            table.add(
                [
                    point.isShedding ? "on" : "off", "\(Int(point.share * 100)) %", Figure.count(result.askedRate),
                    Figure.count(result.achievedRate),
                    "\(Int((Double(point.refusals) / Double(max(result.answered, 1)) * 100).rounded())) %",
                ] + latencies + [
                    result.generator.keptUp ? "kept up" : "late: p99 \(Figure.milliseconds(result.generator.lateness.p99)) ms"
                ])
        }
        return table.text
    }

    /// At twice the capacity, what is accepted takes at most three times as long as at half of it.
    var overloadTargets: [TargetResult] {
        guard !findings.overload.isEmpty else { return [] }
        func p99(_ share: Double) -> Double? { findings.overload.first { $0.isShedding && $0.share == share }?.result.accepted.p99 }
        let ratio = p99(2).flatMap { twice in p99(0.5).map { twice / $0 } }
        return [Target("overload: p99 of what is accepted", "at 200 % / at 50 %", .atMost, 3).judge(ratio)]
    }
}
