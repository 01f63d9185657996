import Commerce
import NIOCore

/// What the gate of one campaign said lately, so that those who lose need not all ask it.
///
/// What the gate says is good for a short lease, counted from the moment it was asked. While the lease holds one claim after
/// the other is answered from here; before it ends one claim goes to the gate to renew it. Whatever changes the campaign in this
/// service ends every lease at once; what changes the gate behind its back is seen when the lease ends.
struct GateMemory {
    /// A word of the gate.
    struct Lease {
        private let length: TimeAmount
        private var askedAt: NIODeadline?
        private var isBeingRenewed = false

        init(_ length: TimeAmount) { self.length = length }

        /// Whether the word still counts. In the second half of the lease one caller is told no, and renews it.
        mutating func holds(at now: NIODeadline) -> Bool {
            guard let askedAt, now < askedAt + length else { return false }
            guard !isBeingRenewed, now > askedAt + .nanoseconds(length.nanoseconds / 2) else { return true }
            isBeingRenewed = true
            return false
        }

        /// Until when the first half of the lease lasts; nil where it is not held.
        var firstHalfEnd: NIODeadline? { askedAt.map { $0 + .nanoseconds(length.nanoseconds / 2) } }

        mutating func renew(askedAt now: NIODeadline) {
            askedAt = max(askedAt ?? now, now)
            isBeingRenewed = false
        }
    }

    /// The gate stands, is open, and in the epoch of the store: who has a coupon is told so.
    var isOpen: Lease
    /// Nothing is left: who has none gets none.
    var isSoldOut: Lease
    /// Everybody who has a place once the gate is sold out. Nobody joins them without a new quantity or a new epoch.
    var holders: UserSet?
    /// Refusals since the holders were last asked for.
    var refusals: Int64 = 0
    var isLoadingHolders = false

    init(lease: TimeAmount) { (isOpen, isSoldOut) = (Lease(lease), Lease(lease)) }

    /// Whether the holders are worth asking for: only once as many were turned away as make up for it.
    mutating func wantsHolders(ofQuantity quantity: Int64) -> Bool {
        guard holders == nil, !isLoadingHolders, quantity <= Self.maximumHolders else { return false }
        refusals += 1
        guard refusals * Self.holdersPerRefusal >= quantity else { return false }
        (refusals, isLoadingHolders) = (0, true)
        return true
    }

    /// A campaign with more coupons than this asks the gate for each claim.
    static let maximumHolders: Int64 = 2_000_000
    /// Reading 50 holders costs Redis and us about as much as one claim.
    private static let holdersPerRefusal: Int64 = 50
}
