import Commerce
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Store

@Suite("Which store this is")
struct IdentityTests {
    @Test("a store is made with an identity of its own and a base after which nobody else's events come, and keeps both")
    func made() async throws {
        let before = StoreIdentity.now
        let (home, other) = (try TemporaryStore { $0.firstIncarnation = nil }, try TemporaryStore { $0.firstIncarnation = nil })
        let identity = home.store.identity
        #expect(identity.store.count == 16 && identity.store != other.store.identity.store)
        #expect((before...StoreIdentity.now).contains(identity.incarnation))
        #expect(identity.eventBase == identity.incarnation * 100 && String(identity.eventBase).count == 15)
        #expect(identity.description == "\(identity.store):\(identity.incarnation)")
        let (users, tea) = (try await home.store.makeUsers(1, balance: 50_000), try await home.store.makeProduct())
        for _ in 1...2 {
            _ = try await home.store.checkout(userID: users[0], items: wishes([(tea, 1)]), issuedCouponID: nil, in: .at(noon))
        }
        home.store.close()
        let again = try TemporaryStore.open(home.folder) { $0.firstIncarnation = nil }
        defer { again.close() }
        #expect(again.identity == identity)
        #expect(try await again.events(after: nil, limit: 10).map(\.id.rawValue) == [identity.eventBase + 1, identity.eventBase + 2])
        #expect(try await again.lastEventID().rawValue == identity.eventBase + 2)
        #expect(try again.makePointReader().lastEventID().rawValue == identity.eventBase + 2)
        #expect(try await again.snapshot { snapshot throws(StoreError) in try snapshot.lastEventID() }.rawValue == identity.eventBase + 2)
        let results = try await again.snapshot { snapshot throws(StoreError) in try snapshot.audit() }
        #expect(results.filter { !$0.holds } == [])
    }

    @Test("before its first event a store's last event is the base, so that the ranking counts on from there")
    func base() async throws {
        let home = try TemporaryStore { $0.firstIncarnation = 1_795_300_182_372 }
        #expect(try await home.store.lastEventID() == EventID(179_530_018_237_200))
        #expect(try home.store.makePointReader().lastEventID() == EventID(179_530_018_237_200))
        let last = try await home.store.snapshot { snapshot throws(StoreError) in try snapshot.lastEventID() }
        #expect(last == EventID(179_530_018_237_200))
    }

    @Test("a used store of an earlier version keeps counting its events, and an empty one begins like a new one", arguments: [true, false])
    func migrated(isUsed: Bool) async throws {
        let folder = TemporaryFolder(on: .memory).url
        defer { try? FileManager.default.removeItem(at: folder) }
        let old = try DatabaseQueue(path: folder.appending(path: "store.sqlite").path)
        try Schema.migrator.migrate(old, upTo: "campaigns end")
        if isUsed { try await old.write { try $0.execute(sql: "INSERT INTO products VALUES (1, 'Tea', 'tea', 10, 1, 0, 0)") } }
        try old.close()
        let store = try TemporaryStore.open(folder) { $0.firstIncarnation = nil }
        defer { store.close() }
        #expect(isUsed ? store.identity.incarnation == 0 : store.identity.incarnation > 0)
        #expect(store.identity.eventBase == store.identity.incarnation * 100)
    }

    @Test("the epochs of a campaign begin at the incarnation")
    func epochs() async throws {
        let home = try TemporaryStore { $0.firstIncarnation = 1_795_300_182_372 }
        let campaign = try await home.store.makeCampaign(quantity: 3)
        #expect(campaign.epoch == 1_795_300_182_372)
        #expect(try home.store.makePointReader().campaign(campaign.id) == campaign)
    }

    @Test(
        "a further incarnation is later than every known one, and its events come after every known one",
        arguments: [(0, 0), (4_000_000_000_000, 0), (0, 400_000_000_000_099), (5, 400_000_000_000_100)])
    func next(_ known: Int64, _ lastEvent: Int64) throws {
        let next = try StoreIdentity.nextIncarnation(after: known, lastEvent: lastEvent)
        #expect(next >= StoreIdentity.now - 60_000 && next > known && next * 100 > lastEvent)
    }

    @Test("there is no incarnation whose events need more than 15 digits")
    func noRoom() {
        #expect(throws: StoreError.self) { try StoreIdentity.nextIncarnation(after: StoreIdentity.greatestIncarnation, lastEvent: 0) }
        #expect(String(StoreIdentity.greatestIncarnation * StoreIdentity.eventsPerMillisecond + 99).count == 15)
    }

    @Test("an identity in words, and what is none")
    func words() {
        #expect(StoreIdentity.words("0123456789abcdef:0") == "store 0123456789abcdef")
        #expect(
            StoreIdentity.words("0123456789abcdef:1795300182372")
                == "store 0123456789abcdef, incarnation 1795300182372 (2026-11-21T22:29:42.372Z)")
        #expect(StoreIdentity.words("somebody") == "\"somebody\"")
    }
}
