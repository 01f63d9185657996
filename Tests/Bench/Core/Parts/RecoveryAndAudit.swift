import Foundation
import TestSupport

/// How long recovery takes after Redis has lost everything, and how long an audit takes while the service runs.
struct RecoveryAndAudit: BenchPart {
    let title = "recovery and audit"
    let rows: [Row] = []

    private static let claims = 100_000
    private static let orders = 200_000

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        var findings = Findings()
        findings.operations = [try await recovery(settings, progress), try await audit(settings, progress)]
        return findings
    }

    private func recovery(_ settings: BenchSettings, _ progress: Progress) async throws -> TimedOperation {
        try await withCleanupStack { cleanup in
            let shop = try await Shop.open(cleanup) { folder in
                try await offPool {
                    try GrownStore.make(in: folder) { try $0.addSoldOutCampaigns(1, claims: Self.claims, users: Self.claims) }
                }
            }
            var operation = TimedOperation(name: "\(Figure.count(Double(Self.claims))) claims are back in a Redis that lost them", limit: 2)
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
                operation.seconds.append(start.duration(to: .now) / .seconds(1))
                progress.tell("round \(round)/\(settings.rounds)  \(operation.line)")
            }
            return operation
        }
    }

    private func audit(_ settings: BenchSettings, _ progress: Progress) async throws -> TimedOperation {
        try await withCleanupStack { cleanup in
            let shop = try await Shop.open(cleanup) { folder in
                try await offPool {
                    try GrownStore.make(in: folder) {
                        try $0.addProducts(100)
                        try $0.addOrders(Self.orders, lines: 1, daysAgo: "o % 3", users: 10_000, products: 100)
                    }
                }
            }
            var operation = TimedOperation(name: "an audit of \(Figure.count(Double(Self.orders))) orders beside the service", limit: 10)
            for round in 1...settings.rounds {
                let start = ContinuousClock.now
                try await shop.audit()
                operation.seconds.append(start.duration(to: .now) / .seconds(1))
                progress.tell("round \(round)/\(settings.rounds)  \(operation.line)")
            }
            return operation
        }
    }
}

/// A rare operation, its time limit, and how long it took in each round.
package struct TimedOperation: Codable, Sendable {
    package let name: String
    /// In seconds.
    package let limit: Double
    package var seconds: [Double] = []

    package init(name: String, limit: Double, seconds: [Double] = []) {
        (self.name, self.limit, self.seconds) = (name, limit, seconds)
    }

    fileprivate var line: String { "\(name): \(Figure.short(seconds.last ?? 0)) s" }
}

extension Report {
    package var operationTable: String {
        var table = Table(["Operation", "median, s", "least, s", "greatest, s", "limit, s"], numeric: 1...4)
        for operation in findings.operations {
            guard let spread = Spread(operation.seconds) else { continue }
            table.add([operation.name] + [spread.median, spread.least, spread.greatest, operation.limit].map(Figure.short))
        }
        return table.text
    }
}
