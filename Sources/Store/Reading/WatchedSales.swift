package import Commerce
import GRDB

/// What somebody who watches the sales is shown of the store.
package struct WatchedSales: Sendable, Equatable {
    /// A coupon that was issued.
    package struct Winner: Sendable, Equatable {
        package let sequence: Int64
        package let userID: UserID
        package let issuedAt: Instant
    }

    /// The campaigns of the list: open ones first, then scheduled ones by their opening, then the others, those that ended last first.
    package let campaigns: [Campaign]
    /// The watched campaigns that are not in the list.
    package let others: [CouponID: Campaign]
    /// The latest winners of the watched campaigns and of the first of the list, the latest first.
    package let winners: [CouponID: [Winner]]

    /// The services on the store that have reported lately; empty where it has one alone.
    package let services: [SeenService]

    package init(
        campaigns: [Campaign], others: [CouponID: Campaign] = [:], winners: [CouponID: [Winner]], services: [SeenService] = []
    ) {
        (self.campaigns, self.others, self.winners, self.services) = (campaigns, others, winners, services)
    }

    /// How many campaigns the list has at most.
    package static let mostCampaigns = 20
    /// How many winners of a campaign are shown at most.
    package static let mostWinners = 10
}

extension TransactionalStore {
    /// Reads what is shown of some campaigns. It is a read of the lane for browsing, which delays no claim, and ends with its task.
    package func watchedSales(of watched: Set<CouponID>, at now: Instant) async throws(StoreError) -> WatchedSales {
        try await read(.browse) { db in
            let live = try db.all(Self.liveCampaigns, now, WatchedSales.mostCampaigns, read: Database.campaign)
            let missing = WatchedSales.mostCampaigns - live.count
            let archived = missing > 0 ? try db.all(Self.archivedCampaigns, missing, read: Database.campaign) : []
            let campaigns = live + archived
            let listed = Set(campaigns.map(\.id))
            var others: [CouponID: Campaign] = [:]
            for id in watched.subtracting(listed) {
                others[id] = try db.first(Self.campaignByID, id, read: Database.campaign)
            }
            var winners: [CouponID: [WatchedSales.Winner]] = [:]
            for id in watched.union(campaigns.first.map { [$0.id] } ?? []) where listed.contains(id) || others[id] != nil {
                winners[id] = try db.all(Self.latestWinners, id, WatchedSales.mostWinners) {
                    WatchedSales.Winner(sequence: $0.int(0), userID: $0.id(1), issuedAt: $0.instant(2))
                }
            }
            return WatchedSales(campaigns: campaigns, others: others, winners: winners, services: try db.seenServices())
        }
    }

    /// The cost depends on the campaigns that are not archived. A campaign that is sold out has ended when it opened, as far as is known.
    private static let liveCampaigns =
        Database.campaignQuery + """
             INDEXED BY campaigns_live WHERE archival < 2 ORDER BY
            CASE WHEN opens_at > ?1 THEN 1 WHEN issued < quantity AND (closes_at IS NULL OR closes_at > ?1) THEN 0 ELSE 2 END,
            CASE WHEN opens_at > ?1 THEN opens_at WHEN closes_at <= ?1 THEN -closes_at ELSE -opens_at END, id DESC LIMIT ?2
            """
    private static let archivedCampaigns =
        Database.campaignQuery + " INDEXED BY campaigns_archived WHERE archival = 2 ORDER BY archived_at DESC LIMIT ?"
    private static let campaignByID = Database.campaignQuery + " WHERE id = ?"
    private static let latestWinners =
        "SELECT sequence, user_id, issued_at FROM issued_coupons WHERE coupon_id = ? ORDER BY sequence DESC LIMIT ?"
}
