import Testing

@Suite("thresholds of allocations")
struct ThresholdTests {
    @Test(
        "a figure above is exceeded, one far below is stale",
        arguments: [
            (100, 101.0, Threshold.Verdict.exceeded), (100, 100.6, .exceeded), (100, 100.5, .kept), (100, 100.0, .kept),
            (100, 95.0, .kept), (100, 94.9, .stale), (10, 8.0, .kept), (10, 7.9, .stale),
        ])
    func verdicts(allocations: Int, measured: Double, verdict: Threshold.Verdict) {
        #expect(Threshold(allocations: allocations).verdict(on: measured) == verdict)
    }

    @Test("every hot route has its threshold", arguments: HotRoute.allCases)
    func complete(route: HotRoute) throws {
        #expect(try Threshold.load(route.rawValue).allocations > 0)
    }
}
