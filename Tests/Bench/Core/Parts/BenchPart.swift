/// A part of the benchmark: starts what it needs, measures, and ends it.
protocol BenchPart: Sendable {
    var title: String { get }
    /// The names by which `ONLY` finds the part, besides its title.
    var rows: [Row] { get }
    func run(_ settings: BenchSettings, _ progress: Progress) async throws -> Findings
}

extension BenchPart {
    func isWanted(_ settings: BenchSettings) -> Bool {
        settings.wants(title) || rows.contains { settings.wants($0.rawValue) }
    }
}

/// The results of a part.
package struct Findings: Codable, Sendable {
    package var rows: [Measured] = []
    package var memory: [MemoryPoint] = []
    package var flashSale: FlashSaleResult?
    /// Nil where it was not measured, and in files of earlier runs.
    package var idle: [IdleUse]?
    package var growth: [GrowthResult] = []
    package var openLoop: [OpenLoopCurve] = []
    package var overload: [OverloadPoint] = []
    package var operations: [TimedOperation] = []
    /// What failed; one problem fails the run.
    package var problems: [String] = []

    package init() {}

    mutating func add(_ other: Findings) {
        rows += other.rows
        memory += other.memory
        flashSale = other.flashSale ?? flashSale
        idle = other.idle ?? idle
        growth += other.growth
        openLoop += other.openLoop
        overload += other.overload
        operations += other.operations
        problems += other.problems
    }
}

/// How much memory service and Redis held at one moment.
package struct MemoryPoint: Codable, Sendable {
    package let moment: Moment
    /// How much had been done by then, for example how many claims.
    package let count: Int
    /// Resident memory of the service in bytes.
    package let service: Int64
    /// Redis' used_memory in bytes.
    package let redis: Int64

    package enum Moment: String, Codable, Sendable {
        case start = "before any claim"
        case beforeRefusals = "before refused claims"
        case afterRefusals = "after refused claims"
        case afterWins = "after claims that won"
    }

    package init(moment: Moment, count: Int, service: Int64, redis: Int64) {
        (self.moment, self.count, self.service, self.redis) = (moment, count, service, redis)
    }
}

extension Shop {
    func memory(_ moment: MemoryPoint.Moment, count: Int) async throws -> MemoryPoint {
        MemoryPoint(moment: moment, count: count, service: try watched.residentBytes(), redis: try await settledRedisMemory())
    }

    /// Redis' used_memory, after it has shrunk the buffers of the last load, which it does gradually.
    func settledRedisMemory() async throws -> Int64 {
        var (last, steady) = (try redis.usedMemory(), 0)
        for _ in 1...20 where steady < 3 {
            try await Task.sleep(for: .milliseconds(400))
            let now = try redis.usedMemory()
            (last, steady) = (now, now == last ? steady + 1 : 0)
        }
        return last
    }
}
