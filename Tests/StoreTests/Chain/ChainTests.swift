import Commerce
import Testing

@testable import Store

@Suite(.everyEngine) struct ChainTests: StoreSuite {
    /// Issues coupons with these sequences, in this order, to users 1, 2 and so on.
    private func issue(_ sequences: [Int64], of campaign: Campaign) async throws -> [IssuedCoupon] {
        let users = try await store.makeUsers(sequences.count)
        var coupons: [IssuedCoupon] = []
        for (user, sequence) in zip(users, sequences) {
            coupons.append(try await store.issue(campaign, to: user, sequence: sequence, at: after(sequence)))
        }
        return coupons
    }

    private func receipts(of users: some Sequence<UserID>) async throws -> [WinReceipt?] {
        var receipts: [WinReceipt?] = []
        for user in users {
            let coupons = try await store.issuedCoupons(of: user, status: nil, at: noon, page: PageRequest()).items
            receipts.append(coupons.first?.receipt)
        }
        return receipts
    }

    @Test("sealed in steps of any size, the chain is the same, and each receipt leads from the hash before to its own")
    func steps() async throws {
        let campaign = try await store.makeCampaign(quantity: 1_000)
        // Two whole blocks and the beginning of a third one; nobody has sequences 3, 65 and 66.
        let sequences = (1...135).filter { ![3, 65, 66].contains($0) }.map { Int64($0) }
        let coupons = try await issue(sequences, of: campaign)
        for size in [1, 60, 5, 3, 1_000] { try await store.sealWins(of: campaign.id, limit: size) }
        let head = try #require(try store.makePointReader().campaign(campaign.id)).chain
        #expect(head.sequence == 135 && head.count == 132)
        let wins = try #require(try await store.listedWins(of: campaign.id, afterSequence: 0, limit: 1_000))
        #expect(wins.map(\.win) == coupons.map { ChainedWin($0) })
        var previous = WinChain.start(of: campaign.id)
        for (win, receipt) in zip(wins, try await receipts(of: coupons.map(\.userID))) {
            let receipt = try #require(receipt)
            let expected = WinChain.hash(
                after: previous, sequence: win.win.sequence, userHash: WinChain.userHash(of: win.win.userID, nonce: win.nonce),
                issuedAt: win.win.issuedAt)
            #expect(win.hash == expected && receipt.hash == expected && receipt.previousHash == previous, "sequence \(win.win.sequence)")
            #expect(receipt.nonce == win.nonce && receipt.userHash == win.userHash)
            previous = expected
        }
        #expect(head.hash == previous)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("a step from another head than the store's changes nothing")
    func otherHead() async throws {
        let campaign = try await store.makeCampaign()
        _ = try await issue([1, 2], of: campaign)
        let chained = try #require(try await store.snapshot { snapshot throws(StoreError) in try snapshot.chain(of: campaign.id) })
        var first = ChainGrowth(of: campaign.id, from: .none, chained.chain)
        first.add(ChainedWin(sequence: 1, userID: UserID(1), issuedAt: after(1)))
        #expect(try await store.seal(first, of: campaign.id))
        #expect(try await store.seal(first, of: campaign.id) == false)
        #expect(try store.makePointReader().campaign(campaign.id)?.chain == first.head)
        #expect(try await store.seal(first, of: CouponID(99)) == false)
        #expect(try await home.audit().filter { !$0.holds } == [])
    }

    @Test("no coupon is issued with a sequence at or below the sealed one; above it, coupons are issued as before")
    func behindTheHead() async throws {
        let campaign = try await store.makeCampaign()
        _ = try await issue([1, 3], of: campaign)
        try await store.sealWins(of: campaign.id)
        let user = try await store.createUser(name: "Late", in: .at(noon)).value.id
        let late = Claim(couponID: campaign.id, userID: user, sequence: 2, epoch: campaign.epoch, issuedAt: noon)
        #expect(try await store.recordClaim(late).value == .stale)
        #expect(try await store.issue(campaign, to: user, sequence: 4).sequence == 4)
    }

    @Test("a win that is not sealed has no receipt, and is listed without a hash")
    func notSealed() async throws {
        let campaign = try await store.makeCampaign()
        let coupons = try await issue([1, 2, 3], of: campaign)
        try await store.sealWins(of: campaign.id, limit: 2)
        #expect(try await receipts(of: coupons.map(\.userID)).map { $0 != nil } == [true, true, false])
        let wins = try #require(try await store.listedWins(of: campaign.id, afterSequence: 1, limit: 10))
        #expect(wins.map { $0.hash != nil } == [true, false])
        #expect(try await store.listedWins(of: CouponID(99), afterSequence: 0, limit: 10) == nil)
    }

    @Test("campaigns with wins to seal are found, each has a salt of its own, and a change of terms leaves the chain as it is")
    func unsealed() async throws {
        let campaigns = [try await store.makeCampaign(), try await store.makeCampaign(), try await store.makeCampaign()]
        _ = try await issue([1, 2], of: campaigns[0])
        _ = try await store.issue(campaigns[2], to: UserID(1))
        func unsealed(live: Bool) async throws -> [CouponID] {
            try await store.snapshot { snapshot throws(StoreError) in try snapshot.unsealedCampaigns(live: live) }
        }
        #expect(try await unsealed(live: true) == [campaigns[0].id, campaigns[2].id])
        let head = try await store.sealWins(of: campaigns[0].id)
        #expect(try await unsealed(live: false) == [campaigns[2].id])
        #expect(try await store.updateCampaign(campaigns[0].id, CampaignChange(quantity: 500)).value.chain == head)
        #expect(try store.makePointReader().campaign(campaigns[0].id)?.chain == head)
        var nonces: Set<String> = []
        for campaign in campaigns {
            let chained = try #require(try await store.snapshot { snapshot throws(StoreError) in try snapshot.chain(of: campaign.id) })
            nonces.insert(chained.chain.nonce(of: UserID(1)))
        }
        #expect(nonces.count == 3)
    }
}
