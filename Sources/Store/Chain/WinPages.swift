package import Commerce

/// A win with its hash.
package struct ListedWin: Sendable {
    package let win: ChainedWin
    package let issuedCouponID: IssuedCouponID
    package let userHash: ChainHash
    package let nonce: String
    /// Nil where the win is not sealed yet.
    package let hash: ChainHash?
}

extension TransactionalStore {
    /// A page of a campaign's wins with their hashes, in the order of their sequences; nil where there is no such campaign.
    ///
    /// The lane is that of open lists, so a reader of a whole campaign delays nobody but them.
    package func listedWins(
        of id: CouponID, afterSequence sequence: Int64, limit: Int
    ) async throws(StoreError) -> [ListedWin]? {
        try await readSnapshot(.browse) { snapshot throws(StoreError) in
            guard let campaign = try snapshot.chain(of: id) else { return nil }
            return try snapshot.listedWins(of: id, campaign.chain, afterSequence: sequence, limit: limit)
        }
    }
}

extension Snapshot {
    fileprivate func listedWins(
        of id: CouponID, _ chain: WinChain, afterSequence sequence: Int64, limit: Int
    ) throws(StoreError) -> [ListedWin] {
        let rows = try reading { db in
            try db.all(
                """
                SELECT sequence, user_id, issued_at, id FROM issued_coupons WHERE coupon_id = ? AND sequence > ? ORDER BY sequence LIMIT ?
                """, id, sequence, limit
            ) { (ChainedWin(sequence: $0.int(0), userID: $0.id(1), issuedAt: $0.instant(2)), $0.id(3) as IssuedCouponID) }
        }
        guard let first = rows.first?.0.sequence, let last = rows.last?.0.sequence, first <= last else { return [] }
        let blocks = try chainBlocks(of: id, covering: first...last)
        var next = blocks.startIndex
        return rows.map { win, coupon in
            let number = ChainBlock.number(of: win.sequence)
            while next < blocks.endIndex, blocks[next].number < number { next += 1 }
            let sealed = next < blocks.endIndex ? blocks[next].hash(of: win.sequence)?.hash : nil
            let nonce = chain.nonce(of: win.userID)
            return ListedWin(
                win: win, issuedCouponID: coupon, userHash: WinChain.userHash(of: win.userID, nonce: nonce), nonce: nonce, hash: sealed)
        }
    }
}
