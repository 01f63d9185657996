import LoadGenerator
import NIOCore
import TestSupport

/// Claims that are sent at a fixed rate, whatever the answers: the latency at several shares of the maximum rate.
struct OpenLoopPart: BenchPart {
    let title = "open loop"
    let rows: [Row] = []

    /// The rates, as shares of the maximum that was measured.
    static let shares = [0.25, 0.5, 0.75, 0.9]
    /// More connections than a closed loop has, because an arrival does not wait for an earlier answer.
    private static let connections = 256
    private static let users = 20_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        try await withCleanupStack { cleanup in
            progress.tell("open loop: making \(Self.users) users")
            let shop = try await Shop.open(cleanup)
            let tokens = try await shop.makeUsers(Self.users)
            var findings = Findings()
            for load in try await [refusals(shop, tokens), wins(shop, tokens)] {
                findings.openLoop.append(try await measure(load, shop, settings, progress))
            }
            try await shop.waitUntilIdle()
            try await shop.audit()
            findings.problems = findings.openLoop.flatMap(\.problems)
            return findings
        }
    }

    /// One kind of request, and how it makes as many new requests as are needed.
    private struct Load {
        let title: String
        let status: Int
        let requests: (_ count: Int) async throws -> [RequestText]
    }

    private func refusals(_ shop: Shop, _ tokens: Tokens) async throws -> Load {
        let coupon = try await shop.admin.makeCoupon(quantity: 1_000)
        for user in 1...1_000 { _ = try await shop.user(user, token: tokens[user]).claim(coupon).expect(201) }
        // One user in twenty has the coupon already.
        return Load(title: "claims that are refused", status: 409) { _ in
            (1...Self.users).map { Self.claim(coupon, tokens[$0]) }
        }
    }

    private func wins(_ shop: Shop, _ tokens: Tokens) async throws -> Load {
        Load(title: "claims that win", status: 201) { count in
            var requests: [RequestText] = []
            while requests.count < count {
                let coupon = try await shop.admin.makeCoupon(quantity: 1_000_000)
                requests += (1...Self.users).prefix(count - requests.count).map { Self.claim(coupon, tokens[$0]) }
            }
            return requests
        }
    }

    private static func claim(_ coupon: Int64, _ token: Substring) -> RequestText {
        RequestText(method: "POST", path: "/api/v1/coupons/\(coupon)/claims", token: token)
    }

    private func measure(_ load: Load, _ shop: Shop, _ settings: BenchSettings, _ progress: Progress) async throws -> OpenLoopCurve {
        var curve = OpenLoopCurve(title: load.title, maximum: try await maximum(load, shop, settings))
        progress.tell("\(load.title): at most \(Figure.count(curve.maximum))/s")
        for share in Self.shares {
            try Task.checkCancellation()
            let rate = curve.maximum * share
            let count = Int(rate * settings.openLoopSeconds) + 1
            let requests = try await load.requests(count).map { ByteBuffer(string: $0.text) }
            let result = try await OpenLoop.run(
                port: shop.ports[0], requests: requests, rate: rate, seconds: settings.openLoopSeconds, connections: Self.connections)
            let point = OpenLoopPoint(share: share, expected: load.status, result: result)
            curve.points.append(point)
            progress.tell("\(load.title) at \(Int(share * 100)) %: \(point.line)")
        }
        return curve
    }

    /// The rate of a closed loop, in the same minute and on the same service.
    private func maximum(_ load: Load, _ shop: Shop, _ settings: BenchSettings) async throws -> Double {
        let file = try RequestFile(try await load.requests(settings.openLoopProbe), in: shop.folder.path)
        defer { file.remove() }
        return try await shop.wrk.load(
            ports: shop.ports, file, .requests(settings.openLoopProbe), server: shop.watched, redis: shop.watchedRedis
        ).sample.perSecond
    }
}
