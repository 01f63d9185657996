import Commerce
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Store

@Suite("Copies of the store")
struct StoreCopyTests {
    private func products(_ count: Int, in store: TransactionalStore) async throws {
        let name = String(repeating: "x", count: 200)
        for _ in 0..<count { _ = try await store.createProduct(name: name, price: Won(1), stock: 1, in: .at(noon)) }
    }

    @Test("who looks at a copy keeps no snapshot: the store's log stays short meanwhile, and nothing of the copy is left")
    func temporary() async throws {
        let home = try TemporaryStore { $0.checkpointPages = 20 }
        try await products(10, in: home.store)
        let (isCopied, isOver) = (Flag(), DispatchSemaphore(value: 0))
        async let count = besidePool {
            try StoreCopy.withTemporary(of: home.path) { db in
                isCopied.raise()
                isOver.wait()
                return try db.integer("SELECT count(*) FROM products")
            }
        }
        try await eventually("the copy is made") { isCopied.isRaised }
        try await products(1_000, in: home.store)
        #expect(home.store.statistics.walBytes < 2 << 20)
        isOver.signal()
        #expect(try await count == 10)
        let files = try FileManager.default.contentsOfDirectory(atPath: home.folder.path)
        #expect(Set(files) == ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"])
    }

    @Test("the audit of a store at work finds one moment of it, and leaves no file")
    func audit() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let user = try await store.makeUsers(1, balance: 1_000_000)[0]
        let tea = try await store.makeProduct(price: 10, stock: 1_000_000)
        let isOver = Flag()
        async let shopping: Void = {
            while !isOver.isRaised {
                _ = try await store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon)).value
            }
        }()
        for _ in 0..<20 { #expect(try await store.audit().filter { !$0.holds } == []) }
        isOver.raise()
        try await shopping
        let files = try FileManager.default.contentsOfDirectory(atPath: home.folder.path)
        #expect(files.allSatisfy { $0.hasPrefix("store.sqlite") && !$0.contains("copy") }, "\(files)")
    }

    @Test("a backup that cannot be written fails and leaves no file")
    func noFolder() async throws {
        let home = try TemporaryStore()
        let error = await #expect(throws: StoreError.self) { try await home.store.backup(to: home.folder.path + "/missing/copy.sqlite") }
        #expect(error?.code == .unavailable)
        #expect(!FileManager.default.fileExists(atPath: home.folder.path + "/missing"))
    }
}
