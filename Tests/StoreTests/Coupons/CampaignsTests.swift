import Commerce
import Store
import Testing

@Suite(.everyEngine) struct CampaignsTests: StoreSuite {
    @Test(
        "a campaign keeps every term it was made with",
        arguments: [
            Discount.fixed(amount: Won(3_000)), .percent(15, maxAmount: nil), .percent(100, maxAmount: Won(50_000)),
        ])
    func terms(discount: Discount) async throws {
        let terms = CampaignTerms(
            name: "Opening", discount: discount, quantity: 5, opensAt: after(10), closesAt: after(20), validForSeconds: 60,
            minOrderAmount: Won(7_000), restoreOnRefund: true)
        let campaign = try await store.createCampaign(terms, in: .at(noon)).value
        #expect(campaign == Campaign(id: CouponID(1), terms: terms, issued: 0, createdAt: noon, epoch: 0))
        #expect(try store.makePointReader().campaign(campaign.id) == campaign)
        #expect(try await store.campaigns(page: PageRequest()).items == [campaign])
    }

    @Test("quantity and window change, and never to the impossible")
    func changing() async throws {
        let users = try await store.makeUsers(2)
        let campaign = try await store.makeCampaign(quantity: 3)
        for (index, user) in users.enumerated() { _ = try await store.issue(campaign, to: user, sequence: Int64(index + 1)) }
        try await home.expectRefused(.quantityIssued(issued: 2)) {
            try await $0.updateCampaign(campaign.id, CampaignChange(quantity: 1))
        }
        try await home.expectRefused(.invalid(field: "closesAt", reason: "must be after opensAt")) {
            try await $0.updateCampaign(campaign.id, CampaignChange(closesAt: noon))
        }
        try await home.expectRefused(.couponNotFound) { try await $0.updateCampaign(CouponID(9), CampaignChange(quantity: 1)) }
        let changed = try await store.updateCampaign(
            campaign.id, CampaignChange(quantity: 2, opensAt: after(1), closesAt: after(2))
        ).value
        #expect(changed.remaining == 0)
        #expect(changed.terms.opensAt == after(1) && changed.terms.closesAt == after(2))
        #expect(try store.makePointReader().campaign(campaign.id) == changed)
    }

    @Test("a campaign that ends before it begins is not made")
    func impossibleWindow() async throws {
        let terms = CampaignTerms(
            name: "Never", discount: .fixed(amount: Won(1)), quantity: 1, opensAt: after(5), closesAt: after(5), validForSeconds: 1,
            minOrderAmount: .zero, restoreOnRefund: false)
        try await home.expectRefused(.invalid(field: "closesAt", reason: "must be after opensAt")) {
            try await $0.createCampaign(terms, in: .at(noon))
        }
    }

    @Test("an epoch is raised once: of two services that name the same one the second is told so, and a campaign that is missing has none")
    func epochs() async throws {
        let campaign = try await store.makeCampaign()
        #expect(try await store.bumpEpoch(of: campaign.id, to: 1).value?.epoch == 1)
        #expect(try await store.bumpEpoch(of: campaign.id, to: 1).value == nil)
        #expect(try await store.bumpEpoch(of: campaign.id, to: 41).value?.epoch == 41)
        #expect(try await store.bumpEpoch(of: campaign.id, to: 40).value == nil)
        #expect(try store.makePointReader().campaign(campaign.id)?.epoch == 41)
        try await home.expectRefused(.couponNotFound) { try await $0.bumpEpoch(of: CouponID(9), to: 1) }
    }

    private func makeEnded(closesAt: Instant?) async throws -> Campaign {
        var terms = try await store.makeCampaign(quantity: 3).terms
        terms.closesAt = closesAt
        return try await store.createCampaign(terms, in: .at(noon)).value
    }

    private func live() async throws -> [CouponID] {
        try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() }.map(\.id)
    }

    private func archived() async throws -> [CouponID] {
        try await store.snapshot { snapshot throws(StoreError) in try snapshot.archivedCampaigns() }
    }

    @Test("a campaign that ended is archived in two steps, each of which a crash may leave, and a change brings it back")
    func archiving() async throws {
        let user = try await store.makeUsers(2)
        let ended = try await makeEnded(closesAt: after(20))
        _ = try await store.issue(ended, to: user[0], sequence: 1)
        let before = try await live()
        let gates = try await store.beginArchiving(
            [ArchivalCandidate(id: ended.id, epoch: 0, gateEpoch: 6)], endedBefore: after(20), at: after(100))
        #expect(gates == [ArchivedGate(id: ended.id, epoch: 7)])
        let marked = try #require(try store.makePointReader().campaign(ended.id))
        #expect(marked.isArchived && marked.epoch == 7)
        // Its gate is still to be removed.
        #expect(try await live() == before)
        #expect(try await archived() == [])
        let late = Claim(couponID: ended.id, userID: user[1], sequence: 2, epoch: 0, issuedAt: noon)
        #expect(try await store.recordClaim(late) == .done(.stale))
        #expect(try await store.bumpEpoch(of: ended.id, to: 8).value == nil)

        try await store.finishArchiving(gates)
        #expect(try await live() == before.filter { $0 != ended.id })
        #expect(try await archived() == [ended.id])
        let lately = try await store.snapshot { snapshot throws(StoreError) in
            (try snapshot.gatesArchived(since: after(100), limit: 9), try snapshot.gatesArchived(since: after(101), limit: 9))
        }
        #expect(lately.0 == gates && lately.1.isEmpty)
        #expect(try await store.campaigns(page: PageRequest()).items.contains { $0.id == ended.id && $0.isArchived })

        let revived = try await store.updateCampaign(ended.id, CampaignChange(quantity: 4)).value
        #expect(!revived.isArchived && revived.epoch == 7)
        #expect(try store.makePointReader().campaign(ended.id) == revived)
        #expect(try await live() == before)
        #expect(try await store.bumpEpoch(of: ended.id, to: 8).value?.epoch == 8)
    }

    @Test("only what has ended and is as it was compared is archived")
    func notArchived() async throws {
        let endless = try await makeEnded(closesAt: nil)
        let open = try await makeEnded(closesAt: after(50))
        let rebuilt = try await makeEnded(closesAt: after(20))
        let revived = try await makeEnded(closesAt: after(20))
        _ = try await store.bumpEpoch(of: rebuilt.id, to: 3).value
        let candidates = [endless, open, rebuilt].map { ArchivalCandidate(id: $0.id, epoch: 0, gateEpoch: 0) }
        #expect(try await store.beginArchiving(candidates, endedBefore: after(49), at: after(60)) == [])
        let gates = try await store.beginArchiving(
            [ArchivalCandidate(id: revived.id, epoch: 0, gateEpoch: 0)], endedBefore: after(49), at: after(60))
        // Brought back between the two steps: the second one leaves it alone.
        _ = try await store.updateCampaign(revived.id, CampaignChange(closesAt: after(90))).value
        try await store.finishArchiving(gates)
        #expect(try await archived() == [])
        for campaign in [endless, open, rebuilt, revived] {
            #expect(try store.makePointReader().campaign(campaign.id)?.isArchived == false)
        }
    }
}
