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

    @Test("every hot route has its thresholds", arguments: HotRoute.allCases)
    func complete(route: HotRoute) throws {
        for cost in [Cost.allocations, .instructions] { #expect(try Threshold.load(cost, route).limit > 0) }
    }
}
