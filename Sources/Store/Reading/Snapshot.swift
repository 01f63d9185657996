package import Commerce
import GRDB

/// The store at one moment: all reads through one snapshot see the same commits, also while others are committed.
///
/// Valid inside the closure that receives it, and used on that thread alone.
package struct Snapshot {
    let db: QueryConnection
    let read: RunningRead

    init(db: Database, read: RunningRead) { (self.db, self.read) = (QueryConnection(source: .sqlite(db)), read) }

    /// A snapshot of another engine.
    package init(_ runner: any QueryRunner) { (db, read) = (QueryConnection(source: .other(runner)), RunningRead()) }

    /// Runs one query, unless the snapshot was ended, and turns the database's errors into the store's.
    func reading<Value>(_ body: (QueryConnection) throws -> Value) throws(StoreError) -> Value {
        try read.checkNotEnded()
        do {
            return try body(db)
        } catch {
            throw StoreError(classifying: error)
        }
    }
}

extension Snapshot {
    /// All campaigns, by id.
    package func campaigns() throws(StoreError) -> [Campaign] {
        try reading { try $0.all(Database.campaignQuery + " ORDER BY id", read: Database.campaign) }
    }

    /// The live campaigns and those that are being archived, by id. The cost depends on their number, however many are archived.
    package func liveCampaigns() throws(StoreError) -> [Campaign] {
        try reading {
            try $0.all(
                Database.campaignQuery + " INDEXED BY campaigns_live WHERE archival < 2 ORDER BY id", read: Database.campaign)
        }
    }

    /// The archived campaigns, by id.
    package func archivedCampaigns() throws(StoreError) -> [CouponID] {
        try reading { try $0.all("SELECT id FROM campaigns WHERE archival = 2 ORDER BY id") { $0.id(0) } }
    }

    /// Campaigns that were archived since an instant, the latest first, at most `limit`.
    package func gatesArchived(since start: Instant, limit: Int) throws(StoreError) -> [ArchivedGate] {
        try reading { db in
            try db.all(
                """
                SELECT id, epoch FROM campaigns INDEXED BY campaigns_archived WHERE archival = 2 AND archived_at >= ?
                ORDER BY archived_at DESC LIMIT ?
                """, start, limit
            ) { ArchivedGate(id: $0.id(0), epoch: $0.int(1)) }
        }
    }

    /// Issued coupons of a campaign with a sequence after `afterSequence`, by sequence, at most `limit`.
    package func claims(of id: CouponID, afterSequence: Int64 = 0, limit: Int) throws(StoreError) -> [IssuedClaim] {
        try reading { db in
            try db.all(
                "SELECT user_id, sequence FROM issued_coupons WHERE coupon_id = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                id, afterSequence, limit
            ) { IssuedClaim(userID: $0.id(0), sequence: $0.int(1)) }
        }
    }

    /// Units sold less units refunded on a business day, by product; products that come to 0 are left out.
    ///
    /// `last` is the last event that counts; where it is nil, all do.
    package func salesTotals(on day: BusinessDay, through last: EventID? = nil) throws(StoreError) -> [ProductUnits] {
        try reading { db in
            try db.all(
                """
                SELECT u.product_id, CAST(sum(u.units) AS bigint) FROM events e JOIN event_units u ON u.event_id = e.id
                WHERE e.sale_day = ? AND e.\(db.eventNumber) <= ? GROUP BY u.product_id HAVING sum(u.units) <> 0 ORDER BY u.product_id
                """, day, last?.rawValue ?? .max
            ) { ProductUnits(productID: $0.id(0), units: $0.int(1)) }
        }
    }

    /// The id of the newest event; before the first event of this incarnation, the incarnation's base.
    package func lastEventID() throws(StoreError) -> EventID {
        try reading { db in try db.lastEventID(base: try db.identity().eventBase) }
    }

    /// The number of rows of each kind.
    package func counts() throws(StoreError) -> StoreCounts {
        try reading { try $0.storeCounts() }
    }
}

extension QueryConnection {
    func storeCounts() throws -> StoreCounts {
        func rows(_ table: String) throws -> Int64 { try integer("SELECT count(*) FROM \(table)") }
        return StoreCounts(
            users: try rows("users"), products: try rows("products"), campaigns: try rows("campaigns"),
            issuedCoupons: try rows("issued_coupons"), orders: try rows("orders"), payments: try rows("payments"),
            refunds: try rows("refunds"), events: try rows("events"))
    }
}

/// How many rows the store has of each kind.
package struct StoreCounts: Sendable, Equatable {
    package let users: Int64
    package let products: Int64
    package let campaigns: Int64
    package let issuedCoupons: Int64
    package let orders: Int64
    package let payments: Int64
    package let refunds: Int64
    package let events: Int64

    /// True for a store that was never used: all other rows need a user, a product or a campaign first.
    package var isEmpty: Bool { users == 0 && products == 0 && campaigns == 0 }
}

extension TransactionalStore {
    /// Issued coupons of a campaign by sequence, see ``Snapshot/claims(of:afterSequence:limit:)``.
    package func claims(of id: CouponID, afterSequence: Int64 = 0, limit: Int) async throws(StoreError) -> [IssuedClaim] {
        try await snapshot { snapshot throws(StoreError) in try snapshot.claims(of: id, afterSequence: afterSequence, limit: limit) }
    }

    /// Units per product of a business day, see ``Snapshot/salesTotals(on:)``.
    package func salesTotals(on day: BusinessDay) async throws(StoreError) -> [ProductUnits] {
        try await snapshot { snapshot throws(StoreError) in try snapshot.salesTotals(on: day) }
    }

    /// The number of rows of each kind.
    package func counts() async throws(StoreError) -> StoreCounts {
        try await snapshot { snapshot throws(StoreError) in try snapshot.counts() }
    }
}
