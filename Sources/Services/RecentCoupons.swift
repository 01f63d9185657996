package import Commerce
import Store
import Synchronization

/// Coupons that people asked for again: who presses the button twice presses it a third time.
///
/// As many slots as there are lie in a mutex, and a coupon takes the slot of whoever had it. A copy counts only as long as the
/// store has not changed the coupon, and for a second at most.
package final class RecentCoupons: Sendable {
    /// A coupon as it was read. A class, so that finding it takes one reference.
    package final class Entry: Sendable {
        package let issued: IssuedCoupon
        fileprivate let version: RowVersions.Version

        fileprivate init(_ issued: IssuedCoupon, _ version: RowVersions.Version) {
            (self.issued, self.version) = (issued, version)
        }
    }

    /// The campaign and user of a slot's coupon. Kept beside the entries, so that a comparison copies no entry.
    private struct Key: Equatable {
        /// Ids count up from 1: 0 is nobody's.
        var campaign: Int64 = 0
        var user: Int64 = 0
    }

    private struct Slots {
        var keys: [Key]
        var entries: [Entry?]
    }

    private let slots: Mutex<Slots>
    private let mask: Int
    private let changes: RowVersions

    /// - Parameter capacity: a power of two.
    init(store: Store, capacity: Int = 8_192) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "the slot is cut from the hash by a mask")
        slots = Mutex(Slots(keys: Array(repeating: Key(), count: capacity), entries: Array(repeating: nil, count: capacity)))
        mask = capacity - 1
        changes = store.rowVersions
    }

    /// The coupon that the user has of the campaign as the store has it now, where that is remembered.
    func entry(of campaign: CouponID, for user: UserID) -> Entry? {
        let slot = slot(campaign, user)
        let key = Key(campaign: campaign.rawValue, user: user.rawValue)
        let entry = slots.withLock { slots in slots.keys[slot] == key ? slots.entries[slot] : nil }
        guard let entry, changes.holds(entry.version, for: entry.issued.id.rawValue, in: .issuedCoupons) else { return nil }
        return entry
    }

    /// The same, read from the store where it is not remembered, and remembered then.
    func coupon(of campaign: CouponID, for user: UserID, from reader: PointReader) throws(StoreError) -> IssuedCoupon? {
        if let known = entry(of: campaign, for: user) { return known.issued }
        let read = try changes.versioned(in: .issuedCoupons, id: { $0.id.rawValue }) { () throws(StoreError) in
            try reader.issuedCoupon(of: campaign, userID: user)
        }
        guard let read else { return nil }
        if let version = read.version {
            let slot = slot(campaign, user)
            slots.withLock { slots in
                slots.keys[slot] = Key(campaign: campaign.rawValue, user: user.rawValue)
                slots.entries[slot] = Entry(read.row, version)
            }
        }
        return read.row
    }

    /// Neighbours in one campaign take neighbouring slots, and campaigns begin far apart.
    private func slot(_ campaign: CouponID, _ user: UserID) -> Int {
        Int(truncatingIfNeeded: user.rawValue &+ campaign.rawValue &* 1_000_003) & mask
    }
}
