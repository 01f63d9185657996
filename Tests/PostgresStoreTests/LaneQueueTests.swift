import Dispatch
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import PostgresStore

@Suite("The queue of a lane")
struct LaneQueueTests {
    private let queue = LaneQueue<Int>(limit: 100, maximumGroup: 10)

    /// Takes once on a thread of its own, as a lane does.
    private func take(gathering: LaneQueue<Int>.Gathering? = nil) -> Taking { Taking(from: queue, gathering) }

    private func append(_ works: Int...) { for work in works { _ = queue.append(work, weight: 1) } }

    /// As long as a lane would sleep that nothing wakes.
    private static let never = DispatchTime.distantFuture

    @Test("what waits is taken at once, in the order in which it came")
    func order() async throws {
        append(1, 2, 3)
        #expect(try await take().result == [1, 2, 3])
        #expect(queue.depth == 3)
        #expect(queue.answered(weight: 2) == 1)
    }

    @Test("a lane without work sleeps until some comes, also where it gathers")
    func sleeping() async throws {
        for gathering in [nil, LaneQueue<Int>.Gathering(writes: 1, end: Self.never), .init(writes: 9, end: .now())] {
            let taking = take(gathering: gathering)
            try await taking.sleeps()
            append(7)
            #expect(try await taking.result == [7])
        }
    }

    @Test("a gathering lane takes once enough writes wait, and not before")
    func gathering() async throws {
        append(1)
        let taking = take(gathering: .init(writes: 4, end: Self.never))
        append(2, 3)
        try await taking.sleeps()
        append(4)
        #expect(try await taking.result == [1, 2, 3, 4])
    }

    @Test("a gathering lane that found nothing gathers from the first write on")
    func gatheringFromNothing() async throws {
        let taking = take(gathering: .init(writes: 2, end: Self.never))
        try await taking.sleeps()
        append(1)
        try await taking.sleeps()
        append(2)
        #expect(try await taking.result == [1, 2])
    }

    @Test("a gathering lane takes what waits when its time is over")
    func endOfGathering() async throws {
        append(1, 2)
        #expect(try await take(gathering: .init(writes: 4, end: .now() + .milliseconds(30))).result == [1, 2])
        append(3)
        #expect(try await take(gathering: .init(writes: 100, end: .now())).result == [3])
    }

    @Test("writes that wait at the bound are refused, and a closed queue hands out what it has at once and then ends the lane")
    func closing() async throws {
        let full = LaneQueue<Int>(limit: 1, maximumGroup: 10)
        #expect(full.append(1, weight: 5) == .admitted)
        #expect(full.append(2, weight: 1) == .full)

        append(1)
        let taking = take(gathering: .init(writes: 4, end: Self.never))
        try await taking.sleeps()
        queue.close()
        #expect(try await taking.result == [1])
        #expect(queue.append(2, weight: 1) == .closed)
        #expect(try await take(gathering: .init(writes: 4, end: Self.never)).result == nil)
    }
}

/// One call of `takeAll` on a thread of its own.
private final class Taking: Sendable {
    private let outcome = Mutex<(isOver: Bool, work: [Int]?)>((false, nil))

    init(from queue: LaneQueue<Int>, _ gathering: LaneQueue<Int>.Gathering?) {
        Thread { [self] in
            var work: [Int] = []
            let isWork = queue.takeAll(into: &work, gathering: gathering)
            outcome.withLock { $0 = (true, isWork ? work : nil) }
        }.start()
    }

    /// What was taken, once the call has returned; nil at the end of a closed queue.
    var result: [Int]? {
        get async throws {
            try await eventually("the lane takes") { outcome.withLock { $0.isOver } }
            return outcome.withLock { $0.work }
        }
    }

    /// Gives the call time to return too early.
    func sleeps() async throws {
        try await Task.sleep(for: .milliseconds(20))
        #expect(!outcome.withLock { $0.isOver })
    }
}
