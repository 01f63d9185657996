package import Commerce
import FaultPoints
import NIOCore
import Redis
package import Store

/// Decides claims: one claim from the request to its outcome.
///
/// The gate in Redis decides who wins. The store makes a win durable and refuses one that contradicts its rows. A refusal of the gate is
/// accepted only when it rests on the store's own terms. Where gate and store disagree, Redis has lost data: the gate is repaired from
/// the store, and the claim is decided again.
///
/// The path of a claim: ``claim(_:by:on:idempotency:)`` answers it from ``CampaignCache`` and ``IssuedCouponCache``, or adds it to the
/// ``ClaimBatcher``'s next call of `lua/claim_coupon.lua`; ``decide(_:on:of:_:)`` maps each verdict to what must be done; the wins of a
/// call are written by one `TransactionalStore.recordClaims`.
package struct Claims: Sendable {
    private let store: TransactionalStore
    private let campaigns: Campaigns
    private let wins: WinFeed

    init(store: TransactionalStore, campaigns: Campaigns, wins: WinFeed) {
        (self.store, self.campaigns, self.wins) = (store, campaigns, wins)
    }

    /// Claims a coupon for a user. Must be called on the context's loop; an outcome that comes later comes on that loop.
    ///
    /// - Parameter idempotency: stores the answer to a win under the request's idempotency key, in the transaction of the win.
    package func claim(
        _ coupon: CouponID, by user: UserID, on context: LoopContext, idempotency: IdempotentWrite<IssuedCoupon>? = nil
    ) -> ClaimDecision {
        guard store.userExists(user) else { return .now(.userNotFound) }
        do {
            let now = NIODeadline.now()
            // A user who has a coupon is answered *already claimed*, whatever refusal is cached.
            switch try context.issuedCoupons.known(of: coupon, for: user, at: now) {
            case .now(let known?): return .now(.alreadyClaimed(known))
            case .now(nil): break
            case .later: return .later { lookUp(ClaimRequest(coupon, user, idempotency, $0), on: context) }
            }
            if case .now(let campaign) = try context.campaigns.campaign(coupon, at: now) {
                guard let campaign else { return .now(.couponNotFound) }
                if let reason = campaign.refusal(of: user, at: now) { return .now(ClaimOutcome(reason)) }
                if campaign.terms.isArchived {
                    guard case .now(let known) = try context.issuedCoupons.read(of: coupon, for: user, at: now) else {
                        return .later { completeArchived(ClaimRequest(coupon, user, idempotency, $0), context) }
                    }
                    return .now(Self.archivedOutcome(known))
                }
            }
        } catch {
            return .now(.failed(error))
        }
        return .later { submit(ClaimRequest(coupon, user, idempotency, $0), on: context) }
    }

    /// Answers the user's coupon, where the store still has it; otherwise the gate decides.
    private func lookUp(_ request: ClaimRequest, on context: LoopContext) {
        withCoupon(of: request, at: .now(), context) { known in
            if let known { request.completion(.alreadyClaimed(known)) } else { submit(request, on: context) }
        }
    }

    /// The outcome of a claim of an archived campaign, which has no gate: the store has every coupon of it.
    private static func archivedOutcome(_ known: IssuedCouponCache.Entry?) -> ClaimOutcome { known.map { .alreadyClaimed($0) } ?? .closed }

    private func completeArchived(_ request: ClaimRequest, _ context: LoopContext) {
        withCoupon(of: request, at: .now(), context) { request.completion(Self.archivedOutcome($0)) }
    }

    /// Reads the user's coupon of the campaign; where that fails, so does the claim.
    private func withCoupon(
        of request: ClaimRequest, at now: NIODeadline, _ context: LoopContext, _ body: @escaping (IssuedCouponCache.Entry?) -> Void
    ) {
        do {
            switch try context.issuedCoupons.read(of: request.coupon, for: request.user, at: now) {
            case .now(let known): body(known)
            case .later(let begin):
                begin { result in
                    switch result {
                    case .success(let known): body(known)
                    case .failure(let error): request.completion(.failed(error))
                    }
                }
            }
        } catch {
            request.completion(.failed(error))
        }
    }

    /// Adds a claim to the next call of its campaign.
    private func submit(_ request: ClaimRequest, on context: LoopContext) {
        do {
            let now = NIODeadline.now()
            switch try context.campaigns.campaign(request.coupon, at: now) {
            case .now(let campaign): add(request, to: campaign, at: now, context)
            case .later(let begin):
                begin { result in
                    switch result {
                    case .success(let campaign): add(request, to: campaign, at: .now(), context)
                    case .failure(let error): request.completion(.failed(error))
                    }
                }
            }
        } catch {
            request.completion(.failed(error))
        }
    }

    private func add(_ request: ClaimRequest, to campaign: CachedCampaign?, at now: NIODeadline, _ context: LoopContext) {
        guard let campaign else { return request.completion(.couponNotFound) }
        guard !campaign.terms.isArchived else { return completeArchived(request, context) }
        context.batcher.add(request, to: campaign, context.campaigns.stamp(of: request.coupon, at: now)) { batch, reply in
            received(reply, to: batch, context)
        }
    }
}

