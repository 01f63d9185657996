import Bench
import Testing

@Suite("Medians and ratios")
struct SpreadTests {
    @Test("the median of an odd number of values is the middle one, of an even number the mean of two")
    func medians() throws {
        #expect(try #require(Spread([3, 1, 2])).median == 2)
        #expect(try #require(Spread([4, 1, 2, 3])).median == 2.5)
        #expect(Spread([]) == nil)
    }

    @Test("the spread is the least and the greatest")
    func bounds() throws {
        let spread = try #require(Spread([5, 9, 7]))
        #expect((spread.least, spread.greatest) == (5, 9))
    }

    @Test("a ratio is taken round by round, so a slow round of both changes nothing")
    func pairedRatios() throws {
        let own = [sample(1, cpu: 10), sample(2, cpu: 40), sample(3, cpu: 10)]
        let peer = [sample(3, cpu: 20), sample(1, cpu: 20), sample(2, cpu: 80)]
        #expect(Spread.ratio(own, to: peer, of: \.cpu) == Spread([0.5, 0.5, 0.5]))
    }

    @Test("rounds that only one of the two has, and those of nothing, give no ratio")
    func missingRounds() {
        #expect(Spread.ratio([sample(1, cpu: 10)], to: [sample(2, cpu: 10)], of: \.cpu) == nil)
        #expect(Spread.ratio([sample(1, cpu: 10)], to: [sample(1, cpu: 0)], of: \.cpu) == nil)
    }

    private func sample(_ round: Int, cpu: Double) -> Sample {
        var sample = Sample(requests: 1, seconds: 1, cpu: cpu)
        sample.round = round
        return sample
    }
}
