import Commerce
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Store

@Suite("Restoring a backup")
struct RestoreTests {
    /// A store with sales and a campaign, its backup, and what happened after that.
    private final class Drill: Sendable {
        let home: TemporaryStore
        let backup: String
        let campaign: Campaign
        let product: ProductID
        let users: [UserID]

        init() async throws {
            home = try TemporaryStore { $0.firstIncarnation = 1_700_000_000_000 }
            let store = home.store
            users = try await store.makeUsers(2, balance: 1_000_000)
            product = try await store.makeProduct()
            campaign = try await store.makeCampaign()
            _ = try await store.issue(campaign, to: users[0])
            _ = try await store.checkout(userID: users[0], items: wishes([(product, 1)]), issuedCouponID: nil, in: .at(noon)).value
            backup = home.folder.appending(path: "backup.sqlite").path
            try await store.backup(to: backup)
            _ = try await store.checkout(userID: users[1], items: wishes([(product, 2)]), issuedCouponID: nil, in: .at(noon)).value
            _ = try await store.issue(campaign, to: users[1], sequence: 2)
        }

        /// A folder with the files as they are at this moment, as a crash leaves them.
        func crashed() throws -> URL {
            let folder = home.folder.appending(path: "crashed-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for name in ["store.sqlite", "store.sqlite-wal"] {
                try FileManager.default.copyItem(at: home.folder.appending(path: name), to: folder.appending(path: name))
            }
            return folder
        }
    }

    private static func path(_ folder: URL) -> String { folder.appending(path: "store.sqlite").path }

    private static func files(_ folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    private static func issued(_ store: TransactionalStore, _ campaign: Campaign) async throws -> Int64 {
        Int64(try await store.claims(of: campaign.id, limit: 1_000).count)
    }

    @Test("a backup goes into an empty folder as a later incarnation: what it held is there, and further events get new ids")
    func emptyFolder() async throws {
        let drill = try await Drill()
        let folder = drill.home.folder.appending(path: "new")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let report = try StoreRestore.run(file: drill.backup, to: Self.path(folder))
        #expect(report.formerStore == nil && report.lastEvent == EventID(170_000_000_000_001))
        #expect(report.counts.events == 1 && report.counts.issuedCoupons == 1 && report.counts.users == 2)
        #expect(try Self.files(folder) == ["store.sqlite"])
        let store = try TemporaryStore.open(folder)
        defer { store.close() }
        let (old, new) = (drill.home.store.identity, store.identity)
        #expect(new == report.identity && new.store == old.store && new.incarnation > old.incarnation)
        #expect(try await store.lastEventID().rawValue == new.eventBase)
        _ = try await store.checkout(userID: drill.users[1], items: wishes([(drill.product, 3)]), issuedCouponID: nil, in: .at(noon)).value
        #expect(try await store.events(after: nil, limit: 10).map(\.id.rawValue) == [170_000_000_000_001, new.eventBase + 1])
        #expect(try #require(try store.makePointReader().campaign(drill.campaign.id)).epoch == new.incarnation)
        let results = try await store.snapshot { snapshot throws(StoreError) in try snapshot.audit() }
        #expect(results.filter { !$0.holds } == [])
    }

    @Test("what a crash left beside the former store does not reach the restored one, and the former one is kept whole")
    func overCrashedStore() async throws {
        let drill = try await Drill()
        let folder = try drill.crashed()
        let report = try StoreRestore.run(file: drill.backup, to: Self.path(folder))
        let former = try #require(report.formerStore)
        #expect(try Self.files(folder) == ["store.sqlite", URL(fileURLWithPath: former).lastPathComponent])
        let store = try TemporaryStore.open(folder)
        defer { store.close() }
        #expect(try await Self.issued(store, drill.campaign) == 1)
        let copy = drill.home.folder.appending(path: "former")
        try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: former, toPath: Self.path(copy))
        let kept = try TemporaryStore.open(copy)
        defer { kept.close() }
        #expect(kept.identity == drill.home.store.identity)
        #expect(try await Self.issued(kept, drill.campaign) == 2)
        #expect(try await kept.counts().events == 2)
    }

    @Test("the same backup restored again is another incarnation, whose events have other ids")
    func twice() async throws {
        let drill = try await Drill()
        let folder = try drill.crashed()
        var bases: [Int64] = []
        for _ in 1...3 {
            let report = try StoreRestore.run(file: drill.backup, to: Self.path(folder))
            bases.append(report.identity.eventBase)
            let store = try TemporaryStore.open(folder)
            _ = try await store.checkout(userID: drill.users[1], items: wishes([(drill.product, 1)]), issuedCouponID: nil, in: .at(noon))
                .value
            #expect(try await store.events(after: nil, limit: 10).map(\.id.rawValue).dropFirst() == [report.identity.eventBase + 1])
            store.close()
        }
        #expect(bases == bases.sorted() && Set(bases).count == 3 && bases[0] > 170_000_000_000_002)
    }

    @Test("a clock that has gone back does not bring an incarnation back: the former store knows a later one")
    func clockWentBack() async throws {
        let drill = try await Drill()
        let later = try TemporaryStore { $0.firstIncarnation = 4_000_000_000_000 }
        later.store.close()
        let report = try StoreRestore.run(file: drill.backup, to: later.path)
        #expect(report.identity.incarnation == 4_000_000_000_001)
    }

    @Test("the file of a store in use is restored with what its write-ahead log holds")
    func liveFile() async throws {
        let drill = try await Drill()
        let folder = drill.home.folder.appending(path: "new")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let report = try StoreRestore.run(file: drill.home.path, to: Self.path(folder))
        #expect(report.counts.events == 2 && report.counts.issuedCoupons == 2)
        #expect(try await drill.home.store.counts().events == 2)
    }