/// The outcome of a claim. Kept small, because each refused claim copies it.
package enum ClaimOutcome: Sendable {
    /// The claim has won, and its row is durable.
    case issued(IssuedCouponCache.Entry)
    case alreadyClaimed(IssuedCouponCache.Entry)
    case soldOut
    case notOpen(opensAt: Instant)
    case closed
    case couponNotFound
    case userNotFound
    case idempotencyKeyReused
    /// A request with the same idempotency key has won before; this is its stored answer.
    case replayed(StoredResponse)
    /// `ServiceError` with code `paused` while the gate is rebuilt, `RedisError` or `StoreError` where those fail.
    ///
    /// The claim may have won nevertheless. A retry is safe and answers what happened, because a user gets at most one coupon.
    case failed(any Error)

    fileprivate init(_ reason: CouponGate.RefusalTerms.Reason) {
        switch reason {
        case .soldOut: self = .soldOut
        case .notOpen(let opensAt): self = .notOpen(opensAt: opensAt)
        case .closed: self = .closed
        }
    }
}

/// Whether the outcome of a claim is known at once. Most claims are answered from memory, which needs no closure.
package enum ClaimDecision: Sendable {
    case now(ClaimOutcome)
    /// Redis has to decide. Calling the closure adds the claim to the next call of Redis; claims are decided in the order of these calls.
    /// The completion is called once, on the loop.
    case later(@Sendable (_ completion: @escaping @Sendable (ClaimOutcome) -> Void) -> Void)
}

// MARK: - The gate's verdicts

extension Claims {
    /// What must be done after a verdict of the gate.
    private enum Decision {
        case outcome(ClaimOutcome)
        /// The user has a place at the gate and no row in the store yet: a new win, or an earlier one whose reply was lost.
        case persist(CouponGate.Place)
        /// Gate and store disagree: repair the gate, then decide the claim again.
        case repair(Repair)
        /// The store has to be asked; this is decided for the claim alone once it has answered.
        case later
    }

    private enum Repair: Hashable {
        /// Build the gate; where an epoch is given, the gate's epoch must be later than that.
        case build(beyond: Int64?)
        /// Give the gate the store's quantity and window.
        case realign
    }

    private func received(_ reply: Result<RedisValue, RedisError>, to batch: ClaimBatch, _ context: LoopContext) {
        let verdicts: [CouponGate.Verdict]
        do {
            verdicts = try CouponGate.verdicts(try reply.get(), count: batch.requests.count)
        } catch let error as RedisError where error.code == .server(.wrongType) {
            // A key of another Redis type means that the gate is damaged.
            verdicts = batch.requests.map { _ in .damaged(epoch: batch.campaign.terms.epoch) }
        } catch {
            for request in batch.requests { request.completion(.failed(error)) }
            return
        }
        var wins: [Win] = []
        var repairs: [Repair: [ClaimRequest]] = [:]
        for (request, verdict) in zip(batch.requests, verdicts) {
            do {
                switch try decide(verdict, on: request, of: batch, context) {
                case .outcome(let outcome): request.completion(outcome)
                case .persist(let place): wins.append(Win(request: request, place: place))
                case .repair(let repair): repairs[repair, default: []].append(request)
                case .later: break
                }
            } catch {
                request.completion(.failed(error))
            }
        }
        if !wins.isEmpty { persist(wins, of: batch.campaign.coupon, context) }
        for (repair, requests) in repairs { self.repair(batch.campaign.coupon, repair, thenDecide: requests, context) }
    }

