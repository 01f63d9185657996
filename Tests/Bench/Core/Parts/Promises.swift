import Foundation
import TestSupport

/// Times that the service promises for what is rare: how soon a Redis that lost everything has its claims again, and how long an
/// audit takes.
struct Promises: BenchPart {
    let title = "promises"
    let rows: [Row] = []

    private static let claims = 100_000
    private static let orders = 200_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        var findings = Findings()
        for promise in [try await recovery(settings, progress), try await audit(settings, progress)] {
            findings.promises = (findings.promises ?? []) + [promise]
        }
        return findings
    }

    private func recovery(_ settings: BenchSettings, _ progress: Progress) async throws -> KeptPromise {
        try await withCleanupStack { cleanup in
            let shop = try await Shop.open(cleanup) { folder in
                try await offPool {
                    try GrownStore.make(in: folder) { try $0.addSoldOutCampaigns(1, claims: Self.claims, users: Self.claims) }
                }
            }
            var promise = KeptPromise(name: "\(Figure.count(Double(Self.claims))) claims are back in a Redis that lost them", limit: 2)
            for round in 1...settings.rounds {
                try await offPool {
                    shop.redis.kill()
                    try FileManager.default.removeItem(atPath: shop.redis.directory + "/appendonlydir")
                    try shop.redis.start()
                }
                let start = ContinuousClock.now
                try await eventually("the gate has its claims, and the service is ready") {
                    guard try await shop.admin.get("/readyz").status == 200 else { return false }
                    return try shop.redis.cli("ZCARD", "coupon:{1}:claims") == String(Self.claims)
                }
                promise.seconds.append(start.duration(to: .now) / .seconds(1))
                progress.tell("round \(round)/\(settings.rounds)  \(promise.line)")
            }
            return promise
        }
    }

    private func audit(_ settings: BenchSettings, _ progress: Progress) async throws -> KeptPromise {
        try await withCleanupStack { cleanup in
            let shop = try await Shop.open(cleanup) { folder in
                try await offPool {
                    try GrownStore.make(in: folder) {
                        try $0.addProducts(100)
                        try $0.addOrders(Self.orders, lines: 1, daysAgo: "o % 3", users: 10_000, products: 100)
                    }
                }
            }
            var promise = KeptPromise(name: "an audit of \(Figure.count(Double(Self.orders))) orders beside the service", limit: 10)
            for round in 1...settings.rounds {
                let start = ContinuousClock.now
                try await shop.audit()
                promise.seconds.append(start.duration(to: .now) / .seconds(1))
                progress.tell("round \(round)/\(settings.rounds)  \(promise.line)")
            }
            return promise
        }
    }
}

/// A time that was promised, and how long it took in each round.
package struct KeptPromise: Codable, Sendable {
    package let name: String
    /// In seconds.
    package let limit: Double
    package var seconds: [Double] = []

    fileprivate var line: String { "\(name): \(Figure.short(seconds.last ?? 0)) s" }
}
