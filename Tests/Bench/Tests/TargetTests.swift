import Bench
import Testing

@Suite("The targets")
struct TargetTests {
    @Test(
        "a target is met on its limit and exceeded on its stretch limit, and missed on the other side",
        arguments: [
            (0.5, TargetResult.Verdict.exceeded), (0.6, .exceeded), (0.7, .met), (0.75, .met), (0.76, .missed),
        ])
    func atMost(value: Double, verdict: TargetResult.Verdict) {
        #expect(Target("claim", "CPU", .atMost, 0.75, stretch: 0.6).judge(value).verdict == verdict)
    }

    @Test(
        "where more is better the other side is good",
        arguments: [
            (7.0, TargetResult.Verdict.exceeded), (4, .met), (3.99, .missed),
        ])
    func atLeast(value: Double, verdict: TargetResult.Verdict) {
        #expect(Target("payment", "requests/s", .atLeast, 4, stretch: 6).judge(value).verdict == verdict)
    }

    @Test("what was not measured is neither met nor missed")
    func notMeasured() {
        #expect(Target("claim", "CPU", .atMost, 0.75).judge(nil).verdict == .notMeasured)
    }

    @Test("a miss says by how much")
    func words() {
        #expect(Target("claim", "CPU", .atMost, 0.75).judge(0.9).words == "missed by 20.0 %")
        #expect(Target("payment", "requests/s", .atLeast, 4).judge(3).words == "missed by 25.0 %")
        #expect(Target("payment", "requests/s", .atLeast, 4).judge(5).words == "met")
    }
}
