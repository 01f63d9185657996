package import Commerce
import NIOCore
import Synchronization

/// The campaigns of which one event loop has lately seen that nothing is left.
///
/// A copy of what ``KnownCampaign`` knows, so that loops which refuse claims of one campaign at the same time write to no memory that
/// they share. A copy counts in the first half of the gate's lease, and only as long as the campaign's version has not changed; then
/// the claim goes to the campaign, where one of them renews the lease.
///
/// Safety of `@unchecked Sendable`: touched on the loop alone, which every entry asserts.
package final class SoldOutCampaigns: @unchecked Sendable {
    /// A class, so that looking at one takes one reference.
    private final class Copy {
        let coupon: CouponID
        let campaign: KnownCampaign
        let knowledge: KnownCampaign.SoldOut

        init(_ campaign: KnownCampaign, _ knowledge: KnownCampaign.SoldOut) {
            (coupon, self.campaign, self.knowledge) = (campaign.coupon, campaign, knowledge)
        }
    }

    private let eventLoop: any EventLoop
    /// A campaign takes the slot of another one whose id has the same last bits. Few, because each keeps the holders in memory.
    private var copies = [Copy?](repeating: nil, count: 8)

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Whether the user has no coupon of the campaign and gets none, as far as is known here.
    package func refuses(_ user: UserID, _ coupon: CouponID) -> Bool {
        eventLoop.assertInEventLoop()
        let slot = slot(coupon)
        guard let copy = copies[slot], copy.coupon == coupon, !copy.knowledge.holders.contains(user) else { return false }
        guard copy.campaign.version.load(ordering: .acquiring) == copy.knowledge.version, NIODeadline.now() < copy.knowledge.until else {
            copies[slot] = nil
            return false
        }
        return true
    }

    /// Copies what a campaign knows, where it knows that nothing is left.
    func copy(_ campaign: KnownCampaign, at now: NIODeadline) {
        eventLoop.assertInEventLoop()
        guard let knowledge = campaign.soldOut(at: now) else { return }
        copies[slot(campaign.coupon)] = Copy(campaign, knowledge)
    }

    private func slot(_ coupon: CouponID) -> Int { Int(truncatingIfNeeded: coupon.rawValue) & (copies.count - 1) }
}
