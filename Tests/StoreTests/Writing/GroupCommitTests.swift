import Commerce
import Dispatch
import GRDB
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite struct GroupCommitTests {
    @Test("jobs that wait together become one commit, in the order they came")
    func together() async throws {
        let gated = try GatedWriter()
        let arrivals = Arrivals()
        try await gated.shut()
        for value in 0..<100 { gated.writer.submit(context: nil, GatedWriter.insert(Int64(value)), completion: arrivals.add) }
        #expect(gated.writer.statistics.queueDepth == 101)
        gated.open()
        _ = try await arrivals.wait(for: 100)
        #expect(arrivals.values == Array(0..<100))
        #expect(try gated.values() == Array(0..<100))
        try await eventually("the queue is empty") { gated.writer.statistics.queueDepth == 0 }
        let statistics = gated.writer.statistics
        #expect(statistics.groups == 2 && statistics.jobs == 101 && statistics.largestGroup == 100)
    }

    @Test("a group is bounded: what is more becomes the next commit")
    func bounded() async throws {
        let gated = try GatedWriter { $0.maximumGroup = 30 }
        let arrivals = Arrivals()
        try await gated.shut()
        for value in 0..<100 { gated.writer.submit(context: nil, GatedWriter.insert(Int64(value)), completion: arrivals.add) }
        gated.open()
        _ = try await arrivals.wait(for: 100)
        #expect(gated.writer.statistics.groups == 5 && gated.writer.statistics.largestGroup == 30)
        #expect(try gated.values() == Array(0..<100))
    }

    @Test("a result arrives only when its whole group is in the file, for everybody to see")
    func durableFirst() async throws {
        let gated = try GatedWriter()
        let seen = Mutex<[Int]>([])
        try await gated.shut()
        for value in 0..<20 {
            gated.writer.submit(context: nil, GatedWriter.insert(Int64(value))) { _ in
                let rows = (try? gated.values().count) ?? -1
                seen.withLock { $0.append(rows) }
            }
        }
        #expect(try gated.values() == [])
        gated.open()
        try await eventually("all results arrived") { seen.withLock { $0.count } == 20 }
        #expect(seen.withLock { $0 } == Array(repeating: 20, count: 20))
    }

    @Test("each context is woken once per group, with its own results in order")
    func oncePerContext() async throws {
        let gated = try GatedWriter()
        let contexts = [CountingContext(), CountingContext()]
        let arrivals = [Arrivals(), Arrivals()]
        try await gated.shut()
        for value in 0..<50 {
            gated.writer.submit(context: contexts[value % 2], GatedWriter.insert(Int64(value)), completion: arrivals[value % 2].add)
        }
        gated.open()
        for index in 0..<2 {
            _ = try await arrivals[index].wait(for: 25)
            #expect(arrivals[index].values == (0..<25).map { Int64($0 * 2 + index) })
            #expect(contexts[index].deliveries == 1)
        }
    }

    @Test("a job that fails fails alone, and its neighbours commit")
    func failingAlone() async throws {
        let gated = try GatedWriter()
        let arrivals = Arrivals()
        try await gated.shut()
        for value in [1, 2, -3, 4] as [Int64] {
            gated.writer.submit(context: nil, GatedWriter.insert(value), completion: arrivals.add)
        }
        gated.open()
        let results = try await arrivals.wait(for: 4)
        #expect(arrivals.values == [1, 2, 4] && arrivals.codes == [.internal])
        #expect(throws: StoreError.self) { try results[2].get() }
        #expect(try gated.values() == [1, 2, 4])
        #expect(gated.writer.statistics.regroups == 1 && gated.writer.statistics.commitFailures == 0)
    }

    @Test("a use case that writes and then refuses is a defect: it fails alone and leaves nothing")
    func refusingTooLate() async throws {
        let home = try TemporaryStore()
        let store = home.store
        _ = try await store.makeUsers(2)
        let gate = DispatchSemaphore(value: 0)
        let inside = Flag()
        let gated = Task {
            try await store.write(context: nil) { _ in
                inside.raise()
                gate.wait()
            }
        }
        try await eventually("the writer stands in the gate") { inside.isRaised }
        let before = Task { try await store.charge(userID: UserID(1), amount: Won(1_000), in: .at(noon)) }
        try await eventually("the first charge waits") { store.statistics.queueDepth == 2 }
        let late = Task { try await store.decide(LateRefusal(), context: nil) }
        try await eventually("the late refusal waits") { store.statistics.queueDepth == 3 }
        let after = Task { try await store.charge(userID: UserID(2), amount: Won(1_000), in: .at(noon)) }
        try await eventually("the second charge waits") { store.statistics.queueDepth == 4 }
        gate.signal()
        _ = try await gated.value
        #expect(try await before.value.isDone)
        #expect(try await after.value.isDone)
        let error = await #expect(throws: StoreError.self) { try await late.value }
        #expect(error?.code == .internal)
        #expect(try await store.counts().users == 2)
        #expect(store.statistics.regroups == 1 && store.statistics.commitFailures == 0)
        #expect(!store.userExists(UserID(3)))
        #expect(try await store.createUser(name: "third", in: .at(noon)).value.id == UserID(3))
        #expect(store.userExists(UserID(3)))
    }

    @Test("the queue is bounded: what is too much is refused at once, and the admitted are served")
    func overload() async throws {
        let gated = try GatedWriter { $0.maximumQueued = 10 }
        let arrivals = Arrivals()
        try await gated.shut()
        for value in 0..<12 { gated.writer.submit(context: nil, GatedWriter.insert(Int64(value)), completion: arrivals.add) }
        #expect(arrivals.codes == [.overloaded, .overloaded, .overloaded], "nine fit beside the one in the gate")
        gated.open()
        _ = try await arrivals.wait(for: 12)
        #expect(arrivals.values == Array(0..<9))
        #expect(gated.writer.statistics.refusedOverload == 3)
    }

    @Test("closing commits what was admitted and refuses the rest")
    func closing() async throws {
        let gated = try GatedWriter()
        let arrivals = Arrivals()
        try await gated.shut()
        for value in 0..<5 { gated.writer.submit(context: nil, GatedWriter.insert(Int64(value)), completion: arrivals.add) }
        gated.open()
        try await offPool { gated.writer.close() }
        #expect(arrivals.values == Array(0..<5))
        gated.writer.submit(context: nil, GatedWriter.insert(9), completion: arrivals.add)
        #expect(arrivals.codes == [.closed])
        #expect(try gated.values() == Array(0..<5))
    }
}

/// Adds a user, then refuses.
private struct LateRefusal: UseCase {
    var needs: Needs { Needs(new: NewRows(users: 1)) }

    func decide(_ books: some Books) throws -> Outcome<UserID> {
        _ = try books.insertUser(name: "late", at: noon)
        return .refused(.userNotFound)
    }
}
