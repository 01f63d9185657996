import Commerce
import HTTPServer
import Services

/// The answers to those who have the coupon and ask for it again, rendered once for each.
///
/// An answer is the same as long as the coupon and its status are; both are compared, so nothing has to be told of a change.
struct AlreadyClaimedAnswers {
    /// A class, so that looking at one copies nothing.
    private final class Entry: Sendable {
        /// The coupon as the claims know it: the same object is the same coupon, without comparing its members.
        let known: RecentCoupons.Entry?
        let coupon: IssuedCoupon
        let status: IssuedCoupon.Status
        let response: HTTPResponse

        init(_ known: RecentCoupons.Entry?, _ coupon: IssuedCoupon, _ status: IssuedCoupon.Status, _ response: HTTPResponse) {
            (self.known, self.coupon, self.status, self.response) = (known, coupon, status, response)
        }
    }

    /// An entry takes the slot of another one whose coupon's id has the same last bits; the ids of those who come together lie side
    /// by side.
    private var slots = [Entry?](repeating: nil, count: 4_096)

    mutating func response(for known: RecentCoupons.Entry, at now: Instant) -> HTTPResponse {
        let slot = slot(known.issued.id)
        if let entry = slots[slot], entry.known === known, entry.status == known.issued.status(at: now) { return entry.response }
        return response(for: known.issued, known, slot, at: now)
    }

    mutating func response(for coupon: IssuedCoupon, at now: Instant) -> HTTPResponse {
        response(for: coupon, nil, slot(coupon.id), at: now)
    }

    private mutating func response(
        for coupon: IssuedCoupon, _ known: RecentCoupons.Entry?, _ slot: Int, at now: Instant
    ) -> HTTPResponse {
        let status = coupon.status(at: now)
        var rendered: HTTPResponse?
        if let entry = slots[slot], entry.coupon == coupon, entry.status == status { rendered = entry.response }
        let response = rendered ?? Problem(.couponAlreadyClaimed(coupon), at: now).response
        slots[slot] = Entry(known, coupon, status, response)
        return response
    }

    private func slot(_ id: IssuedCouponID) -> Int { Int(truncatingIfNeeded: id.rawValue & Int64(slots.count - 1)) }
}
