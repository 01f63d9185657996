package import Commerce
import GRDB

extension TransactionalStore {
    /// The campaign's grant with that id, unless its list is still being received.
    package func grant(_ id: GrantID, of coupon: CouponID) async throws(StoreError) -> Grant? {
        try await read(.personal) { db in
            try db.first(Database.grantQuery + " WHERE id = ? AND coupon_id = ? AND state > 0", id, coupon, read: Database.grant)
        }
    }

    /// A campaign's grants, newest first, without those whose lists are still being received.
    package func grants(of coupon: CouponID, page: PageRequest) async throws(StoreError) -> Page<Grant> {
        try await read(.personal) { db in
            let list = NewestFirst(list: .grants)
            let rows = try db.all(
                Database.grantQuery + " WHERE coupon_id = ? AND state > 0 AND id < ? ORDER BY id DESC LIMIT ?", coupon,
                try list.bound(page), page.limit + 1, read: Database.grant)
            return list.page(rows, page) { $0.id.rawValue }
        }
    }

    /// The oldest grant that is running; nil where none is.
    package func runningGrant() async throws(StoreError) -> Grant? {
        try await read(.service) { db in
            try db.first(
                Database.grantQuery + " INDEXED BY grants_unfinished WHERE state < 2 AND state = 1 ORDER BY id LIMIT 1",
                read: Database.grant)
        }
    }

    /// The grants whose lists are being received and were last written to before the instant, the oldest first.
    package func unstartedGrants(untouchedSince instant: Instant, limit: Int = 20) async throws(StoreError) -> [GrantID] {
        try await read(.service) { db in
            try db.all(
                """
                SELECT id FROM grants INDEXED BY grants_unfinished WHERE state < 2 AND state = 0 AND updated_at < ? ORDER BY id LIMIT ?
                """, instant, limit
            ) { $0.id(0) }
        }
    }

    /// A part of a grant's list; nil where it has no such part.
    package func chunk(_ position: Int64, of grant: GrantID) async throws(StoreError) -> GrantChunk? {
        try await read(.service) { db in
            try db.first("SELECT users, outcomes FROM grant_chunks WHERE grant_id = ? AND position = ?", grant, position) { row in
                try GrantChunk(position: position, users: row.bytes(0), outcomes: row.isNull(1) ? nil : row.bytes(1))
            }
        }
    }
}

extension Database {
    static let grantQuery = """
        SELECT id, coupon_id, actor, state, total, granted, already_held, sold_out, closed, unknown_user, next_chunk, last_coupon_before,
            created_at, updated_at, finished_at
        FROM grants
        """

    static func grant(_ row: some RowColumns) throws -> Grant {
        guard let state = Grant.State(rawValue: row.int(3)) else {
            throw StoreError(.malformedRow, "grant \(row.int(0)) has no valid state")
        }
        var grant = Grant(
            id: row.id(0), couponID: row.id(1), actor: row.text(2), state: state, total: row.int(4), lastCouponBefore: row.id(11),
            createdAt: row.instant(12))
        grant.counts.granted = row.int(5)
        grant.counts.alreadyHeld = row.int(6)
        grant.counts.soldOut = row.int(7)
        grant.counts.closed = row.int(8)
        grant.counts.unknownUser = row.int(9)
        grant.nextChunk = row.int(10)
        (grant.updatedAt, grant.finishedAt) = (row.instant(13), row.optionalInstant(14))
        return grant
    }
}
