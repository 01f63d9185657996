import Commerce
import Dispatch
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Store

@Suite struct LanesTests {
    /// A statement that never ends by itself.
    private static let endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    /// Occupies one connection of a lane until it is opened.
    private final class Occupant: Sendable {
        private let entered = Flag()
        private let mayEnd = DispatchSemaphore(value: 0)
        private let task: Task<Void, any Error>

        init(_ store: TransactionalStore, _ lane: ReadLane) {
            task = Task { [entered, mayEnd] in
                try await store.read(lane) { _ in
                    entered.raise()
                    mayEnd.wait()
                }
            }
        }

        func isInside() async throws { try await eventually("the read runs") { [entered] in entered.isRaised } }

        func leave() async throws {
            mayEnd.signal()
            try await task.value
        }
    }

    private static func depth(_ store: TransactionalStore, _ lane: ReadLane) -> Int { store.statistics.reads[lane]?.depth ?? -1 }

    @Test("a full lane of open lists refuses at once, and the other lanes go on")
    func fullLane() async throws {
        let home = try TemporaryStore { $0.browseReads = ReadLaneOptions(connections: 1, maximumReads: 2) }
        let store = home.store
        let user = try await store.makeUsers(1)[0]
        let tea = try await store.makeProduct(price: 10, stock: 5)
        let order = try await store.order(user, [(tea, 1)])
        let occupant = Occupant(store, .browse)
        try await occupant.isInside()
        let waiting = Task { try await store.products(ProductFilter(), page: PageRequest()) }
        try await eventually("the lane is full") { Self.depth(store, .browse) == 2 }
        var error = await #expect(throws: StoreError.self) { try await store.products(ProductFilter(), page: PageRequest()) }
        #expect(error?.code == .overloaded)
        error = await #expect(throws: StoreError.self) { try await store.campaigns(page: PageRequest()) }
        #expect(error?.code == .overloaded)
        #expect(store.statistics.reads[.browse]?.refused == 2)
        #expect(try await store.orders(of: user, page: PageRequest()).items == [order])
        #expect(try await store.events(state: nil, page: PageRequest()).items.isEmpty)
        #expect(try await store.waitingEvents(after: EventPlace(0), limit: 1).events.isEmpty)
        #expect(try await store.counts().products == 1)
        try await occupant.leave()
        #expect(try await waiting.value.items.map(\.id) == [tea])
        #expect(store.statistics.reads[.personal]?.refused == 0 && store.statistics.reads[.service]?.refused == 0)
    }

    @Test("a cancelled read that waits is dropped at once and gives its place back", arguments: [ReadLane.browse, .personal])
    func cancelledWaiting(lane: ReadLane) async throws {
        let home = try TemporaryStore { options in
            options.browseReads = ReadLaneOptions(connections: 1, maximumReads: 2)
            options.personalReads = options.browseReads
        }
        let store = home.store
        let occupant = Occupant(store, lane)
        try await occupant.isInside()
        let ran = Flag()
        let abandoned = Task { try await store.read(lane) { _ in ran.raise() } }
        try await eventually("the lane is full") { Self.depth(store, lane) == 2 }
        abandoned.cancel()
        // The only connection is occupied all the time: the read ends without it.
        let error = await #expect(throws: StoreError.self) { try await abandoned.value }
        #expect(error?.code == .cancelled)
        let next = Task { try await store.read(lane) { _ in 7 } }
        try await eventually("the next read has the place") { Self.depth(store, lane) == 2 }
        try await occupant.leave()
        #expect(try await next.value == 7)
        #expect(!ran.isRaised)
        #expect(store.statistics.reads[lane]?.cancelled == 1 && Self.depth(store, lane) == 0)
    }

    @Test("a cancelled read ends in the middle of its statement, and the next one on its connection is unharmed")
    func cancelledRunning() async throws {
        let home = try TemporaryStore { $0.browseReads = ReadLaneOptions(connections: 1, maximumReads: 10) }
        let store = home.store
        for delay: UInt64 in [0, 0, 0, 10_000, 100_000, 1_000_000] {
            let entered = Flag()
            let reading = Task {
                try await store.read(.browse) { db in
                    entered.raise()
                    return try db.integer(Self.endless)
                }
            }
            // Not before it has begun; then at any moment, also before its statement has.
            try await eventually("the read runs") { entered.isRaised }
            try await Task.sleep(nanoseconds: delay)
            let next = Task { try await store.read(.browse) { try $0.integer("SELECT 7") } }
            reading.cancel()
            let error = await #expect(throws: StoreError.self) { try await reading.value }
            #expect(error?.code == .cancelled)
            #expect(try await next.value == 7)
        }
    }

    @Test("a read whose task is cancelled before it begins does not run")
    func cancelledBefore() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let ran = Flag()
        let abandoned = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await store.read(.browse) { _ in ran.raise() }
        }
        let error = await #expect(throws: StoreError.self) { try await abandoned.value }
        #expect(error?.code == .cancelled && !ran.isRaised)
    }

    @Test("a read of the service does not end with its task, for what began it decides how it ends")
    func serviceReads() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let counting = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await store.counts()
        }
        #expect(try await counting.value.users == 0)
    }

    @Test("writes do not end with their task")
    func writes() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let writing = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await store.createProduct(name: "Tea", price: Won(1), stock: 1, in: .at(noon)).value.id
        }
        #expect(try store.makePointReader().product(try await writing.value)?.name == "Tea")
    }

    @Test("closing lets the admitted reads finish and refuses later ones, in every lane", arguments: ReadLane.allCases)
    func closing(lane: ReadLane) async throws {
        let home = try TemporaryStore { options in
            for lane in [\StoreOptions.serviceReads, \StoreOptions.personalReads, \StoreOptions.browseReads] {
                options[keyPath: lane] = ReadLaneOptions(connections: 1, maximumReads: 4)
            }
        }
        let store = home.store
        let occupant = Occupant(store, lane)
        try await occupant.isInside()
        let waiting = (0..<3).map { number in Task { try await store.read(lane) { _ in number } } }
        try await eventually("the reads wait") { Self.depth(store, lane) == 4 }
        let closing = Task { try await offPool { store.close() } }
        try await eventually("the lane takes nothing more") {
            do {
                _ = try await store.read(lane) { _ in }
                return false
            } catch let error as StoreError {
                return error.code == .closed  // before that, it is full
            }
        }
        try await occupant.leave()
        for (number, task) in waiting.enumerated() { #expect(try await task.value == number) }
        try await closing.value
    }

    @Test("threads of the lane of open lists give way to the others")
    func priorities() async throws {
        let home = try TemporaryStore()
        func niceness(_ lane: ReadLane) async throws -> Int32 {
            try await home.store.read(lane) { _ in getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }
        }
        let own = try await niceness(.service)
        #expect(try await niceness(.personal) == own)
        #expect(try await niceness(.browse) > own)
    }
}
