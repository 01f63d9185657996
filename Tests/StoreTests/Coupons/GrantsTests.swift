import Commerce
import Store
import Testing

@Suite(.everyEngine) struct GrantsTests: StoreSuite {
    private func chunks(_ users: [Int64]) -> [GrantChunk] {
        let size = Int(GrantChunk.size)
        return stride(from: 0, to: users.count, by: size).map { start in
            GrantChunk(position: Int64(start / size), users: users[start..<min(start + size, users.count)].map { UserID($0) })
        }
    }

    private func started(_ campaign: Campaign, _ users: [Int64]) async throws -> Grant {
        let grant = try await store.beginGrant(of: campaign.id, by: "kim", at: noon).value
        try await store.addChunks(chunks(users), to: grant.id, at: after(1))
        return try await store.startGrant(grant.id, total: Int64(users.count), in: .at(after(2))).value
    }

    @Test("a list is kept in its order, and nobody sees it before it is started")
    func receiving() async throws {
        let campaign = try await store.makeCampaign()
        let users = (1...2_500).map { Int64($0) * 3 } + [.max]
        let begun = try await store.beginGrant(of: campaign.id, by: "kim", at: noon).value
        try await store.addChunks(Array(chunks(users)[..<2]), to: begun.id, at: after(1))
        try await store.addChunks(Array(chunks(users)[2...]), to: begun.id, at: after(1))
        #expect(try await store.grant(begun.id, of: campaign.id) == nil)
        #expect(try await store.grants(of: campaign.id, page: PageRequest()).items.isEmpty)
        #expect(try await store.runningGrant() == nil)
        let grant = try await store.startGrant(begun.id, total: 2_501, in: .at(after(2))).value
        #expect((grant.state, grant.total, grant.chunkCount, grant.actor) == (.running, 2_501, 3, "kim"))
        #expect(try await store.grant(grant.id, of: campaign.id) == grant)
        #expect(try await store.grant(grant.id, of: CouponID(99)) == nil)
        #expect(try await store.runningGrant() == grant)
        for chunk in chunks(users) { #expect(try await store.chunk(chunk.position, of: grant.id) == chunk) }
        #expect(try await store.chunk(3, of: grant.id) == nil)
    }

    @Test("a grant needs a campaign that is not archived, and remembers which coupons were issued before it")
    func beginning() async throws {
        await #expect(throws: NotDone.self) { _ = try await store.beginGrant(of: CouponID(9), by: "kim", at: noon).value }
        let user = try await store.makeUsers(1)[0]
        let campaign = try await store.makeCampaign()
        let coupon = try await store.issue(campaign, to: user)
        #expect(try await store.beginGrant(of: campaign.id, by: "kim", at: noon).value.lastCouponBefore == coupon.id)
        _ = try await store.updateCampaign(campaign.id, CampaignChange(closesAt: after(1))).value
        let epoch = try #require(try home.reader.campaign(campaign.id)).epoch
        let candidate = ArchivalCandidate(id: campaign.id, epoch: epoch, gateEpoch: epoch)
        #expect(try await store.beginArchiving([candidate], endedBefore: after(2), at: after(2)).count == 1)
        try await home.expectRefused(.couponClosed) { try await $0.beginGrant(of: campaign.id, by: "kim", at: noon) }
    }

    @Test("a chunk's outcomes are counted once, with the place of the next chunk, and the last one ends the grant")
    func outcomes() async throws {
        let grant = try await started(try await store.makeCampaign(), (1...1_026).map { Int64($0) })
        let first = Array(repeating: GrantOutcome.granted, count: 1_020) + [.alreadyHeld, .soldOut, .closed, .unknownUser]
        let next = try await store.recordOutcomes(first, ofChunk: 0, of: grant.id, at: after(3))
        #expect((next.state, next.nextChunk, next.counts.processed) == (.running, 1, 1_024))
        // As a service would that did not know of it.
        #expect(try await store.recordOutcomes(first, ofChunk: 0, of: grant.id, at: after(4)) == next)
        #expect(try await store.chunk(0, of: grant.id)?.outcomes == first)
        let last = try await store.recordOutcomes([.granted, .soldOut], ofChunk: 1, of: grant.id, at: after(5))
        #expect((last.state, last.finishedAt) == (.done, after(5)))
        let counts = last.counts
        #expect([counts.granted, counts.alreadyHeld, counts.soldOut, counts.closed, counts.unknownUser] == [1_021, 1, 2, 1, 1])
        #expect(try await store.runningGrant() == nil)
        #expect(try await store.grant(grant.id, of: grant.couponID) == last)
    }

    @Test("a list that was never started is found by its age and removed, and one that was started stays")
    func unstarted() async throws {
        let campaign = try await store.makeCampaign()
        let running = try await started(campaign, [1, 2])
        let left = try await store.beginGrant(of: campaign.id, by: "kim", at: noon).value
        // More chunks than one transaction removes.
        let users = (1...140 * GrantChunk.size + 5).map { $0 }
        try await store.addChunks(chunks(users), to: left.id, at: after(10))
        #expect(try await store.unstartedGrants(untouchedSince: after(10)) == [])
        #expect(try await store.unstartedGrants(untouchedSince: after(11)) == [left.id])
        try await store.removeUnstarted(left.id)
        try await store.removeUnstarted(running.id)
        #expect(try await store.unstartedGrants(untouchedSince: .init(milliseconds: .max)) == [])
        for position in [0, 140] { #expect(try await store.chunk(Int64(position), of: left.id) == nil) }
        #expect(try await store.chunk(0, of: running.id) != nil)
        await #expect { try await store.addChunks(chunks([1]), to: left.id, at: after(12)) } throws: { error in
            (error as? StoreError)?.code == .unavailable
        }
    }

    @Test("a campaign's grants are listed newest first, page by page")
    func pages() async throws {
        let (one, other) = (try await store.makeCampaign(), try await store.makeCampaign())
        let grants = [try await started(one, [1]), try await started(one, [2]), try await started(one, [3])]
        _ = try await started(other, [1])
        let first = try await store.grants(of: one.id, page: PageRequest(limit: 2))
        #expect(first.items == [grants[2], grants[1]])
        let rest = try await store.grants(of: one.id, page: PageRequest(limit: 2, cursor: first.nextCursor))
        #expect(rest.items == [grants[0]] && rest.nextCursor == nil)
    }
}
