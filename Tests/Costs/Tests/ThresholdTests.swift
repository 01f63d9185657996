import Foundation
import Testing

@testable import firstcome_costs

@Suite("thresholds")
struct ThresholdTests {
    @Test(
        "an allocation more is exceeded, more than two fewer or 5 % fewer are stale",
        arguments: [
            (100.0, 101.0, Thresholds.Verdict.exceeded), (100, 100.6, .exceeded), (100, 100.5, .kept), (100, 95, .kept),
            (100, 94.9, .stale),
            (10, 8, .kept), (10, 7.9, .stale),
        ])
    func allocations(limit: Double, measured: Double, verdict: Thresholds.Verdict) {
        #expect(Thresholds.verdict(allocations: measured, limit: limit) == verdict)
    }

    @Test(
        "3 % more instructions are exceeded, 5 % fewer are stale",
        arguments: [(2.0, 2.07, Thresholds.Verdict.exceeded), (2, 2.05, .kept), (2, 1.91, .kept), (2, 1.89, .stale)])
    func instructions(limit: Double, measured: Double, verdict: Thresholds.Verdict) {
        #expect(Thresholds.verdict(instructions: measured, limit: limit) == verdict)
    }

    @Test("what is measured becomes a threshold, instructions as a multiple of the reference; what is not stays")
    func taking() {
        var thresholds = Thresholds(allocations: [.top: 5], instructions: [.top: 4])
        thresholds.take(
            CostRun.Result(reference: 7_000, costs: [RouteCost(route: .soldOut, allocations: 2.02, instructions: 14_010)]))
        #expect(thresholds == Thresholds(allocations: [.top: 5, .soldOut: 2], instructions: [.top: 4, .soldOut: 2]))
    }

    @Test("a file that was written reads the same")
    func file() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("thresholds-\(UInt32.random(in: 0 ... .max))").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let thresholds = Thresholds(allocations: [.top: 5, .soldOut: 2], instructions: [.top: 4.5, .soldOut: 2])
        try thresholds.write(path)
        #expect(try Thresholds.read(path) == thresholds)
    }

    @Test("every hot route has its thresholds", arguments: HotRoute.allCases)
    func complete(route: HotRoute) throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let thresholds = try Thresholds.read(folder.appendingPathComponent("thresholds.json").path)
        #expect(try #require(thresholds.allocations[route]) >= 0)
        #expect(try #require(thresholds.instructions[route]) > 0)
    }
}
