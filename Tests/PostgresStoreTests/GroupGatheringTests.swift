import Dispatch
import Testing

@testable import PostgresStore

@Suite("How long a lane gathers")
struct GroupGatheringTests {
    private var gathering = GroupGathering()
    private static let now = DispatchTime(uptimeNanoseconds: 1_000_000)

    /// Ends a group of 5, with 2 writes that wait, and says whether the lane waits then.
    private mutating func waits() -> Bool {
        gathering.ended(5, waiting: 2, trips: 3_000, at: Self.now)
        return gathering.wait != nil
    }

    @Test("a lane waits for as many as there were, for twice the time of the trips, and for no more than suffice")
    mutating func wait() throws {
        gathering.ended(5, waiting: 2, trips: 3_000, at: Self.now)
        let wait = try #require(gathering.wait)
        #expect(wait.writes == 7)
        #expect(wait.end == DispatchTime(uptimeNanoseconds: 1_006_000))
        gathering.took(7)
        gathering.ended(30, waiting: 40, trips: 3_000, at: Self.now)
        #expect(gathering.wait?.writes == GroupGathering.sufficientGroup)
    }

    @Test("nobody is waited for before the first group, after a single caller, and after a group that failed")
    mutating func none() {
        #expect(gathering.wait == nil)
        #expect(waits())
        gathering.ended(nil, waiting: 9, trips: 3_000, at: Self.now)
        #expect(gathering.wait == nil)
    }

    @Test("after a wait in vain 1 group goes without, then 2, up to 16, and none any more after a wait that was worth it")
    mutating func pauses() {
        for pause in [1, 2, 4, 8, 16, 16] {
            #expect(waits())
            gathering.took(6)
            for _ in 0..<pause {
                let isWaiting = waits()
                #expect(!isWaiting)
                gathering.took(1)
            }
        }
        for _ in 0..<3 {
            #expect(waits())
            gathering.took(7)
        }
        #expect(waits())
        gathering.took(6)
        #expect(!waits())
        #expect(waits(), "one in vain after several that were worth it costs one group")
    }
}
