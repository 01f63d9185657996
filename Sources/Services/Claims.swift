package import Commerce
import Redis
package import Store

/// First come, first served: one claim from the gate's verdict to the row in the store.
///
/// The gate in Redis decides who wins; the store makes a win durable and is asked to write nothing that contradicts it. Where
/// the two disagree, Redis has forgotten something: the gate is rebuilt from the store and the claim decided anew.
package struct Claims: Sendable {
    private let store: Store
    private let campaigns: Campaigns

    /// How often a claim is decided anew before it is told to come back: each rebuild settles every disagreement it can see.
    private static let attempts = 4

    init(store: Store, campaigns: Campaigns) {
        (self.store, self.campaigns) = (store, campaigns)
    }

    /// Claims a coupon for a user; `remembering` keeps the answer under an idempotency key, in the transaction of the win.
    ///
    /// - Throws: `ServiceError` with code `paused` while the gate is rebuilt, `RedisError` or `StoreError` where those fail. After an
    ///   error the same user's next claim finds out what happened: there is one coupon and one sequence for them, or none.
    package func claim(
        _ coupon: CouponID, by user: UserID, on context: LoopContext, remembering: Remembering<IssuedCoupon>? = nil
    ) async throws -> WriteResult<IssuedCoupon> {
        guard store.userExists(user) else { return .refused(.userNotFound) }
        for _ in 0..<Self.attempts {
            switch try await verdict(on: coupon, for: user, context) {
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
            return try await CouponGate.claim(coupon, by: user, through: context.redis)
        } catch let error as RedisError where error.code == .server(.wrongType) {
            return .damaged(epoch: try context.reader.campaign(coupon)?.epoch ?? 0)
        }
    }

    /// Writes a win to the store. `nil` when the claim has to be decided anew.
    private func record(
        _ place: CouponGate.Place, _ coupon: CouponID, _ user: UserID, _ context: LoopContext, _ remembering: Remembering<IssuedCoupon>?
    ) async throws -> WriteResult<IssuedCoupon>? {
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