    /// Does what was decided for one claim alone, after its batch.
    private func perform(_ decision: Decision, for request: ClaimRequest, _ context: LoopContext) {
        switch decision {
        case .outcome(let outcome): request.completion(outcome)
        case .persist(let place): persist([Win(request: request, place: place)], of: request.coupon, context)
        case .repair(let repair): self.repair(request.coupon, repair, thenDecide: [request], context)
        case .later: break
        }
    }

    /// Maps a verdict to what must be done. Reads the store by key where the store decides.
    private func decide(
        _ verdict: CouponGate.Verdict, on request: ClaimRequest, of batch: ClaimBatch, _ context: LoopContext
    ) throws -> Decision {
        switch verdict {
        case .claimed(let place): return .persist(place)
        case .notLoaded: return .repair(.build(beyond: nil))
        case .damaged(let epoch): return .repair(.build(beyond: epoch))
        case .alreadyClaimed, .refused, .paused, .otherStore: break
        }
        switch try context.issuedCoupons.read(of: request.coupon, for: request.user, at: batch.stamp.askedAt) {
        case .now(let known): return try decide(verdict, known, on: request, of: batch, context)
        case .later(let begin):
            begin { result in
                do {
                    perform(try decide(verdict, try result.get(), on: request, of: batch, context), for: request, context)
                } catch {
                    request.completion(.failed(error))
                }
            }
            return .later
        }
    }

    /// - Parameter known: the user's row in the store.
    private func decide(
        _ verdict: CouponGate.Verdict, _ known: IssuedCouponCache.Entry?, on request: ClaimRequest, of batch: ClaimBatch,
        _ context: LoopContext
    ) throws -> Decision {
        switch verdict {
        case .alreadyClaimed(let place):
            guard let known else { return .persist(place) }
            return known.issued.sequence == place.sequence ? .outcome(.alreadyClaimed(known)) : .repair(.build(beyond: place.epoch))
        case .refused(let terms):
            // The user has a row, so the gate has lost the claim, even if its epoch and its terms are the store's.
            guard known == nil else { return .repair(.build(beyond: terms.epoch)) }
            return try decideRefusal(on: terms, request, of: batch, context)
        case .paused(let silence):
            if let known { return .outcome(.alreadyClaimed(known)) }
            guard silence >= CouponGate.takeoverMilliseconds else { return .outcome(.failed(Self.paused)) }
            return .repair(.build(beyond: nil))
        case .otherStore:
            if let known { return .outcome(.alreadyClaimed(known)) }
            return .repair(.build(beyond: nil))
        case .claimed, .notLoaded, .damaged:
            return try decide(verdict, on: request, of: batch, context)
        }
    }

    private static let paused = ServiceError(.paused, "the campaign's gate is being rebuilt")

    /// Accepts a refusal that rests on the store's terms. Where it does not rest on the cached ones, the terms are read from the store
    /// first, because another service may have changed them.
    private func decideRefusal(
        on terms: CouponGate.RefusalTerms, _ request: ClaimRequest, of batch: ClaimBatch, _ context: LoopContext
    ) throws -> Decision {
        guard batch.campaign.terms.compare(with: terms) != .agrees else {
            return refuse(on: terms, by: batch.campaign, batch.stamp, context)
        }
        switch try context.campaigns.reread(batch.campaign, at: .now()) {
        case .now(let current): return refuse(on: terms, by: current, batch.stamp, context)
        case .later(let begin):
            begin { [stamp = batch.stamp] result in
                switch result {
                case .success(let current): perform(refuse(on: terms, by: current, stamp, context), for: request, context)
                case .failure(let error): request.completion(.failed(error))
                }
            }
            return .later
        }
    }

    /// - Parameter campaign: has the store's terms; nil where the store has no such campaign.
    private func refuse(
        on terms: CouponGate.RefusalTerms, by campaign: CachedCampaign?, _ stamp: CacheLease.Stamp, _ context: LoopContext
    ) -> Decision {
        guard let campaign else { return .outcome(.couponNotFound) }
        switch campaign.terms.compare(with: terms) {
        // No epoch is named: a gate of the store's epoch, which another service may have built meanwhile, is good enough.
        case .otherEpoch: return .repair(.build(beyond: nil))
        case .otherTerms: return .repair(.realign)
        case .agrees: break
        }
        if let reading = campaign.note(terms, stamp) { readHolders(of: campaign, reading, context) }
        return .outcome(ClaimOutcome(terms.reason))
    }

