import NIOCore
import Testing

@testable import Redis

@Suite("The shortest of the last durations")
struct ShortestDurationTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test("a shorter duration counts at once, a longer one when the shorter ones are older than two windows")
    func windows() {
        var shortest = ShortestDuration()
        #expect(shortest.add(300, at: start) == 300)
        #expect(shortest.add(200, at: start + .seconds(1)) == 200)
        #expect(shortest.add(900, at: start + .minutes(4)) == 200)
        #expect(shortest.add(900, at: start + .minutes(6)) == 200)
        #expect(shortest.add(800, at: start + .minutes(10)) == 200)
        #expect(shortest.add(900, at: start + .minutes(12)) == 800)
        #expect(shortest.add(100, at: start + .minutes(13)) == 100)
    }
}
