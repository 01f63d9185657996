import Bench
import Testing

@Suite("The marks")
struct MarkTests {
    @Test(
        "a mark is met on its limit and beyond it, and missed on the other side",
        arguments: [
            (0.5, MarkResult.Verdict.beyond), (0.6, .beyond), (0.7, .met), (0.75, .met), (0.76, .missed),
        ])
    func atMost(value: Double, verdict: MarkResult.Verdict) {
        #expect(Mark("claim", "CPU", .atMost, 0.75, beyond: 0.6).judge(value).verdict == verdict)
    }

    @Test(
        "where more is better the other side is good",
        arguments: [
            (7.0, MarkResult.Verdict.beyond), (4, .met), (3.99, .missed),
        ])
    func atLeast(value: Double, verdict: MarkResult.Verdict) {
        #expect(Mark("payment", "requests/s", .atLeast, 4, beyond: 6).judge(value).verdict == verdict)
    }

    @Test("what was not measured is neither met nor missed")
    func notMeasured() {
        #expect(Mark("claim", "CPU", .atMost, 0.75).judge(nil).verdict == .notMeasured)
    }

    @Test("a miss says by how much")
    func words() {
        #expect(Mark("claim", "CPU", .atMost, 0.75).judge(0.9).words == "missed by 20.0 %")
        #expect(Mark("payment", "requests/s", .atLeast, 4).judge(3).words == "missed by 25.0 %")
        #expect(Mark("payment", "requests/s", .atLeast, 4).judge(5).words == "met")
    }
}
