import Bench
import Testing

@Suite("Growth curves")
struct GrowthTests {
    @Test("growth is what the largest point costs more than the smallest, round by round")
    func percent() throws {
        let curve = GrowthResult(title: "claim", unit: "campaigns", points: [point(1, [10, 20]), point(5, [99, 1]), point(9, [11, 22])])
        #expect(abs(try #require(curve.cpuGrowthPercent) - 10) < 1e-9)
    }

    @Test("a request that is cheaper on a larger store has negative growth")
    func shrinking() throws {
        let curve = GrowthResult(title: "claim", unit: "campaigns", points: [point(1, [10]), point(9, [9])])
        #expect(try #require(curve.cpuGrowthPercent) < 0)
    }

    @Test("one point is no curve")
    func onePoint() {
        #expect(GrowthResult(title: "claim", unit: "campaigns", points: [point(1, [10])]).cpuGrowthPercent == nil)
    }

    private func point(_ size: Int, _ cpu: [Double]) -> GrowthPoint {
        GrowthPoint(
            size: size,
            samples: cpu.enumerated().map { round, value in
                var sample = Sample(requests: 1, seconds: 1, cpu: value)
                sample.round = round + 1
                return sample
            })
    }
}
