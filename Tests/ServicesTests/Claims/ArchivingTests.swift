import Commerce
import GRDB
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Campaigns end", .serialized)
struct ArchivingTests {
    private static let day: Int64 = 86_400_000

    /// A campaign that Redis sees open and that ended long ago by the clock of the service, with `granted` claims only in its gate.
    private func withEnded(granted: Int = 0, _ body: (Shop, CouponID, [UserID]) async throws -> Void) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(6)
            let coupon = try await shop.makeCampaign(quantity: 10, closesIn: 3_600_000)
            for user in users[..<3] { _ = try await shop.claim(coupon, by: user) }
            for user in users[3..<3 + granted] { try await shop.grantOnly(coupon, to: user) }
            shop.clock.advance(byMilliseconds: 2 * Self.day)
            try await body(shop, coupon, users)
        }
    }

    @Test("a campaign leaves Redis a day after its end; open ones, endless ones and those that ended lately stay")
    func archived() async throws {
        try await withEnded { shop, coupon, _ in
            let endless = try await shop.makeCampaign(quantity: 5)
            let lately = try await shop.makeCampaign(quantity: 5, closesIn: Self.day + 60_000)
            let open = try await shop.makeCampaign(quantity: 5, closesIn: 3 * Self.day)
            try await shop.recovery.run(deep: false)
            #expect(try shop.isArchived(coupon))
            #expect(try await shop.keys(of: coupon) == 0)
            for coupon in [endless, lately, open] {
                #expect(try !shop.isArchived(coupon))
                #expect(try await shop.gate(of: coupon)?.isOpen == true)
            }
            #expect(try shop.reader.campaign(coupon)?.status(at: shop.clock.now) == .closed)
        }
    }

    @Test("claims that only the gate knows get their rows before the gate goes")
    func unwritten() async throws {
        try await withEnded(granted: 2) { shop, coupon, users in
            try await shop.recovery.run(deep: false)
            #expect(try await shop.issued(coupon) == [1: users[0], 2: users[1], 3: users[2], 4: users[3], 5: users[4]])
            #expect(try !shop.isArchived(coupon))
            try await shop.recovery.run(deep: false)
            #expect(try shop.isArchived(coupon))
            #expect(try await shop.keys(of: coupon) == 0)
            #expect(try await shop.issued(coupon).count == 5)
        }
    }

    @Test("a gate that contradicts the store grants nothing, so it goes as it is", arguments: ["epoch", "huge epoch", "claims", "state"])
    func contradicting(what: String) async throws {
        try await withEnded(granted: 2) { shop, coupon, users in
            switch what {
            case "epoch": _ = try shop.server.cli("HINCRBY", RedisKeys.coupon(coupon), "epoch", "4")
            case "huge epoch": _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "epoch", "\(Int64.max)")
            case "claims": _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "\(users[0])")
            default: _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "state", "paused", "builtAt", "1")
            }
            try await shop.recovery.run(deep: false)
            #expect(try shop.isArchived(coupon))
            #expect(try await shop.keys(of: coupon) == 0)
            #expect(try await shop.issued(coupon).count == 3)
        }
    }

    @Test("a gate that another service is building just now is left to it")
    func beingBuilt() async throws {
        try await withEnded { shop, coupon, _ in
            let now = try #require(Int64(try shop.server.cli("TIME").split(separator: "\n")[0]))
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "state", "paused", "epoch", "9", "builtAt", "\(now * 1_000)")
            // The machine may be slow, but nobody archives within the 2 s of silence.
            if let silence = try await shop.gate(of: coupon)?.silenceMilliseconds, silence < CouponGate.takeoverMilliseconds / 2 {
                try await shop.recovery.run(deep: false)
                let isTakenOver = try #require(try await shop.silence(since: now * 1_000)) >= CouponGate.takeoverMilliseconds
                #expect(try !shop.isArchived(coupon) || isTakenOver)
            }
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "builtAt", "1")
            try await shop.recovery.run(deep: false)
            #expect(try shop.isArchived(coupon))
            #expect(try await shop.keys(of: coupon) == 0)
        }
    }

    @Test("an archived campaign gets no gate by a build; a change of any kind brings it back, and without a new end it goes again")
    func revived() async throws {
        try await withEnded { shop, coupon, users in
            try await shop.recovery.run(deep: false)
            let error = await #expect(throws: ServiceError.self) { try await shop.campaigns.build(coupon, beyond: nil) }
            #expect(error?.code == .archived)
            #expect(try await shop.keys(of: coupon) == 0)
            #expect(
                try await shop.campaigns.change(coupon, CampaignChange(quantity: 2))
                    == .refused(.quantityIssued(issued: 3)))
            #expect(try shop.isArchived(coupon))

            // Fewer and more coupons alike.
            for quantity in [Int64(4), 8] {
                let changed = try await shop.campaigns.change(coupon, CampaignChange(quantity: quantity)).value
                #expect(!changed.isArchived && changed.terms.quantity == quantity)
                try await shop.expectAgreement(on: coupon)
                try await shop.recovery.run(deep: false)
                #expect(try shop.isArchived(coupon))
                #expect(try await shop.keys(of: coupon) == 0)
            }

            let end = try #require(shop.clock.now.advanced(byMilliseconds: Self.day))
            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: end)).value
            try await shop.recovery.run(deep: true)
            #expect(try !shop.isArchived(coupon))
            #expect(try await shop.claimPatiently(coupon, by: users[5]) == .won(4))
            #expect(try await shop.claimPatiently(coupon, by: users[0]) == .already(1))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a crash between the mark in the store and the removal is finished by the next look, with or without a gate")
    func crash() async throws {
        for hasGate in [true, false] {
            try await withEnded { shop, coupon, _ in
                if !hasGate { _ = try shop.server.cli("FLUSHALL") }
                let campaign = try #require(try shop.reader.campaign(coupon))
                let marked = try await shop.store.beginArchiving(
                    [ArchivalCandidate(id: coupon, epoch: campaign.epoch, gateEpoch: campaign.epoch)], endedBefore: shop.clock.now,
                    at: shop.clock.now)
                #expect(marked.count == 1)
                #expect(try await shop.keys(of: coupon) == (hasGate ? 2 : 0))
                try await shop.recovery.run(deep: false)
                #expect(try await shop.keys(of: coupon) == 0)
                #expect(try await shop.archived() == [coupon])
            }
        }
    }

    @Test("a change between the mark and the removal keeps the campaign: a late removal spares the new gate")
    func revivedInBetween() async throws {
        try await withEnded { shop, coupon, _ in
            let campaign = try #require(try shop.reader.campaign(coupon))
            let marked = try await shop.store.beginArchiving(
                [ArchivalCandidate(id: coupon, epoch: campaign.epoch, gateEpoch: campaign.epoch)], endedBefore: shop.clock.now,
                at: shop.clock.now)
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 20)).value
            #expect(try await CouponGate.archive(marked, through: shop.redis) == [])
            try await shop.store.finishArchiving(marked)
            #expect(try !shop.isArchived(coupon))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("an older state of Redis brings the gate of an archived campaign back: the audit names it, and recovery removes it")
    func olderState() async throws {
        try await withEnded { shop, coupon, _ in
            _ = try shop.server.cli("SAVE")
            try await shop.recovery.run(deep: false)
            var audit = shop.audit
            audit.pause = .milliseconds(5)
            let clean = try await audit.run()
            #expect(clean.isClean)
            let claim = "no archived campaign has a gate in Redis"
            #expect(try #require(clean.checks.first { $0.claim == claim }).rowsChecked == 1)
            try await shop.crash()
            #expect(try await shop.keys(of: coupon) == 2)
            let report = try await audit.run()
            #expect(report.checks.filter { $0.violationCount > 0 }.map(\.claim) == [claim])
            try await shop.recovery.run(deep: true)
            #expect(try await shop.keys(of: coupon) == 0)
            #expect(try await audit.run().isClean)
        }
    }

    @Test("the removal of gates that an older state has brought back is tried again until it was done")
    func removalTriedAgain() async throws {
        try await withEnded { shop, coupon, users in
            let open = try await shop.makeCampaign(quantity: 5)
            _ = try shop.server.cli("SAVE")
            try await shop.recovery.run(deep: false)
            try await shop.crash()
            #expect(try await shop.keys(of: coupon) == 2)
            try await shop.grantOnly(open, to: users[0])
            let recovery = shop.recovery
            // This look ends before it comes to the gates of archived campaigns.
            let looking = Task { try await recovery.run(deep: false, grace: .seconds(3_600)) }
            try await eventually("compared") { recovery.uncomparedCampaigns == 0 }
            looking.cancel()
            await #expect(throws: CancellationError.self) { try await looking.value }
            #expect(try await shop.keys(of: coupon) == 2)
            try await recovery.run(deep: false)
            #expect(try await shop.keys(of: coupon) == 0)
        }
    }

    @Test("a build that looked at the campaign before it was archived leaves no gate behind")
    func buildUnderWay() async throws {
        try await withEnded { shop, coupon, _ in
            _ = try shop.server.cli("FLUSHALL")
            let campaign = try #require(try shop.reader.campaign(coupon))
            // Reads go on.
            try shop.server.cli("CLIENT", "PAUSE", "3600000", "WRITE")
            let building = Task { try await shop.campaigns.build(coupon, beyond: nil, waits: true) }
            try await eventually("the build waits for Redis") { try shop.server.cli("INFO", "clients").contains("blocked_clients:1") }
            let gates = try await shop.store.beginArchiving(
                [ArchivalCandidate(id: coupon, epoch: campaign.epoch, gateEpoch: 0)], endedBefore: shop.clock.now, at: shop.clock.now)
            try await shop.store.finishArchiving(gates)
            try shop.server.cli("CLIENT", "UNPAUSE")
            let error = await #expect(throws: ServiceError.self) { try await building.value }
            #expect(error?.code == .archived)
            #expect(try await shop.keys(of: coupon) == 0)
        }
    }

    @Test("thousands of campaigns that ended long ago are archived 200 at a time, after the open one has its gate")
    func backlog() async throws {
        let setup = Shop.Setup(fill: { db in
            try db.execute(
                sql: """
                    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
                    INSERT INTO campaigns (id, name, discount_type, discount_value, quantity, opens_at, closes_at, valid_for_s, min_order,
                        restore_on_refund, created_at) SELECT n, 'Launch', 0, 1000, 10, 0, 1, 3600, 0, 0, 0 FROM numbers;
                    INSERT INTO campaigns (id, name, discount_type, discount_value, quantity, opens_at, valid_for_s, min_order,
                        restore_on_refund, created_at) VALUES (3001, 'Open', 0, 1000, 10, 0, 3600, 0, 0, 0);
                    """)
        })
        try await withShop(setup) { shop in
            let before = shop.store.statistics.groups
            let recovery = shop.recovery
            let running = Task { try await recovery.run(deep: true) }
            try await eventually("the open campaign is looked at") { recovery.unloadedCampaigns == [] && recovery.uncomparedCampaigns == 0 }
            #expect(try await shop.gate(of: CouponID(3_001))?.isOpen == true)
            try await running.value
            #expect(try await shop.archived().count == 3_000)
            // Two commits for 200 campaigns, and one for the gate of the open one.
            #expect(shop.store.statistics.groups - before <= 2 * 3_000 / 200 + 1)
            // The gate of the open one, and the name of the store.
            #expect(try shop.server.cli("DBSIZE") == "2")
            let commits = shop.store.statistics.groups
            try await recovery.run(deep: true)
            #expect(shop.store.statistics.groups == commits)
        }
    }
}

extension Shop {
    fileprivate func isArchived(_ coupon: CouponID) throws -> Bool { try #require(try reader.campaign(coupon)).isArchived }

    fileprivate func archived() async throws -> [CouponID] {
        try await store.snapshot { snapshot throws(StoreError) in try snapshot.archivedCampaigns() }
    }

    /// How many of the campaign's two keys there are.
    fileprivate func keys(of coupon: CouponID) async throws -> Int64? {
        try await redis.send(RedisCommand(words: ["EXISTS"] + CouponGate.keys(coupon))).integer
    }

    fileprivate func silence(since milliseconds: Int64) async throws -> Int64? {
        let time = try await redis.send(RedisCommand("TIME")).array
        guard let seconds = time?.first?.integer, let microseconds = time?.last?.integer else { return nil }
        return seconds * 1_000 + microseconds / 1_000 - milliseconds
    }
}
