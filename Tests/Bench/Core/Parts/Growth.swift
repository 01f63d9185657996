import TestSupport

/// How cost and memory grow with the store: each curve measures the same requests on stores of different sizes.
struct Growth: BenchPart {
    let title = "growth"
    let rows: [Row] = []

    /// Every curve, in the order in which they run.
    private static let curves: [any GrowthCurve] = [CampaignCurve(), ClaimCurve(), ProductCurve(), OrderCurve()]

    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings {
        var findings = Findings()
        for curve in Self.curves {
            try Task.checkCancellation()
            do {
                findings.growth.append(try await run(curve, settings, progress))
            } catch {
                try Task.checkCancellation()
                findings.problems.append("\(curve.title): \(error)")
                progress.tell("\(curve.title) FAILED: \(error)")
            }
        }
        return findings
    }

    /// Opens one service for each size and measures them in alternation; the others are idle meanwhile.
    private func run(_ curve: some GrowthCurve, _ settings: BenchSettings, _ progress: Progress) async throws -> GrowthResult {
        try await withCleanupStack { cleanup in
            var stages: [(shop: Shop, measure: GrowthMeasure, point: GrowthPoint)] = []
            for size in curve.sizes(isQuick: settings.isQuick) {
                progress.tell("\(curve.title): making \(size) \(curve.unit)")
                let shop = try await Shop.open(cleanup) { folder in
                    try await offPool { try GrownStore.make(in: folder) { try curve.fill($0, size: size) } }
                }
                let measure = try await curve.stage(shop, size: size, settings)
                stages.append((shop, measure, GrowthPoint(size: size)))
            }
            for round in 1...settings.growthRounds {
                for index in round.isMultiple(of: 2) ? Array(stages.indices.reversed()) : Array(stages.indices) {
                    try Task.checkCancellation()
                    var sample = try await stages[index].measure(round)
                    sample.round = round
                    stages[index].point.samples.append(sample)
                    progress.tell("round \(round)/\(settings.growthRounds)  \(stages[index].point.size) \(curve.unit): \(sample.line)")
                }
            }
            for index in stages.indices {
                let shop = stages[index].shop
                stages[index].point.refreshMicroseconds = try await curve.refreshMicroseconds(shop)
                stages[index].point.service = try shop.watched.residentBytes()
                stages[index].point.redis = try await shop.settledRedisMemory()
                try await shop.audit()
            }
            return GrowthResult(title: curve.title, unit: curve.unit, points: stages.map(\.point))
        }
    }
}

typealias GrowthMeasure = @Sendable (_ round: Int) async throws -> Sample

/// One kind of data whose amount grows, and the requests whose cost should not depend on it.
protocol GrowthCurve: Sendable {
    var title: String { get }
    /// What is counted.
    var unit: String { get }
    func sizes(isQuick: Bool) -> [Int]
    /// Fills the store before the service opens it.
    func fill(_ store: GrownStore, size: Int) throws
    /// Prepares the requests on the running service, and returns what measures them.
    func stage(_ shop: Shop, size: Int, _ settings: BenchSettings) async throws -> GrowthMeasure
    /// What one computation of the top products costs Redis, in microseconds; nil for curves that do not measure it.
    func refreshMicroseconds(_ shop: Shop) async throws -> Double?
}

extension GrowthCurve {
    func refreshMicroseconds(_ shop: Shop) async throws -> Double? { nil }
}
