package import Commerce
import GRDB

extension TransactionalStore {
    /// Adds hashes to a campaign's chain. The rows of their wins are in the store, and no row is added between or before them.
    ///
    /// - Returns: false where the store has another head than the one that the growth goes on from; then nothing changes.
    package func seal(_ growth: ChainGrowth, of campaign: CouponID) async throws(StoreError) -> Bool {
        try await write(SealWins(growth: growth, campaign: campaign))
    }
}

/// See ``TransactionalStore/seal(_:of:)``.
struct SealWins: UseCase {
    let growth: ChainGrowth
    let campaign: CouponID

    var needs: Needs { Needs(campaigns: [campaign]) }

    func decide(_ books: some Books) throws -> Outcome<Bool> {
        guard let row = try books.campaign(campaign), row.chain == growth.from else { return .done(false) }
        try books.seal(growth, of: campaign)
        return .done(true)
    }
}

/// A campaign whose wins are to be sealed or shown with their hashes.
package struct CampaignChain: Sendable {
    package let campaign: Campaign
    package let chain: WinChain
}

extension Snapshot {
    /// The campaigns with wins that are not sealed, by id.
    ///
    /// - Parameter live: whether archived campaigns are left out; then the cost does not depend on their number.
    package func unsealedCampaigns(live: Bool) throws(StoreError) -> [CouponID] {
        let condition = live ? "INDEXED BY campaigns_live WHERE archival < 2 AND" : "WHERE"
        return try reading { db in
            try db.all("SELECT id FROM campaigns \(condition) issued > sealed_count ORDER BY id") { $0.id(0) }
        }
    }

    /// A campaign with its chain; nil where there is no such campaign.
    package func chain(of id: CouponID) throws(StoreError) -> CampaignChain? {
        try reading { db in
            guard let campaign = try db.all(Database.campaignQuery + " WHERE id = ?", id, read: Database.campaign).first,
                let salt = try db.first("SELECT salt FROM campaigns WHERE id = ?", id, read: { $0.bytes(0) })
            else { return nil }
            return CampaignChain(campaign: campaign, chain: WinChain(salt: salt))
        }
    }

    /// Wins with a sequence after `sequence`, by sequence, at most `limit`.
    package func wins(of id: CouponID, afterSequence sequence: Int64, limit: Int) throws(StoreError) -> [ChainedWin] {
        try reading { db in
            try db.all(
                "SELECT sequence, user_id, issued_at FROM issued_coupons WHERE coupon_id = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                id, sequence, limit
            ) { ChainedWin(sequence: $0.int(0), userID: $0.id(1), issuedAt: $0.instant(2)) }
        }
    }

    /// The blocks of hashes that cover the sequences of the range, by number.
    package func chainBlocks(of id: CouponID, covering sequences: ClosedRange<Int64>) throws(StoreError) -> [ChainBlock] {
        try reading { db in
            try db.all(
                "SELECT block, before, hashes FROM chain_blocks WHERE coupon_id = ? AND block BETWEEN ? AND ? ORDER BY block",
                id, ChainBlock.number(of: sequences.lowerBound), ChainBlock.number(of: sequences.upperBound)
            ) { try Database.chainBlock($0, of: id) }
        }
    }
}

extension Database {
    /// A block of hashes: its number, the hash before it, and its hashes.
    static func chainBlock(_ row: some RowColumns, of id: CouponID) throws -> ChainBlock {
        guard let before = row.withBytes(1, { ChainHash($0) }) else {
            throw StoreError(.malformedRow, "a block of hashes of campaign \(id) has no valid hash before it")
        }
        return ChainBlock(number: row.int(0), before: before, hashes: row.bytes(2))
    }
}
