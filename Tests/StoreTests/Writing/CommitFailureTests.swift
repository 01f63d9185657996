import Commerce
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Store

@Suite struct CommitFailureTests {
    @Test("while the disk is full writes are unavailable, reads go on, and with room again the store heals by itself")
    func diskFull() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let user = try await store.makeUsers(1)[0]
        let reader = try store.makePointReader()
        func limitPages(to pages: @escaping @Sendable (Int64) -> Int64) async throws {
            try await store.write(context: nil) { db in
                let now = try db.integer("PRAGMA page_count")
                _ = try db.integer("PRAGMA max_page_count = \(pages(now))")
            }
        }
        try await limitPages { $0 + 4 }
        var failures = 0
        let name = String(repeating: "x", count: 200)
        for _ in 0..<400 where failures < 3 {
            let before = try home.dump()
            do {
                _ = try await store.createProduct(name: name, price: Won(1), stock: 1, in: .at(noon))
            } catch {
                #expect(error.code == .unavailable)
                #expect(error.message == "the disk that holds the store is full")
                #expect(try home.dump() == before)
                failures += 1
            }
        }
        #expect(failures == 3)
        #expect(store.statistics.commitFailures == 3)
        #expect(try reader.user(user) != nil)
        #expect(try await store.counts().users == 1)
        try await limitPages { _ in 1_000_000 }
        #expect(try await store.createProduct(name: name, price: Won(1), stock: 1, in: .at(noon)).isDone)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("a foreign process that keeps the write lock makes writes unavailable until it lets go")
    func foreignLock() async throws {
        let gated = try GatedWriter { $0.busyTimeoutMilliseconds = 50 }
        let arrivals = Arrivals()
        try await offPool {
            try gated.foreign().writeWithoutTransaction { db in
                try db.execute(sql: "BEGIN IMMEDIATE")
                gated.writer.submit(context: nil, GatedWriter.insert(1), completion: arrivals.add)
                gated.writer.submit(context: nil, GatedWriter.insert(2), completion: arrivals.add)
                // The busy timeout ends this wait, or the writer hangs and the test run shows it.
                while arrivals.all.count < 2 { Thread.sleep(forTimeInterval: 0.002) }
                try db.execute(sql: "ROLLBACK")
            }
        }
        #expect(arrivals.codes == [.unavailable, .unavailable])
        #expect(try gated.values() == [])
        gated.writer.submit(context: nil, GatedWriter.insert(3), completion: arrivals.add)
        _ = try await arrivals.wait(for: 3)
        #expect(try gated.values() == [3])
    }

    @Test("when COMMIT itself fails nobody in the group hears of success, and the next group commits")
    func failingCommit() async throws {
        let gated = try GatedWriter()
        let arrivals = Arrivals()
        try await gated.shut()
        gated.writer.submit(context: nil, GatedWriter.insert(1), completion: arrivals.add)
        gated.writer.submit(context: nil) { db in
            // The reference is checked at COMMIT, so that is what fails.
            try db.run("INSERT INTO items (value, parent) VALUES (2, 99)")
            return 2
        } completion: {
            arrivals.add($0)
        }
        gated.writer.submit(context: nil, GatedWriter.insert(3), completion: arrivals.add)
        gated.open()
        _ = try await arrivals.wait(for: 3)
        #expect(arrivals.codes == [.unavailable, .unavailable, .unavailable])
        #expect(try gated.values() == [])
        gated.writer.submit(context: nil, GatedWriter.insert(4), completion: arrivals.add)
        _ = try await arrivals.wait(for: 4)
        #expect(try gated.values() == [4])
        #expect(gated.writer.statistics.commitFailures == 1)
    }

    @Test("reads do not wait for the writer, and see what was committed before")
    func readsBesideWrites() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let user = try await store.makeUsers(1, balance: 5_000)[0]
        let reader = try store.makePointReader()
        let inside = Flag()
        let mayEnd = DispatchSemaphore(value: 0)
        let writing = Task {
            try await store.write(context: nil) { db in
                try db.run("UPDATE users SET name = 'changed'")
                inside.raise()
                mayEnd.wait()
            }
        }
        try await eventually("the writer is inside its transaction") { inside.isRaised }
        #expect(try reader.user(user)?.name == "User 1")
        #expect(try await store.balanceHistory(of: user, page: PageRequest()).items.count == 1)
        #expect(try await home.audit().filter { !$0.holds } == [])
        mayEnd.signal()
        try await writing.value
        #expect(try reader.user(user)?.name == "changed")
    }
}
