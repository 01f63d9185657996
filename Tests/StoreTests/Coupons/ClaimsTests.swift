import Commerce
import Store
import Testing

@Suite(.everyEngine) struct ClaimsTests: StoreSuite {
    private func claim(_ campaign: Campaign, _ user: UserID, _ sequence: Int64, epoch: Int64? = nil) -> Claim {
        Claim(couponID: campaign.id, userID: user, sequence: sequence, epoch: epoch ?? campaign.epoch, issuedAt: noon)
    }

    @Test("a claim becomes a coupon once; doing it again finds the same coupon")
    func once() async throws {
        let user = try await store.makeUsers(1)[0]
        let campaign = try await store.makeCampaign(.percent(10, maxAmount: Won(5_000)), quantity: 2, minOrder: 100)
        let coupon = try await store.issue(campaign, to: user, sequence: 1)
        #expect(coupon.couponID == campaign.id && coupon.userID == user && coupon.sequence == 1 && coupon.state == .issued)
        #expect(coupon.name == "Launch" && coupon.discount == .percent(10, maxAmount: Won(5_000)) && coupon.minOrderAmount == Won(100))
        #expect(coupon.issuedAt == noon && coupon.expiresAt == after(3_600_000))
        let before = try home.dump()
        #expect(try await store.recordClaim(claim(campaign, user, 1)) == .done(.known(coupon)))
        #expect(try home.dump() == before)
        let reader = try store.makePointReader()
        #expect(try reader.issuedCoupon(coupon.id) == coupon)
        #expect(try reader.issuedCoupon(of: campaign.id, userID: user) == coupon)
        #expect(try reader.campaign(campaign.id)?.issued == 1)
    }

    @Test("what contradicts the store is stale, and what has no campaign or user is said to be so")
    func contradictions() async throws {
        let users = try await store.makeUsers(3)
        var campaign = try await store.makeCampaign(quantity: 2)
        _ = try await store.issue(campaign, to: users[0], sequence: 1)
        campaign = try #require(try await store.bumpEpoch(of: campaign.id, to: 1).value)
        let before = try home.dump()
        #expect(try await store.recordClaim(claim(campaign, users[0], 2)) == .done(.stale), "the user has another sequence")
        #expect(try await store.recordClaim(claim(campaign, users[1], 1)) == .done(.stale), "the sequence is taken")
        #expect(try await store.recordClaim(claim(campaign, users[1], 2, epoch: 0)) == .done(.stale), "an epoch before")
        #expect(try await store.recordClaim(claim(campaign, users[1], 2, epoch: 2)) == .done(.stale), "an epoch to come")
        #expect(try await store.recordClaim(claim(campaign, UserID(99), 2)) == .done(.userMissing))
        let missing = Claim(couponID: CouponID(99), userID: users[1], sequence: 1, epoch: 0, issuedAt: noon)
        #expect(try await store.recordClaim(missing) == .done(.campaignMissing))
        #expect(try home.dump() == before)
        _ = try await store.issue(campaign, to: users[1], sequence: 7)
        #expect(try await store.recordClaim(claim(campaign, users[2], 8)) == .done(.stale), "all are issued")
        #expect(try await store.claims(of: campaign.id, limit: 10).map(\.sequence) == [1, 7])
        #expect(try await store.claims(of: campaign.id, afterSequence: 1, limit: 10) == [IssuedClaim(userID: users[1], sequence: 7)])
        #expect(try await store.counts().issuedCoupons == 2)
    }

    @Test("of many claims at once no more are issued than the quantity, and no sequence twice")
    func quantityUnderConcurrency() async throws {
        let users = try await store.makeUsers(60)
        let campaign = try await store.makeCampaign(quantity: 20)
        let store = store
        let records = try await withThrowingTaskGroup(of: ClaimRecord.self) { group in
            for (index, user) in users.enumerated() {
                // Three users for each sequence: a gate that lost its mind.
                let claim = claim(campaign, user, Int64(index / 3 + 1))
                group.addTask { try await store.recordClaim(claim).value }
                group.addTask { try await store.recordClaim(claim).value }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        var issued = 0
        for record in records { if case .issued = record { issued += 1 } }
        #expect(issued == 20)
        #expect(try await store.claims(of: campaign.id, limit: 100).map(\.sequence) == Array(1...20))
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("a coupon lives as long as the campaign says, and never beyond what a date can say")
    func farExpiry() async throws {
        let user = try await store.makeUsers(1)[0]
        let campaign = try await store.makeCampaign(validForSeconds: .max)
        let coupon = try await store.issue(campaign, to: user)
        #expect(coupon.expiresAt.description == "9999-12-31T23:59:59.999Z")
    }
}
