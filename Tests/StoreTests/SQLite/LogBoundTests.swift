import Commerce
import Foundation
import GRDB
import Logging
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite("The bound of the write-ahead log")
struct LogBoundTests {
    private let start = ContinuousClock.now
    private func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test("a log that grows is asked to start over with each step, and one that is short is left alone")
    func restarts() {
        var bound = LogBound(checkpointBytes: 10, limit: 1_000)
        var restarts: [Int64] = []
        for bytes in Int64(0)...100 where bound.committed(bytes: bytes, at: at(0)) == .restart { restarts.append(bytes) }
        #expect(restarts == [50, 60, 70, 80, 90, 100])
        #expect(bound.committed(bytes: 49, at: at(1)) == .nothing)
        #expect(bound.committed(bytes: 50, at: at(2)) == .restart)
    }

    @Test("past the bound the reads that began before the log stalled are ended, later ones with each quarter, and said once")
    func endings() {
        var bound = LogBound(checkpointBytes: 10, limit: 100)
        #expect(bound.committed(bytes: 50, at: at(1)) == .restart)
        bound.restartFailed(at: at(1))
        #expect(bound.committed(bytes: 60, at: at(2)) == .restart)
        bound.restartFailed(at: at(2))
        #expect(bound.committed(bytes: 101, at: at(3)) == .endReads(begunBefore: at(1), isNews: true))
        #expect(bound.committed(bytes: 102, at: at(4)) == .restart)
        #expect(bound.committed(bytes: 110, at: at(5)) == .nothing)
        #expect(bound.committed(bytes: 127, at: at(6)) == .endReads(begunBefore: at(3), isNews: false))
        #expect(bound.committed(bytes: 40, at: at(8)) == .sayShort(after: .seconds(5)))
        #expect(bound.committed(bytes: 40, at: at(9)) == .nothing)
    }

    @Test("a log that passes its bound in one commit is asked to start over before any read is ended")
    func oneLargeCommit() {
        var bound = LogBound(checkpointBytes: 10, limit: 100)
        #expect(bound.committed(bytes: 500, at: at(1)) == .restart)
        #expect(bound.committed(bytes: 40, at: at(2)) == .nothing)
    }

    /// A store whose log is past its bound after a megabyte.
    private func smallLog(_ lines: LogLines) throws -> TemporaryStore {
        try TemporaryStore(logger: lines.logger()) { options in
            options.checkpointPages = 20
            options.maximumLogBytes = 1 << 20
        }
    }

    @Test("beside a long read of another process one line says that the log is long and one that it is short; own reads and writes go on")
    func foreignReader() async throws {
        let lines = LogLines()
        let home = try smallLog(lines)
        let store = home.store
        let user = try await store.makeUsers(1)[0]
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let foreign = try DatabaseQueue(path: home.path, configuration: configuration)
        try await foreign.writeWithoutTransaction { db in
            try db.execute(sql: "BEGIN")
            _ = try Int.fetchOne(db, sql: "SELECT count(*) FROM users")
        }
        func write(while condition: () -> Bool) async throws {
            let name = String(repeating: "x", count: 200)
            for _ in 0..<20_000 where condition() {
                _ = try await store.createProduct(name: name, price: Won(1), stock: 1, in: .at(noon))
                #expect(try await store.balanceHistory(of: user, page: PageRequest()).items.isEmpty)
            }
            #expect(!condition())
        }
        try await write { store.statistics.walBytes < 3 << 20 }
        try await foreign.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try await write { store.statistics.walBytes > 1 << 20 }
        try foreign.close()
        let said = lines.all.filter { $0.contains("write-ahead log") }
        #expect(said.count == 2 && said.first?.hasPrefix("warning") == true && said.last?.hasPrefix("notice") == true, "\(said)")
        #expect(store.statistics.readsEnded == 0)
    }

    @Test("reads that overlap without a pause, each of them short, do not keep the log growing")
    func overlappingReads() async throws {
        let home = try TemporaryStore { options in
            options.checkpointPages = 20
            options.maximumLogBytes = 1 << 30
        }
        let store = home.store
        let relay = ReadRelay()
        let highest = try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    while !relay.isOver {
                        try await store.snapshot { snapshot throws(StoreError) in
                            _ = try snapshot.counts()
                            relay.waitForNextRead()
                        }
                    }
                }
            }
            try await eventually("a read runs") { relay.count > 0 }
            var highest: Int64 = 0
            for _ in 0..<4_000 {
                _ = try await store.createProduct(name: String(repeating: "x", count: 200), price: Won(1), stock: 1, in: .at(noon))
                highest = max(highest, store.statistics.walBytes)
            }
            relay.end()
            try await group.waitForAll()
            return highest
        }
        // Each commit writes two pages or more.
        #expect(highest < 4_000 * 2 * 4_096 / 2)
    }
}

/// Has each of several reads last until the next one has begun, so that one of them always runs.
private final class ReadRelay: Sendable {
    private let state = Mutex((count: 0, isOver: false))

    var count: Int { state.withLock { $0.count } }
    var isOver: Bool { state.withLock { $0.isOver } }
    func end() { state.withLock { $0.isOver = true } }

    func waitForNextRead() {
        let mine = state.withLock { state in
            state.count += 1
            return state.count
        }
        while !isOver, count == mine { usleep(200) }
    }
}