    @Test("a backup of an earlier version is brought up to date")
    func earlierVersion() async throws {
        let folder = TemporaryFolder(on: .memory).url
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "old.sqlite").path
        let old = try DatabaseQueue(path: file)
        try Schema.migrator.migrate(old, upTo: "v1")
        try await old.write { try $0.execute(sql: "INSERT INTO users (name, balance, created_at) VALUES ('김하늘', 0, 1)") }
        try old.close()
        let report = try StoreRestore.run(file: file, to: Self.path(folder))
        #expect(report.counts.users == 1 && report.identity.incarnation > 0)
        let store = try TemporaryStore.open(folder)
        defer { store.close() }
        #expect(store.identity == report.identity && store.userCount == 1)
    }

    /// A file that must not be restored, made from a good backup, and what is said of it.
    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let says: String
        let make: @Sendable (_ file: String) throws -> Void
    }

    private static func edit(_ file: String, _ sql: String) throws {
        let queue = try DatabaseQueue(path: file)
        try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
        try queue.close()
    }

    static let faults: [Fault] = [
        Fault(testDescription: "no file", says: "there is no file") { try FileManager.default.removeItem(atPath: $0) },
        Fault(testDescription: "no database", says: "damaged or is no database") { file in
            try Data(repeating: 0x41, count: 8_192).write(to: URL(fileURLWithPath: file))
        },
        Fault(testDescription: "an empty file", says: "no store of this program") { try Data().write(to: URL(fileURLWithPath: $0)) },
        Fault(testDescription: "another program's database", says: "no store of this program") { file in
            try FileManager.default.removeItem(atPath: file)
            try edit(file, "CREATE TABLE users (id INTEGER)")
        },
        Fault(testDescription: "half a file", says: "damaged") { file in
            let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
            try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: file))
        },
        Fault(testDescription: "a page of zeros", says: "damaged") { file in
            var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
            bytes.replaceSubrange(bytes.count / 2 / 4_096 * 4_096..<bytes.count / 2 / 4_096 * 4_096 + 4_096, with: Data(count: 4_096))
            try bytes.write(to: URL(fileURLWithPath: file))
        },
        Fault(testDescription: "a newer version", says: "newer version") { file in
            try edit(file, "INSERT INTO grdb_migrations (identifier) VALUES ('v999')")
        },
        Fault(testDescription: "rows without their parents", says: "rows belong to rows that are missing") { file in
            try edit(file, "PRAGMA foreign_keys = OFF; DELETE FROM users WHERE id = 1")
        },
        Fault(testDescription: "an incomplete backup", says: "an incomplete backup") { file in
            try Data("x".utf8).write(to: URL(fileURLWithPath: file + "-journal"))
        },
        Fault(testDescription: "a foreign log beside it", says: "write-ahead log beside it") { file in
            try Data("x".utf8).write(to: URL(fileURLWithPath: file + "-wal"))
        },
    ]

    @Test("a file that must not be restored is refused in one line, and the store stays as it was", arguments: faults)
    func refused(_ fault: Fault) async throws {
        let drill = try await Drill()
        let folder = drill.home.folder.appending(path: "there")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        _ = try StoreRestore.run(file: drill.backup, to: Self.path(folder))
        let before = try Data(contentsOf: URL(fileURLWithPath: Self.path(folder)))
        try fault.make(drill.backup)
        let error = #expect(throws: StoreError.self) { try StoreRestore.run(file: drill.backup, to: Self.path(folder)) }
        #expect(error?.message.contains(fault.says) == true && error?.message.contains("\n") == false, "\(error?.message ?? "")")
        #expect(try Data(contentsOf: URL(fileURLWithPath: Self.path(folder))) == before)
        #expect(try Self.files(folder) == ["store.sqlite"])
    }

    @Test("a damaged store is no reason not to restore, and is kept with its log")
    func damagedStore() async throws {
        let drill = try await Drill()
        let folder = try drill.crashed()
        try Data(repeating: 0x41, count: 8_192).write(to: URL(fileURLWithPath: Self.path(folder)))
        let report = try StoreRestore.run(file: drill.backup, to: Self.path(folder))
        let former = try #require(report.formerStore)
        #expect(FileManager.default.fileExists(atPath: former))
        let store = try TemporaryStore.open(folder)
        defer { store.close() }
        #expect(try await Self.issued(store, drill.campaign) == 1)
    }

    @Test("a backup that was copied over a store by hand is refused, and neither it nor the log beside it is touched")
    func copiedByHand() async throws {
        let drill = try await Drill()
        let folder = try drill.crashed()
        // Opened once more and crashed again, as a service that was started after a crash.
        let again = try TemporaryStore.open(folder)
        _ = try await again.makeProduct("Coffee")
        let crashed = drill.home.folder.appending(path: "again")
        try FileManager.default.createDirectory(at: crashed, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: drill.backup, toPath: Self.path(crashed))
        try FileManager.default.copyItem(atPath: Self.path(folder) + "-wal", toPath: Self.path(crashed) + "-wal")
        again.close()
        let before = try ["", "-wal"].map { try Data(contentsOf: URL(fileURLWithPath: Self.path(crashed) + $0)) }
        let error = #expect(throws: StoreError.self) { try TemporaryStore.open(crashed) }
        #expect(error?.message.contains("firstcome restore") == true)
        #expect(try ["", "-wal"].map { try Data(contentsOf: URL(fileURLWithPath: Self.path(crashed) + $0)) } == before)
        _ = try StoreRestore.run(file: drill.backup, to: Self.path(crashed))
        let store = try TemporaryStore.open(crashed)
        defer { store.close() }
        #expect(try await store.counts().products == 1)
        #expect(try await Self.issued(store, drill.campaign) == 1)
    }
}
