import Commerce
import Foundation
import GRDB
import Synchronization
import TestSupport
import Testing

@testable import Store

@Suite struct OpeningTests {
    @Test("every commit is synced: WAL, synchronous = FULL, foreign keys on")
    func durability() async throws {
        let home = try TemporaryStore()
        let settings = try await home.store.write(context: nil) { db in
            [
                try db.first("PRAGMA journal_mode") { $0.text(0) } ?? "", "\(try db.integer("PRAGMA synchronous"))",
                "\(try db.integer("PRAGMA foreign_keys"))",
            ]
        }
        #expect(settings == ["wal", "2", "1"])
    }

    @Test("a store that a newer version wrote is refused in one line, and left as it was")
    func newerVersion() async throws {
        let home = try TemporaryStore()
        home.store.close()
        try home.foreign { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('v999')") }
        let before = try home.dump()
        for isReadOnly in [false, true] {
            let error = #expect(throws: StoreError.self) {
                try TemporaryStore.open(home.folder) { $0.isReadOnly = isReadOnly }
            }
            #expect(error?.code == .newerVersion)
            #expect(error?.message.contains("newer version") == true && error?.message.contains("\n") == false)
        }
        #expect(try home.dump() == before)
    }

    @Test("events of a store without traces are still waiting after its migration, and have none")
    func eventsWithoutTraces() async throws {
        let folder = TemporaryFolder(on: .memory).url
        defer { try? FileManager.default.removeItem(at: folder) }
        let old = try DatabaseQueue(path: folder.appending(path: "store.sqlite").path)
        try Schema.migrator(firstIncarnation: 0).migrate(old, upTo: "waiting events by id")
        try await old.write { db in
            try db.execute(
                sql: """
                    INSERT INTO users (name, balance, created_at) VALUES ('김하늘', 0, 1);
                    INSERT INTO orders (day, counter, user_id, status, total, discount, created_at, expires_at, paid_at)
                        VALUES (20700, 1, 1, 1, 1000, 1000, 1, 2, 1);
                    INSERT INTO events (id, kind, order_id, occurred_at, sale_day, payload, next_attempt_at)
                        VALUES (1, 0, 1, 1, 20700, '{}', 1);
                    """)
        }
        try old.close()
        let store = try TemporaryStore.open(folder)
        defer { store.close() }
        let events = try await store.waitingEvents(after: EventPlace(0), limit: 10).events
        #expect(events.map(\.id) == [EventID(1)] && events.map(\.trace) == [nil])
    }