    /// Reads in the background who has a place at a gate that refuses everybody else. From then on refusals need no call of Redis.
    private func readHolders(of campaign: CachedCampaign, _ reading: CachedCampaign.HolderReading, _ context: LoopContext) {
        let (coupon, kept) = (campaign.coupon, NIOLoopBound(campaign, eventLoop: context.eventLoop))
        Task {
            // If the holders cannot be read, claims continue to ask the gate.
            let holders = try? await CouponGate.holders(of: coupon, through: context.redis)
            context.eventLoop.execute { context.campaigns.keep(holders, of: kept.value, for: reading) }
        }
    }
}

// MARK: - Wins in the store

extension Claims {
    private struct Win: Sendable {
        let request: ClaimRequest
        let place: CouponGate.Place
    }

    /// Writes the wins of one call as one job of the writer.
    private func persist(_ wins: [Win], of coupon: CouponID, _ context: LoopContext) {
        FaultPoint.afterScript.reached()
        let writes = wins.map { win in
            ClaimWrite(
                Claim(
                    couponID: coupon, userID: win.request.user, sequence: win.place.sequence, epoch: win.place.epoch,
                    issuedAt: win.place.at), idempotency: win.request.idempotency)
        }
        store.recordClaims(writes, of: coupon, context: context) { result in
            switch result {
            case .failure(let error):
                for win in wins { win.request.completion(.failed(error)) }
            case .success(let records):
                feed(wins, records, of: coupon)
                for (win, record) in zip(wins, records) { recorded(record, win, context) }
            }
        }
    }

    /// Hands the wins whose rows are new to the sealer.
    private func feed(_ wins: [Win], _ records: [WriteResult<ClaimRecord>], of coupon: CouponID) {
        let new = records.indices.lazy.compactMap { index -> ChainedWin? in
            // The row's coupon is not looked at, because taking it out of the record would copy it.
            guard case .done(.issued) = records[index] else { return nil }
            let (user, place) = (wins[index].request.user, wins[index].place)
            return ChainedWin(sequence: place.sequence, userID: user, issuedAt: place.at)
        }
        self.wins.add(new, of: coupon)
    }

    private func recorded(_ record: WriteResult<ClaimRecord>, _ win: Win, _ context: LoopContext) {
        let request = win.request
        switch record {
        case .replayed(let response): request.completion(.replayed(response))
        case .refused: request.completion(.idempotencyKeyReused)
        case .done(.issued(let issued)): request.completion(.issued(IssuedCouponCache.Entry(uncached: issued)))
        // Another request of the same user, or recovery, has written the row of this claim first.
        case .done(.known(let issued)): request.completion(.alreadyClaimed(IssuedCouponCache.Entry(uncached: issued)))
        case .done(.stale): repair(request.coupon, .build(beyond: win.place.epoch), thenDecide: [request], context)
        case .done(.campaignMissing): request.completion(.couponNotFound)
        case .done(.userMissing): request.completion(.userNotFound)
        case .done(.malformed):
            request.completion(.failed(StoreError(.malformedRow, "the user's coupon cannot be read")))
        }
    }

    /// Repairs the gate from the store, then submits the claims again.
    private func repair(_ coupon: CouponID, _ repair: Repair, thenDecide requests: [ClaimRequest], _ context: LoopContext) {
        Task { [campaigns] in
            let result: Result<Bool, any Error>
            do {
                result =
                    switch repair {
                    case .build(let epoch): .success(try await campaigns.build(coupon, beyond: epoch))
                    case .realign: .success(try await campaigns.realign(coupon))
                    }
            } catch {
                result = .failure(error)
            }
            context.eventLoop.execute {
                for var request in requests {
                    request.attemptsLeft -= 1
                    switch result {
                    case .failure(let error as ServiceError) where error.code == .archived: completeArchived(request, context)
                    case .failure(let error): request.completion(.failed(error))
                    case .success(false): request.completion(.couponNotFound)
                    case .success(true) where request.attemptsLeft == 0: request.completion(.failed(Self.paused))
                    case .success(true): submit(request, on: context)
                    }
                }
            }
        }
    }
}
