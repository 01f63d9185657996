package import Commerce
import FaultPoints
import Redis
package import Store

/// First come, first served: one claim from the gate's verdict to the row in the store.
///
/// The gate in Redis decides who wins; the store makes a win durable and is asked to write nothing that contradicts it. Where
/// the two disagree, Redis has forgotten something: the gate is rebuilt from the store and the claim decided anew.
package struct Claims: Sendable {
    private let store: Store
    private let campaigns: Campaigns
    private let calls = ClaimCalls()

    /// How often a claim is decided anew before it is told to come back: each rebuild settles every disagreement it can see.
    private static let attempts = 4

    init(store: Store, campaigns: Campaigns) {
        (self.store, self.campaigns) = (store, campaigns)
    }

    /// What asking the gate alone has come to.
    package enum Asked: Sendable {
        /// The gate's word is the whole answer.
        case refused(Refusal)
        /// The store has to be asked, or the gate built: go on with ``claim(_:by:on:after:remembering:)``.
        case goesOn(CouponGate.Verdict)
        case failed(any Error)
    }

    /// Asks the gate without a task, and calls back on the context's loop. Call it there.
    package func ask(
        _ coupon: CouponID, by user: UserID, on context: LoopContext, _ completion: @escaping @Sendable (Asked) -> Void
    ) {
        guard store.userExists(user) else { return completion(.refused(.userNotFound)) }
        context.redis.send(calls.claim(coupon, by: user)) { result in
            completion(Asked(result))
        }
    }

    /// Claims a coupon for a user; `remembering` keeps the answer under an idempotency key, in the transaction of the win.
    ///
    /// `first` is the verdict where the gate was asked before.
    ///
    /// - Throws: `ServiceError` with code `paused` while the gate is rebuilt, `RedisError` or `StoreError` where those fail. After an
    ///   error the same user's next claim finds out what happened: there is one coupon and one sequence for them, or none.
    package func claim(
        _ coupon: CouponID, by user: UserID, on context: LoopContext, after first: CouponGate.Verdict? = nil,
        remembering: Remembering<IssuedCoupon>? = nil
    ) async throws -> WriteResult<IssuedCoupon> {
        guard store.userExists(user) else { return .refused(.userNotFound) }
        var known = first
        for _ in 0..<Self.attempts {
            let verdict = if let known { known } else { try await verdict(on: coupon, for: user, context) }
            known = nil
            switch verdict {
            case .soldOut: return .refused(.couponSoldOut)
            case .closed: return .refused(.couponClosed)
            case .notOpen(let opensAt): return .refused(.couponNotOpen(opensAt: opensAt))
            case .claimed(let place):
                if let answer = try await record(place, coupon, user, context, remembering) { return answer }
            case .alreadyClaimed(let place):
                if let answer = try await resolve(place, coupon, user, context, remembering) { return answer }
            case .notLoaded:
                guard try await campaigns.build(coupon, beyond: nil) else { return .refused(.couponNotFound) }
            case .damaged(let epoch):
                guard try await campaigns.build(coupon, beyond: epoch) else { return .refused(.couponNotFound) }
            case .paused(let silence):
                guard silence > Campaigns.abandonedAfterMilliseconds else { throw ServiceError(.paused, "the campaign is being rebuilt") }
                guard try await campaigns.buildAbandoned(coupon) else { return .refused(.couponNotFound) }
            }
        }
        throw ServiceError(.paused, "the campaign is being rebuilt")
    }

    /// The gate's verdict; a key of a foreign type counts as a gate that is damaged.
    private func verdict(on coupon: CouponID, for user: UserID, _ context: LoopContext) async throws -> CouponGate.Verdict {
        do {
            return try CouponGate.verdict(try await context.redis.send(calls.claim(coupon, by: user)))
        } catch let error as RedisError where error.code == .server(.wrongType) {
            return .damaged(epoch: try context.reader.campaign(coupon)?.epoch ?? 0)
        }
    }

    /// Writes a win to the store. `nil` when the claim has to be decided anew.
    private func record(
        _ place: CouponGate.Place, _ coupon: CouponID, _ user: UserID, _ context: LoopContext, _ remembering: Remembering<IssuedCoupon>?
    ) async throws -> WriteResult<IssuedCoupon>? {
        FaultPoint.afterScript.reached()
        let claim = Claim(couponID: coupon, userID: user, sequence: place.sequence, epoch: place.epoch, issuedAt: place.at)
        switch try await store.recordClaim(claim, remember: remembering, context: context) {
        case .replayed(let answer): return .replayed(answer)
        case .refused(let refusal): return .refused(refusal)
        case .done(.issued(let issued)): return .done(issued)
        // Another request of the same user, or recovery, wrote this very claim first and answers for it.
        case .done(.known(let issued)): return .refused(.couponAlreadyClaimed(issued))
        case .done(.stale):
            try await campaigns.build(coupon, beyond: place.epoch)
            return nil
        case .done(.campaignMissing): return .refused(.couponNotFound)
        case .done(.userMissing): return .refused(.userNotFound)
        }
    }

    /// The gate knows the user: either the store does too, or this is the earlier claim whose answer got lost.
    private func resolve(
        _ place: CouponGate.Place, _ coupon: CouponID, _ user: UserID, _ context: LoopContext, _ remembering: Remembering<IssuedCoupon>?
    ) async throws -> WriteResult<IssuedCoupon>? {
        guard let issued = try context.reader.issuedCoupon(of: coupon, userID: user) else {
            return try await record(place, coupon, user, context, remembering)
        }
        guard issued.sequence == place.sequence else {
            try await campaigns.build(coupon, beyond: place.epoch)
            return nil
        }
        return .refused(.couponAlreadyClaimed(issued))
    }
}

extension Claims.Asked {
    fileprivate init(_ result: Result<RedisValue, RedisError>) {
        do {
            switch try CouponGate.verdict(try result.get()) {
            case .soldOut: self = .refused(.couponSoldOut)
            case .closed: self = .refused(.couponClosed)
            case .notOpen(let opensAt): self = .refused(.couponNotOpen(opensAt: opensAt))
            case let verdict: self = .goesOn(verdict)
            }
        } catch let error as RedisError where error.code == .server(.wrongType) {
            // A gate of a foreign type has no epoch; going on finds the store's.
            self = .goesOn(.notLoaded)
        } catch {
            self = .failed(error)
        }
    }
}
