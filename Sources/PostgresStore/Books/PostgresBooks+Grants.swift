import Commerce
import Postgres
import Store

/// What a group does to the lists of grants, which no use case reads.
struct GrantWrites {
    var added: [(grant: Int64, chunk: GrantChunk)] = []
    var decided: [(grant: Int64, position: Int64, outcomes: [GrantOutcome])] = []
    /// From which position on the chunks of which grants are removed.
    var removed: [(grant: Int64, from: Int64)] = []
    var removedGrants: Set<Int64> = []
}

extension PostgresBooks {
    func grant(_ id: GrantID) throws -> Grant? {
        grantWrites.removedGrants.contains(id.rawValue) ? nil : try held.grants.find(id.rawValue)
    }

    func insertGrant(of campaign: CouponID, by actor: String, lastCouponBefore last: IssuedCouponID, at now: Instant) throws -> Grant {
        wrote()
        let id = try ids.grants.next("grant")
        let grant = Grant(
            id: GrantID(id), couponID: campaign, actor: actor, state: .receiving, total: 0, lastCouponBefore: last, createdAt: now)
        held.grants.add(id, grant)
        return grant
    }

    func update(_ grant: Grant) throws {
        wrote()
        try held.grants.change(grant.id.rawValue) { $0 = grant }
    }

    func insertChunk(_ chunk: GrantChunk, of grant: GrantID) {
        wrote()
        grantWrites.added.append((grant.rawValue, chunk))
    }

    func setOutcomes(_ outcomes: [GrantOutcome], ofChunk position: Int64, of grant: GrantID) {
        wrote()
        grantWrites.decided.append((grant.rawValue, position, outcomes))
    }

    func removeChunks(of grant: GrantID, from position: Int64) {
        wrote()
        grantWrites.removed.append((grant.rawValue, position))
    }

    func removeGrant(_ id: GrantID) {
        wrote()
        grantWrites.removedGrants.insert(id.rawValue)
    }
}

// MARK: - Statements

extension GroupWrites {
    private static let insertGrants = PostgresStatement(
        "insert_grants",
        """
        INSERT INTO grants (id, coupon_id, actor, state, total, last_coupon_before, created_at, updated_at)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
        """, .int8Array, .int8Array, .textArray, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array)
    private static let updateGrants = PostgresStatement(
        "update_grants",
        """
        UPDATE grants SET state = n.state, total = n.total, granted = n.granted, already_held = n.already_held, sold_out = n.sold_out,
            closed = n.closed, unknown_user = n.unknown_user, next_chunk = n.next_chunk, updated_at = n.updated_at,
            finished_at = n.finished_at
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            AS n (id, state, total, granted, already_held, sold_out, closed, unknown_user, next_chunk, updated_at, finished_at)
        WHERE grants.id = n.id
        """, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array, .int8Array,
        .int8Array)
    private static let insertChunks = PostgresStatement(
        "insert_grant_chunks", "INSERT INTO grant_chunks (grant_id, position, users) SELECT * FROM unnest($1, $2, $3)", .int8Array,
        .int8Array, .byteaArray)
    private static let updateChunks = PostgresStatement(
        "update_grant_chunks",
        """
        UPDATE grant_chunks SET outcomes = n.outcomes FROM unnest($1, $2, $3) AS n (grant_id, position, outcomes)
        WHERE grant_chunks.grant_id = n.grant_id AND grant_chunks.position = n.position
        """, .int8Array, .int8Array, .byteaArray)
    private static let removeChunks = PostgresStatement(
        "remove_grant_chunks",
        """
        DELETE FROM grant_chunks c USING unnest($1, $2) AS n (grant_id, position)
        WHERE c.grant_id = n.grant_id AND c.position >= n.position
        """, .int8Array, .int8Array)
    private static let removeGrants = PostgresStatement("remove_grants", "DELETE FROM grants WHERE id = ANY($1)", .int8Array)

    func addGrants(_ batch: inout PostgresBatch) {
        let (added, changed, writes) = (books.held.grants.additions, books.held.grants.changes, books.grantWrites)
        if !added.isEmpty {
            batch.execute(Self.insertGrants) {
                $0.int8Array(added.map(\.id))
                $0.int8Array(added.map(\.row.couponID.rawValue))
                $0.textArray(added.map(\.row.actor))
                $0.int8Array(added.map(\.row.state.rawValue))
                $0.int8Array(added.map(\.row.total))
                $0.int8Array(added.map(\.row.lastCouponBefore.rawValue))
                $0.int8Array(added.map(\.row.createdAt.milliseconds))
                $0.int8Array(added.map(\.row.updatedAt.milliseconds))
            }
        }
        if !changed.isEmpty {
            batch.execute(Self.updateGrants) {
                $0.int8Array(changed.map(\.id))
                $0.int8Array(changed.map(\.row.state.rawValue))
                $0.int8Array(changed.map(\.row.total))
                $0.int8Array(changed.map(\.row.counts.granted))
                $0.int8Array(changed.map(\.row.counts.alreadyHeld))
                $0.int8Array(changed.map(\.row.counts.soldOut))
                $0.int8Array(changed.map(\.row.counts.closed))
                $0.int8Array(changed.map(\.row.counts.unknownUser))
                $0.int8Array(changed.map(\.row.nextChunk))
                $0.int8Array(changed.map(\.row.updatedAt.milliseconds))
                $0.int8Array(changed.map(\.row.finishedAt?.milliseconds))
            }
        }
        addChunks(writes, &batch)
    }

    private func addChunks(_ writes: GrantWrites, _ batch: inout PostgresBatch) {
        if !writes.added.isEmpty {
            batch.execute(Self.insertChunks) {
                $0.int8Array(writes.added.map(\.grant))
                $0.int8Array(writes.added.map(\.chunk.position))
                $0.byteaArray(writes.added.map(\.chunk.userBytes))
            }
        }
        if !writes.decided.isEmpty {
            batch.execute(Self.updateChunks) {
                $0.int8Array(writes.decided.map(\.grant))
                $0.int8Array(writes.decided.map(\.position))
                $0.byteaArray(writes.decided.map { $0.outcomes.map(\.rawValue) })
            }
        }
        if !writes.removed.isEmpty {
            batch.execute(Self.removeChunks) {
                $0.int8Array(writes.removed.map(\.grant))
                $0.int8Array(writes.removed.map(\.from))
            }
        }
        if !writes.removedGrants.isEmpty { batch.execute(Self.removeGrants) { $0.int8Array(writes.removedGrants.sorted()) } }
    }
}
