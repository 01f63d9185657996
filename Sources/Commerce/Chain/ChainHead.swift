/// How far the wins of a campaign are sealed, see ``WinChain``.
package struct ChainHead: Sendable, Hashable {
    /// The sequence of the last win that is sealed; 0 before the first. No row is added at or below it any more.
    package let sequence: Int64
    /// How many wins are sealed. It is less than the sequence where a sequence was granted that nobody has got.
    package let count: Int64
    /// The hash of that win; nil before the first.
    package let hash: ChainHash?

    package init(sequence: Int64, count: Int64, hash: ChainHash?) { (self.sequence, self.count, self.hash) = (sequence, count, hash) }

    /// That of a campaign without a sealed win.
    package static let none = ChainHead(sequence: 0, count: 0, hash: nil)

    /// The hash that the next win's hash covers.
    package func previous(in campaign: CouponID) -> ChainHash { hash ?? WinChain.start(of: campaign) }
}

/// A win as its hash covers it.
package struct ChainedWin: Sendable, Hashable {
    package let sequence: Int64
    package let userID: UserID
    package let issuedAt: Instant

    package init(sequence: Int64, userID: UserID, issuedAt: Instant) {
        (self.sequence, self.userID, self.issuedAt) = (sequence, userID, issuedAt)
    }
}

extension ChainedWin {
    package init(_ coupon: IssuedCoupon) { self.init(sequence: coupon.sequence, userID: coupon.userID, issuedAt: coupon.issuedAt) }
}

/// What proves a winner's place to the winner: with the user id, the sequence and the instant of the coupon, all of it can be recomputed.
package struct WinReceipt: Sendable, Equatable {
    package let nonce: String
    package let userHash: ChainHash
    package let previousHash: ChainHash
    package let hash: ChainHash

    package init(nonce: String, userHash: ChainHash, previousHash: ChainHash, hash: ChainHash) {
        (self.nonce, self.userHash, self.previousHash, self.hash) = (nonce, userHash, previousHash, hash)
    }
}
