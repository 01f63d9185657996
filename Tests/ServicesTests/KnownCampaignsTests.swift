import Commerce
import GRDB
import NIOCore
import Store
import TestSupport
import Testing

@testable import Services

@Suite("What claims know of campaigns", .serialized)
struct KnownCampaignsTests {
    @Test("the store is read once, and again only after a change")
    func remembered() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 2)
            let known = KnownCampaigns(lease: .zero)
            #expect(try known[coupon].terms(from: shop.reader)?.quantity == 2)
            // Nobody tells of this one, so nobody sees it.
            _ = try await shop.store.updateCampaign(coupon, CampaignChange(quantity: 3)).value
            #expect(try known[coupon].terms(from: shop.reader)?.quantity == 2)
            known.forget(coupon)
            #expect(try known[coupon].terms(from: shop.reader)?.quantity == 3)
            #expect(try known[CouponID(99)].terms(from: shop.reader) == nil)
        }
    }

    @Test("what was read before a change does not come in after it")
    func slowRead() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 2)
            let campaign = KnownCampaign(coupon, lease: .zero)
            // The reader of generation 0 is slow: the change comes first.
            let read = GateTerms(try #require(try shop.reader.campaign(coupon)))
            _ = try await shop.store.updateCampaign(coupon, CampaignChange(quantity: 3)).value
            campaign.forget()
            campaign.remember(read, asOf: 0)
            #expect(try campaign.terms(from: shop.reader)?.quantity == 3)
        }
    }

    @Test("each change is known to the next claim, and so is each rebuild")
    func told() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 2)
            let known = shop.campaigns.known
            for quantity in Int64(3)...6 {
                _ = try known[coupon].terms(from: shop.reader)
                // Up to 5 and down to 4 again.
                let asked = quantity == 6 ? 4 : quantity
                _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: asked), at: shop.clock.now).value
                #expect(try known[coupon].terms(from: shop.reader)?.quantity == asked)
                let epoch = try #require(try known[coupon].terms(from: shop.reader)?.epoch)
                try await shop.campaigns.build(coupon, beyond: epoch, waits: true)
                #expect(try #require(try known[coupon].terms(from: shop.reader)?.epoch) > epoch)
            }
        }
    }

    @Test("a flood of unknown ids takes no more room than 20,000 of them, and what was known is read again")
    func flood() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 2)
            let known = KnownCampaigns(lease: .zero)
            let before = known[coupon]
            #expect(known[coupon] === before)
            for id in 2...Int64(20_001) { _ = known[CouponID(id)] }
            #expect(known[coupon] !== before)
            #expect(try known[coupon].terms(from: shop.reader)?.quantity == 2)
        }
    }
}
