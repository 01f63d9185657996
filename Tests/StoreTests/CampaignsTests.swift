import Commerce
import Store
import Testing

@Suite struct CampaignsTests {
    let home: TemporaryStore
    let store: Store

    init() throws {
        home = try TemporaryStore()
        store = home.store
    }

    @Test(
        "a campaign keeps every term it was made with",
        arguments: [
            Discount.fixed(amount: Won(3_000)), .percent(15, maxAmount: nil), .percent(100, maxAmount: Won(50_000)),
        ])
    func terms(discount: Discount) async throws {
        let terms = CampaignTerms(
            name: "Opening", discount: discount, quantity: 5, opensAt: after(10), closesAt: after(20), validForSeconds: 60,
            minOrderAmount: Won(7_000), restoreOnRefund: true)
        let campaign = try await store.createCampaign(terms, at: noon).value
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
            try await $0.createCampaign(terms, at: noon)
        }
    }

    @Test("the epoch counts up, and a campaign that is not there has none")
    func epochs() async throws {
        let campaign = try await store.makeCampaign()
        #expect(try await store.bumpEpoch(of: campaign.id).value.epoch == 1)
        #expect(try await store.bumpEpoch(of: campaign.id).value.epoch == 2)
        #expect(try await store.bumpEpoch(of: campaign.id, beyond: 40).value.epoch == 41)
        #expect(try await store.bumpEpoch(of: campaign.id, beyond: 7).value.epoch == 42)
        try await home.expectRefused(.couponNotFound) { try await $0.bumpEpoch(of: CouponID(9)) }
        #expect(try await store.campaignIDs() == [campaign.id])
    }
}
