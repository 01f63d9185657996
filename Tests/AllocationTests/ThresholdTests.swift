import Testing

@Suite("thresholds")
struct ThresholdTests {
    @Test(
        "a figure above is exceeded, one far below is stale",
        arguments: [
            (Cost.allocations, 100, 101.0, Threshold.Verdict.exceeded), (.allocations, 100, 100.6, .exceeded),
            (.allocations, 100, 100.5, .kept), (.allocations, 100, 95.0, .kept), (.allocations, 100, 94.9, .stale),
            (.allocations, 10, 8.0, .kept), (.allocations, 10, 7.9, .stale), (.instructions, 10_000, 10_501, .exceeded),
            (.instructions, 10_000, 10_499, .kept), (.instructions, 10_000, 9_001, .kept), (.instructions, 10_000, 8_999, .stale),
        ])
    func verdicts(cost: Cost, limit: Int, measured: Double, verdict: Threshold.Verdict) {
        #expect(Threshold(cost: cost, limit: limit).verdict(on: measured) == verdict)
    }

    @Test(
        "a threshold that is made from a figure keeps the figures of the next runs, and no allocation more",
        arguments: [(5.1, 5), (13.0, 13), (13.1, 13), (37.1, 37), (60.5, 61), (113.3, 114), (135.0, 136)])
    func madeFromFigures(measured: Double, limit: Int) {
        #expect(NewThresholds.limit(measured, .allocations) == limit)
        #expect(NewThresholds.limit(42_340.9, .instructions) == 42_300)
    }

    @Test("every hot route has its thresholds", arguments: HotRoute.allCases)
    func complete(route: HotRoute) throws {
        for cost in Cost.allCases { #expect(try Threshold.load(cost, route).limit > 0) }
    }
}
