import Commerce
import HTTPServer

/// The answers to those who have the coupon and ask for it again, rendered once for each.
///
/// An answer is the same as long as the coupon and its status are; both are compared, so nothing has to be told of a change.
struct AlreadyClaimedAnswers {
    private struct Entry {
        let coupon: IssuedCoupon
        let status: IssuedCoupon.Status
        let response: HTTPResponse
    }

    /// A coupon takes the slot of whoever had it; the ids of those who come together lie side by side.
    private var slots = [Entry?](repeating: nil, count: 4_096)

    mutating func response(for coupon: IssuedCoupon, at now: Instant) -> HTTPResponse {
        let slot = Int(truncatingIfNeeded: coupon.id.rawValue & Int64(slots.count - 1))
        let status = coupon.status(at: now)
        if let entry = slots[slot], entry.coupon == coupon, entry.status == status { return entry.response }
        let response = Problem(.couponAlreadyClaimed(coupon), at: now).response
        slots[slot] = Entry(coupon: coupon, status: status, response: response)
        return response
    }
}