    @Test("a store of the first version is brought up to date as it is: same rows, same checks, and sound")
    func migration() async throws {
        let folder = TemporaryFolder(on: .memory).url
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "store.sqlite").path
        let old = try DatabaseQueue(path: path)
        try Schema.migrator.migrate(old, upTo: "v1")
        try await old.write { db in
            try db.execute(
                sql: """
                    INSERT INTO users (name, balance, created_at) VALUES ('김하늘', 5000, 1);
                    INSERT INTO transfers (kind, user_id, debit_account, credit_account, amount, balance_after, at)
                    VALUES (0, 1, 0, 1, 5000, 5000, 1);
                    INSERT INTO charges (user_id, amount, transfer_id, at) VALUES (1, 5000, 1, 1);
                    INSERT INTO campaigns (name, discount_type, discount_value, quantity, issued, opens_at, closes_at, valid_for_s,
                        min_order, restore_on_refund, epoch, created_at) VALUES ('Launch', 0, 1000, 2, 1, 0, 1, 3600, 0, 0, 4, 0);
                    INSERT INTO issued_coupons (code, coupon_id, user_id, sequence, issued_at, expires_at)
                        VALUES ('0123456789ABCDEF', 1, 1, 1, 0, 3600000);
                    """)
        }
        try old.close()
        let store = try TemporaryStore.open(folder)
        defer { store.close() }
        #expect(try store.makePointReader().balance(of: UserID(1))?.amount == Won(5_000))
        _ = try await store.charge(userID: UserID(1), amount: Won(1_000), in: .at(noon)).value
        let campaign = try #require(try store.makePointReader().campaign(CouponID(1)))
        #expect(campaign.epoch == 4 && campaign.issued == 1 && !campaign.isArchived)
        #expect(try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() } == [campaign])
        let results = try await store.snapshot { snapshot throws(StoreError) in try snapshot.audit() }
        #expect(results.filter { !$0.holds } == [])
        let foreign = try DatabaseQueue(path: path)
        defer { try? foreign.close() }
        try await foreign.writeWithoutTransaction { db in
            let soundness = try String.fetchAll(db, sql: "PRAGMA integrity_check")
            #expect(soundness == ["ok"])
            #expect(throws: DatabaseError.self) { try db.execute(sql: "UPDATE transfers SET kind = 3") }
            #expect(throws: DatabaseError.self) { try db.execute(sql: "UPDATE transfers SET kind = -1") }
            #expect(throws: DatabaseError.self) { try db.execute(sql: "UPDATE campaigns SET archival = 1") }
            #expect(throws: DatabaseError.self) { try db.execute(sql: "UPDATE campaigns SET archival = 3, archived_at = 1") }
        }
    }

    @Test(
        "writing a row has SQLite make no table in memory",
        arguments: [
            "users", "transfers", "charges", "products", "campaigns", "issued_coupons", "order_counters", "orders", "order_lines",
            "payments",
            "refunds", "refund_lines", "events", "event_units", "idempotency",
        ])
    func cheapChecks(table: String) throws {
        let home = try TemporaryStore()
        try home.foreign { db in
            let columns = try db.columns(in: table).count
            let values = Array(repeating: "?", count: columns).joined(separator: ", ")
            let program = try Row.fetchAll(
                db, sql: "EXPLAIN INSERT INTO \(table) VALUES (\(values))",
                arguments: StatementArguments(Array(repeating: 1, count: columns)))
            let operations = program.map { $0["opcode"] as String }
            #expect(operations.contains("Insert") || operations.contains("IdxInsert"))
            #expect(!operations.contains("OpenEphemeral"))
        }
    }

    @Test("a file that is no database is said to be damaged")
    func notADatabase() throws {
        let folder = TemporaryFolder(on: .memory).url
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(repeating: 0x41, count: 8_192).write(to: folder.appending(path: "store.sqlite"))
        let error = #expect(throws: StoreError.self) { try TemporaryStore.open(folder) }
        #expect(error?.code == .corrupt)
    }

    @Test("a folder that is not there is an error that says what failed")
    func noFolder() {
        let folder = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID().uuidString)")
        let error = #expect(throws: StoreError.self) { try TemporaryStore.open(folder) }
        #expect(error?.code == .unavailable)
    }

    @Test("what was answered is there after closing and opening again")
    func reopening() async throws {
        let home = try TemporaryStore()
        let user = try await home.store.makeUsers(1, balance: 20_000)[0]
        let tea = try await home.store.makeProduct()
        _ = try await home.store.checkout(userID: user, items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon)).value
        let before = try home.dump()
        home.store.close()
        #expect(try home.dump() == before)
        let again = try TemporaryStore.open(home.folder)
        defer { again.close() }
        #expect(try again.makePointReader().balance(of: user)?.amount == Won(10_000))
        #expect(try await again.order(user, [(tea, 1)]).number.counter == 2)
    }

    @Test("a store opened for reading reads beside the one that writes, and writes nothing")
    func readOnly() async throws {
        let home = try TemporaryStore()
        _ = try await home.store.makeUsers(1, balance: 20_000)
        let second = try TemporaryStore.open(home.folder) { $0.isReadOnly = true }
        defer { second.close() }
        _ = try await home.store.createUser(name: "Later", in: .at(noon))
        #expect(try await second.counts().users == 2)
        let results = try await second.snapshot { snapshot throws(StoreError) in try snapshot.audit() }
        #expect(results.filter { !$0.holds } == [])
        let error = await #expect(throws: StoreError.self) { try await second.createUser(name: "No", in: .at(noon)) }
        #expect(error?.code == .readOnly)
    }

    @Test("a store that nothing else has open can be opened for reading alone")
    func readOnlyAlone() async throws {
        let home = try TemporaryStore()
        _ = try await home.store.makeUsers(2)
        home.store.close()
        let alone = try TemporaryStore.open(home.folder) { $0.isReadOnly = true }
        defer { alone.close() }
        #expect(try await alone.counts().users == 2)
    }

    @Test(
        "a reader that lets the log grow past its bound is ended, inside a query or between two, and writes never fail for it",
        arguments: [0, 0.003])
    func boundedLog(secondsBetweenQueries: Double) async throws {
        let bound: Int64 = 1 << 20
        let home = try TemporaryStore { options in
            options.checkpointPages = 20
            options.maximumLogBytes = bound
        }
        let store = home.store
        let users = try await store.makeUsers(10)
        let (isReading, isOver) = (Signal(), Signal())
        let reading = Task {
            try await store.snapshot { snapshot throws(StoreError) in
                while !isOver.isUp {
                    _ = try snapshot.counts()
                    isReading.raise()
                    Thread.sleep(forTimeInterval: secondsBetweenQueries)
                }
            }
        }
        let highest = try await besidePool {
            // Only what is written after the reader's snapshot stays in the log.
            while !isReading.isUp { usleep(1_000) }
            let name = String(repeating: "x", count: 200)
            var highest: Int64 = 0
            for _ in 0..<1_000 where store.statistics.readsEnded == 0 {
                _ = try await store.createProduct(name: name, price: Won(1), stock: 1, in: .at(noon))
                highest = max(highest, store.statistics.walBytes)
            }
            // A reader that nobody has ended ends now, and without an error.
            if store.statistics.readsEnded == 0 { isOver.raise() }
            return highest
        }
        let error = await #expect(throws: StoreError.self) { try await reading.value }
        #expect(error?.code == .unavailable)
        #expect(highest < 2 * bound)
        for user in users { #expect(try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)).isDone) }
        #expect(try await store.counts().users == 10)
    }

    @Test("a file that this version never set up cannot be opened for reading")
    func notSetUp() throws {
        let home = try TemporaryStore()
        home.store.close()
        try home.foreign { try $0.execute(sql: "DELETE FROM grdb_migrations") }
        let error = #expect(throws: StoreError.self) { try TemporaryStore.open(home.folder) { $0.isReadOnly = true } }
        #expect(error?.code == .unavailable)
    }

    @Test("work after closing is refused, and closing twice does no harm")
    func closing() async throws {
        let home = try TemporaryStore()
        home.store.close()
        home.store.close()
        let write = await #expect(throws: StoreError.self) { try await home.store.createUser(name: "No", in: .at(noon)) }
        let read = await #expect(throws: StoreError.self) { try await home.store.campaigns(page: PageRequest()) }
        #expect(write?.code == .closed && read?.code == .closed)
    }

    @Test("a backup made while writes go on is a store of one moment")
    func backup() async throws {
        let home = try TemporaryStore()
        let store = home.store
        let users = try await store.makeUsers(20)
        let writing = Task {
            while !Task.isCancelled {
                for user in users { _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)) }
            }
        }
        let copyFolder = home.folder.appending(path: "copy")
        try FileManager.default.createDirectory(at: copyFolder, withIntermediateDirectories: true)
        try await store.backup(to: copyFolder.appending(path: "store.sqlite").path)
        writing.cancel()
        try await writing.value
        let refusal = #expect(throws: StoreError.self) { try TemporaryStore.open(copyFolder) }
        #expect(refusal?.message.contains("firstcome restore") == true)
        let copy = try TemporaryStore.open(copyFolder) { $0.isReadOnly = true }
        defer { copy.close() }
        #expect(copy.userCount == 20)
        let results = try await copy.snapshot { snapshot throws(StoreError) in try snapshot.audit() }
        #expect(results.filter { !$0.holds } == [])
    }

    @Test("a long reader keeps its moment while writes go on, and the log shrinks again after it")
    func longReader() async throws {
        let home = try TemporaryStore { $0.checkpointPages = 50 }
        let store = home.store
        let users = try await store.makeUsers(10)
        let entered = Flag()
        let mayEnd = DispatchSemaphore(value: 0)
        let reading = Task {
            try await store.snapshot { snapshot throws(StoreError) in
                let first = try snapshot.counts()
                entered.raise()
                mayEnd.wait()
                return [first, try snapshot.counts()]
            }
        }
        try await eventually("the reader has its snapshot") { entered.isRaised }
        for _ in 0..<20 { for user in users { _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)) } }
        let grown = store.statistics.walBytes
        #expect(grown > 50 * 4_096, "the log holds what the reader must not see")
        mayEnd.signal()
        let counts = try await reading.value
        #expect(counts[0] == counts[1])
        for _ in 0..<20 { for user in users { _ = try await store.charge(userID: user, amount: Won(1_000), in: .at(noon)) } }
        #expect(store.statistics.walBytes <= grown + 100 * 4_096, "written over from its start once nobody needs it")
    }
}

/// Something that happens once.
private final class Signal: Sendable {
    private let state = Atomic(false)
    var isUp: Bool { state.load(ordering: .acquiring) }
    func raise() { state.store(true, ordering: .releasing) }
}
