import Commerce
import GRDB

extension SQLiteBooks {
    func grant(_ id: GrantID) throws -> Grant? { try db.first(Database.grantQuery + " WHERE id = ?", id, read: Database.grant) }

    func insertGrant(of campaign: CouponID, by actor: String, lastCouponBefore last: IssuedCouponID, at now: Instant) throws -> Grant {
        try db.run(
            """
            INSERT INTO grants (coupon_id, actor, state, total, last_coupon_before, created_at, updated_at) VALUES (?, ?, 0, 0, ?, ?, ?)
            """, campaign, actor, last, now, now)
        return Grant(
            id: GrantID(db.lastInsertedRowID), couponID: campaign, actor: actor, state: .receiving, total: 0, lastCouponBefore: last,
            createdAt: now)
    }

    func update(_ grant: Grant) throws {
        let counts = grant.counts
        try db.run(
            """
            UPDATE grants SET state = ?, total = ?, granted = ?, already_held = ?, sold_out = ?, closed = ?, unknown_user = ?,
                next_chunk = ?, updated_at = ?, finished_at = ?
            WHERE id = ?
            """, grant.state.rawValue, grant.total, counts.granted, counts.alreadyHeld, counts.soldOut, counts.closed, counts.unknownUser,
            grant.nextChunk, grant.updatedAt, Nullable(grant.finishedAt), grant.id)
    }

    func insertChunk(_ chunk: GrantChunk, of grant: GrantID) throws {
        try db.run(
            "INSERT INTO grant_chunks (grant_id, position, users) VALUES (?, ?, ?)", grant, chunk.position, Blob(bytes: chunk.userBytes))
    }

    func setOutcomes(_ outcomes: [GrantOutcome], ofChunk position: Int64, of grant: GrantID) throws {
        try db.run(
            "UPDATE grant_chunks SET outcomes = ? WHERE grant_id = ? AND position = ?", Blob(bytes: outcomes.map(\.rawValue)), grant,
            position)
    }

    func removeChunks(of grant: GrantID, from position: Int64) throws {
        try db.run("DELETE FROM grant_chunks WHERE grant_id = ? AND position >= ?", grant, position)
    }

    func removeGrant(_ id: GrantID) throws { try db.run("DELETE FROM grants WHERE id = ?", id) }
}
