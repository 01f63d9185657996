package import Commerce

extension TransactionalStore {
    /// Begins a grant, whose list is written next. Nobody sees it before ``startGrant(_:total:in:)``.
    ///
    /// Refused: `couponNotFound`; `couponClosed` for a campaign that is archived.
    package func beginGrant(of coupon: CouponID, by actor: String, at now: Instant) async throws(StoreError) -> Outcome<Grant> {
        let last = try await read(.service) { db in IssuedCouponID(try db.integer("SELECT max(id) FROM issued_coupons")) }
        return try await decide(BeginGrant(campaign: coupon, actor: actor, lastCoupon: last, now: now), context: nil)
    }

    /// Adds chunks to the list of a grant that is being received. The first has the position that follows the last one's.
    ///
    /// - Throws: `unavailable` where the grant was removed meanwhile.
    package func addChunks(_ chunks: [GrantChunk], to grant: GrantID, at now: Instant) async throws(StoreError) {
        try await write(AddGrantChunks(grant: grant, chunks: chunks, now: now))
    }

    /// Starts a grant whose list is complete: from then on it is done, whatever happens.
    ///
    /// - Parameter total: how many users the list has.
    /// - Throws: `unavailable` where the grant was removed meanwhile.
    package func startGrant(
        _ grant: GrantID, total: Int64, in context: WriteContext<Grant>
    ) async throws(StoreError) -> WriteResult<Grant> {
        try await write(StartGrant(grant: grant, total: total, now: context.time), in: context)
    }

    /// Writes the outcomes of a chunk, and adds them to the grant's counters; with the last chunk the grant is done.
    ///
    /// - Returns: the grant as it is then. Where another service has decided the chunk first, its outcomes stay.
    package func recordOutcomes(
        _ outcomes: [GrantOutcome], ofChunk position: Int64, of grant: GrantID, at now: Instant
    ) async throws(StoreError) -> Grant {
        try await write(RecordOutcomes(grant: grant, position: position, outcomes: outcomes, now: now))
    }

    /// Removes a grant that is being received, and its list, in small transactions. One that was started stays.
    package func removeUnstarted(_ grant: GrantID) async throws(StoreError) {
        while try await !write(ShrinkGrant(grant: grant)) {}
    }
}

/// See ``TransactionalStore/beginGrant(of:by:at:)``.
struct BeginGrant: UseCase {
    let campaign: CouponID
    let actor: String
    let lastCoupon: IssuedCouponID
    let now: Instant

    var needs: Needs { Needs(campaigns: [campaign], new: NewRows(grants: 1)) }

    func decide(_ books: some Books) throws -> Outcome<Grant> {
        guard let campaign = try books.campaign(campaign) else { return .refused(.couponNotFound) }
        guard !campaign.isArchived else { return .refused(.couponClosed) }
        return .done(try books.insertGrant(of: campaign.id, by: actor, lastCouponBefore: lastCoupon, at: now))
    }
}

/// See ``TransactionalStore/addChunks(_:to:at:)``.
struct AddGrantChunks: UseCase {
    let grant: GrantID
    let chunks: [GrantChunk]
    let now: Instant

    var needs: Needs { Needs(grants: [grant]) }

    func decide(_ books: some Books) throws -> Outcome<Void> {
        var grant = try receiving(grant, in: books)
        for chunk in chunks {
            guard grant.total == chunk.position * GrantChunk.size else {
                throw StoreError(.internal, "chunk \(chunk.position) does not follow the \(grant.total) users of grant \(grant.id)")
            }
            try books.insertChunk(chunk, of: grant.id)
            grant.total += Int64(chunk.users.count)
        }
        grant.updatedAt = now
        try books.update(grant)
        return .done(())
    }
}

/// See ``TransactionalStore/startGrant(_:total:in:)``.
struct StartGrant: UseCase {
    let grant: GrantID
    let total: Int64
    let now: Instant

    var needs: Needs { Needs(grants: [grant]) }

    func decide(_ books: some Books) throws -> Outcome<Grant> {
        var grant = try receiving(grant, in: books)
        guard grant.total == total else { throw StoreError(.internal, "the list of grant \(grant.id) is not complete") }
        (grant.state, grant.updatedAt) = (.running, now)
        try books.update(grant)
        return .done(grant)
    }
}

/// The grant, whose list is being received.
private func receiving(_ id: GrantID, in books: some Books) throws -> Grant {
    guard let grant = try books.grant(id), grant.state == .receiving else {
        throw StoreError(.unavailable, "the grant was removed because its list took too long to be written")
    }
    return grant
}

/// See ``TransactionalStore/recordOutcomes(_:ofChunk:of:at:)``.
struct RecordOutcomes: UseCase {
    let grant: GrantID
    let position: Int64
    let outcomes: [GrantOutcome]
    let now: Instant

    var needs: Needs { Needs(grants: [grant]) }

    func decide(_ books: some Books) throws -> Outcome<Grant> {
        guard var grant = try books.grant(grant) else { throw StoreError(.internal, "grant \(grant) does not exist") }
        guard grant.state == .running, grant.nextChunk == position else { return .done(grant) }
        for outcome in outcomes { grant.counts.add(outcome) }
        grant.nextChunk += 1
        grant.updatedAt = now
        if grant.nextChunk == grant.chunkCount { (grant.state, grant.finishedAt) = (.done, now) }
        try books.setOutcomes(outcomes, ofChunk: position, of: grant.id)
        try books.update(grant)
        return .done(grant)
    }
}

/// Removes the last chunks of a list that was not started, and with the first one the grant; done when there is none.
struct ShrinkGrant: UseCase {
    let grant: GrantID

    /// Chunks that one transaction removes.
    private static let chunksAtATime: Int64 = 64

    var needs: Needs { Needs(grants: [grant]) }

    func decide(_ books: some Books) throws -> Outcome<Bool> {
        guard var grant = try books.grant(grant), grant.state == .receiving else { return .done(true) }
        let first = max(0, grant.chunkCount - Self.chunksAtATime)
        try books.removeChunks(of: grant.id, from: first)
        guard first > 0 else {
            try books.removeGrant(grant.id)
            return .done(true)
        }
        grant.total = first * GrantChunk.size
        try books.update(grant)
        return .done(false)
    }
}
