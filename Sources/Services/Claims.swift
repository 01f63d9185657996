package import Commerce
import FaultPoints
import NIOCore
import Redis
package import Store

/// First come, first served: one claim from the gate's verdict to the row in the store.
///
/// The gate in Redis decides who wins; the store makes a win durable and is asked to write nothing that contradicts it, and a
/// refusal counts only on the store's own terms. Where the two disagree, Redis has forgotten something: the gate is put right
/// from the store and the claim decided anew.
package struct Claims: Sendable {
    private let store: Store
    private let campaigns: Campaigns
    private let recent: RecentCoupons

    /// How often a claim is decided anew before it is told to come back: each repair settles every disagreement it can see.
    private static let attempts = 4

    init(store: Store, campaigns: Campaigns) {
        (self.store, self.campaigns, recent) = (store, campaigns, RecentCoupons(store: store))
    }

    /// What asking the gate alone has come to.
    package enum Asked: Sendable {
        /// The gate's word is the whole answer: it refuses on the store's own terms.
        case refused(Refusal)
        /// The store has to be asked, or the gate put right: go on with ``claim(_:by:on:after:idempotency:)``.
        case goesOn(CouponGate.Verdict)
        case failed(any Error)
    }

    /// What can be said to a claim at once.
    package enum Recalled: Sendable {
        /// The gate has just said that nothing is left.
        case soldOut
        /// The user is known to have the coupon.
        case alreadyClaimed(RecentCoupons.Entry)
        case userNotFound
        /// The gate has to be asked: go on with ``ask(_:on:_:)``.
        case unknown(Question)
    }

    /// A claim that is on its way to the gate.
    package struct Question: Sendable {
        fileprivate let user: UserID
        fileprivate let coupon: CouponID
        fileprivate let campaign: KnownCampaign
        fileprivate let asked: KnownCampaign.Question
    }

    /// What is known without asking anybody.
    package func recall(_ coupon: CouponID, by user: UserID, on context: LoopContext) -> Recalled {
        guard store.userExists(user) else { return .userNotFound }
        let campaign = campaigns.known[coupon]
        let now = NIODeadline.now()
        if let entry = recent.entry(of: coupon, for: user) {
            if campaign.isKnownOpen(at: now) { return .alreadyClaimed(entry) }
            return .unknown(Question(user: user, coupon: coupon, campaign: campaign, asked: campaign.question(at: now)))
        }
        switch campaign.recall(user, at: now) {
        case .soldOut:
            context.soldOut.copy(campaign, at: now)
            return .soldOut
        case .unknown(let asked): return .unknown(Question(user: user, coupon: coupon, campaign: campaign, asked: asked))
        }
    }

    /// Asks the gate without a task, and calls back on the context's loop. Call it there.
    package func ask(_ question: Question, on context: LoopContext, _ completion: @escaping @Sendable (Asked) -> Void) {
        context.redis.send(question.campaign.claim(by: question.user)) { result in
            completion(asked(result, question.coupon, question.user, question.campaign, question.asked, context.reader))
        }
    }

    private func asked(
        _ result: Result<RedisValue, RedisError>, _ coupon: CouponID, _ user: UserID, _ campaign: KnownCampaign,
        _ question: KnownCampaign.Question, _ reader: PointReader
    ) -> Asked {
        do {
            let verdict = try CouponGate.verdicts(try result.get(), count: 1)[0]
            if case .alreadyClaimed(let place) = verdict {
                guard let issued = try recent.coupon(of: coupon, for: user, from: reader), issued.sequence == place.sequence else {
                    return .goesOn(verdict)
                }
                if try campaign.terms(from: reader)?.epoch == place.epoch { campaign.noteOpen(question, epoch: place.epoch) }
                return .refused(.couponAlreadyClaimed(issued))
            }
            guard verdict.isRefusal, case .believed(let refusal)? = try campaign.terms(from: reader)?.judge(verdict) else {
                return .goesOn(verdict)
            }
            if case .soldOut = verdict, let terms = campaign.noteSoldOut(question) {
                campaigns.readHolders(of: coupon, terms, for: campaign, question)
            }
            return .refused(refusal)
        } catch let error as RedisError where error.code == .server(.wrongType) {
            // A gate of a foreign type has no epoch; going on finds the store's.
            return .goesOn(.notLoaded)
        } catch {
            return .failed(error)
        }
    }

    /// Claims a coupon for a user; `idempotency` keeps the answer under an idempotency key, in the transaction of the win.
    ///
    /// `first` is the verdict where the gate was asked before.
    ///
    /// - Throws: `ServiceError` with code `paused` while the gate is rebuilt, `RedisError` or `StoreError` where those fail. After an
    ///   error the same user's next claim finds out what happened: there is one coupon and one sequence for them, or none.
    package func claim(
        _ coupon: CouponID, by user: UserID, on context: LoopContext, after first: CouponGate.Verdict? = nil,
        idempotency: IdempotentWrite<IssuedCoupon>? = nil
    ) async throws -> WriteResult<IssuedCoupon> {
        guard store.userExists(user) else { return .refused(.userNotFound) }
        var known = first
        for _ in 0..<Self.attempts {
            let verdict = if let known { known } else { try await verdict(on: coupon, for: user, context) }
            known = nil
            switch verdict {
            case .soldOut, .notOpen, .closed:
                if let refusal = try await judge(verdict, coupon, context) { return .refused(refusal) }
            case .claimed(let place):
                if let answer = try await record(place, coupon, user, context, idempotency) { return answer }
            case .alreadyClaimed(let place):
                if let answer = try await resolve(place, coupon, user, context, idempotency) { return answer }
            case .notLoaded:
                guard try await campaigns.build(coupon, beyond: nil) else { return .refused(.couponNotFound) }
            case .damaged(let epoch):
                guard try await campaigns.build(coupon, beyond: epoch) else { return .refused(.couponNotFound) }
            case .paused:
                guard !campaigns.isBuilding(coupon) else { throw ServiceError(.paused, "the campaign is being rebuilt") }
                guard try await campaigns.build(coupon, beyond: nil) else { return .refused(.couponNotFound) }
            }
        }
        throw ServiceError(.paused, "the campaign is being rebuilt")
    }

    /// The gate's verdict; a key of a foreign type counts as a gate that is damaged.
    private func verdict(on coupon: CouponID, for user: UserID, _ context: LoopContext) async throws -> CouponGate.Verdict {
        do {
            return try CouponGate.verdicts(try await context.redis.send(campaigns.known[coupon].claim(by: user)), count: 1)[0]
        } catch let error as RedisError where error.code == .server(.wrongType) {
            return .damaged(epoch: try context.reader.campaign(coupon)?.epoch ?? 0)
        }
    }

    /// The refusal, where it rests on what the store says; otherwise puts the gate right and answers `nil`: decide the claim anew.
    ///
    /// A disagreement is judged against the store itself the next time: somebody else may have written to it.
    private func judge(_ verdict: CouponGate.Verdict, _ coupon: CouponID, _ context: LoopContext) async throws -> Refusal? {
        let campaign = campaigns.known[coupon]
        guard let terms = try campaign.terms(from: context.reader) else { return .couponNotFound }
        switch terms.judge(verdict) {
        case .believed(let refusal): return refusal
        case .notRefused: return nil
        case .otherEpoch:
            campaign.forget()
            return try await campaigns.build(coupon, beyond: nil) ? nil : .couponNotFound
        case .otherTerms:
            campaign.forget()
            return try await campaigns.realign(coupon) ? nil : .couponNotFound
        }
    }

    /// Writes a win to the store. `nil` when the claim has to be decided anew.
    private func record(
        _ place: CouponGate.Place, _ coupon: CouponID, _ user: UserID, _ context: LoopContext, _ idempotency: IdempotentWrite<IssuedCoupon>?
    ) async throws -> WriteResult<IssuedCoupon>? {
        FaultPoint.afterScript.reached()
        let claim = Claim(couponID: coupon, userID: user, sequence: place.sequence, epoch: place.epoch, issuedAt: place.at)
        switch try await store.recordClaim(claim, idempotency: idempotency, context: context) {
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
        _ place: CouponGate.Place, _ coupon: CouponID, _ user: UserID, _ context: LoopContext, _ idempotency: IdempotentWrite<IssuedCoupon>?
    ) async throws -> WriteResult<IssuedCoupon>? {
        guard let issued = try context.reader.issuedCoupon(of: coupon, userID: user) else {
            return try await record(place, coupon, user, context, idempotency)
        }
        guard issued.sequence == place.sequence else {
            try await campaigns.build(coupon, beyond: place.epoch)
            return nil
        }
        return .refused(.couponAlreadyClaimed(issued))
    }
}
