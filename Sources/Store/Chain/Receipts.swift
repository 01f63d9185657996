package import Commerce
import GRDB

/// A user's coupon with the receipt of its win; nil as long as the win is not sealed.
package struct CouponWithReceipt: Sendable, Equatable {
    package let coupon: IssuedCoupon
    package let receipt: WinReceipt?

    package init(coupon: IssuedCoupon, receipt: WinReceipt?) { (self.coupon, self.receipt) = (coupon, receipt) }
}

extension Database {
    /// What ``issuedCouponQuery`` selects, and behind it the salt of the campaign, and the block of hashes up to the coupon's own.
    static let couponWithReceiptQuery = """
        SELECT i.id, i.code, i.coupon_id, i.user_id, c.name, c.discount_type, c.discount_value, c.discount_max, c.min_order,
            i.sequence, i.state, i.issued_at, i.expires_at, i.used_at, i.order_id,
            c.salt, b.block, b.before,
            substr(b.hashes, 1, CAST(\(ChainHash.byteCount) * ((i.sequence - 1) % \(ChainBlock.length) + 1) AS integer))
        FROM issued_coupons i JOIN campaigns c ON c.id = i.coupon_id
            LEFT JOIN chain_blocks b ON b.coupon_id = i.coupon_id AND b.block = (i.sequence - 1) / \(ChainBlock.length)
        """

    static func couponWithReceipt(_ row: some RowColumns) throws -> CouponWithReceipt {
        let coupon = try issuedCoupon(row)
        guard !row.isNull(16), let before = row.withBytes(17, { ChainHash($0) }) else {
            return CouponWithReceipt(coupon: coupon, receipt: nil)
        }
        let block = ChainBlock(number: row.int(16), before: before, hashes: row.bytes(18))
        guard let sealed = block.hash(of: coupon.sequence) else { return CouponWithReceipt(coupon: coupon, receipt: nil) }
        let nonce = WinChain(salt: row.bytes(15)).nonce(of: coupon.userID)
        let receipt = WinReceipt(
            nonce: nonce, userHash: WinChain.userHash(of: coupon.userID, nonce: nonce), previousHash: sealed.previous, hash: sealed.hash)
        return CouponWithReceipt(coupon: coupon, receipt: receipt)
    }
}
