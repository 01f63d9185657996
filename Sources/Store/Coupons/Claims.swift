package import Commerce

/// A claim that the gate in Redis let through.
package struct Claim: Sendable, Equatable {
    package let couponID: CouponID
    package let userID: UserID
    package let sequence: Int64
    /// The epoch of the gate that decided it.
    package let epoch: Int64
    package let issuedAt: Instant

    package init(couponID: CouponID, userID: UserID, sequence: Int64, epoch: Int64, issuedAt: Instant) {
        (self.couponID, self.userID, self.sequence, self.epoch, self.issuedAt) = (couponID, userID, sequence, epoch, issuedAt)
    }
}

/// A claim to be written, with the answer to be stored under the request's idempotency key where it has one.
package struct ClaimWrite: Sendable {
    package let claim: Claim
    package let idempotency: IdempotentWrite<IssuedCoupon>?

    package init(_ claim: Claim, idempotency: IdempotentWrite<IssuedCoupon>? = nil) {
        (self.claim, self.idempotency) = (claim, idempotency)
    }
}

/// What the store decides on a claim.
package enum ClaimRecord: Sendable, Equatable {
    /// The coupon was written now.
    case issued(IssuedCoupon)
    /// The coupon was in the store already, for the same user and sequence.
    case known(IssuedCoupon)
    /// The store contradicts the claim: another epoch, the sequence is another user's, the user has another sequence, or all are issued.
    /// Redis lost writes, and the gate has to be rebuilt.
    case stale
    case campaignMissing
    case userMissing
    /// The user's row cannot be read, see ``StoreError/Code/malformedRow``; the other claims of the call are written.
    case malformed
}

/// One issued coupon as the gate in Redis needs it.
package struct IssuedClaim: Sendable, Equatable {
    package let userID: UserID
    package let sequence: Int64

    package init(userID: UserID, sequence: Int64) {
        (self.userID, self.sequence) = (userID, sequence)
    }
}

extension TransactionalStore {
    /// Writes the coupons of claims of one campaign in one job. Each is accepted or refused by itself; one written before is `known`.
    ///
    /// The completion runs in the context and gets one result for each claim, in their order; a failure applies to all of them. Only the
    /// answer of an `issued` coupon is stored under its idempotency key, and a claim is `refused` only with `idempotencyKeyReused`.
    package func recordClaims(
        _ writes: [ClaimWrite], of coupon: CouponID, context: any DeliveryContext,
        completion: @escaping @Sendable (Result<[WriteResult<ClaimRecord>], StoreError>) -> Void
    ) {
        submit(RecordClaims(writes: writes, campaign: coupon), context: context, completion: completion)
    }

    /// Writes the coupons of claims of one campaign, see ``recordClaims(_:of:context:completion:)``.
    package func recordClaims(_ writes: [ClaimWrite], of coupon: CouponID) async throws(StoreError) -> [WriteResult<ClaimRecord>] {
        try await write(RecordClaims(writes: writes, campaign: coupon))
    }

    /// Writes the coupon of one claim, see ``recordClaims(_:of:context:completion:)``.
    package func recordClaim(
        _ claim: Claim, idempotency: IdempotentWrite<IssuedCoupon>? = nil, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> WriteResult<ClaimRecord> {
        let useCase = RecordClaims(writes: [ClaimWrite(claim, idempotency: idempotency)], campaign: claim.couponID)
        return try await write(useCase, context: context)[0]
    }
}

/// See ``TransactionalStore/recordClaims(_:of:context:completion:)``.
struct RecordClaims: UseCase {
    let writes: [ClaimWrite]
    let campaign: CouponID

    var weight: Int { writes.count }

    var needs: Needs {
        var needs = Needs(campaigns: [campaign], new: NewRows(issuedCoupons: writes.count))
        needs.ownedCoupons = writes.map { CouponOwner(campaign: campaign, user: $0.claim.userID) }
        needs.sequences = writes.map { CampaignSequence(campaign: campaign, sequence: $0.claim.sequence) }
        needs.answers = writes.compactMap { $0.idempotency?.key }
        return needs
    }

    func decide(_ books: some Books) throws -> Outcome<[WriteResult<ClaimRecord>]> {
        guard let campaign = try books.campaign(campaign) else { return .done(writes.map { _ in .done(.campaignMissing) }) }
        var issuing = CouponIssuing(campaign)
        var results: [WriteResult<ClaimRecord>] = []
        results.reserveCapacity(writes.count)
        for write in writes {
            assert(write.claim.couponID == campaign.id, "a job writes claims of one campaign")
            results.append(try readable { try record(write, with: &issuing, in: books) } ?? .done(.malformed))
        }
        if issuing.issued > 0 { try books.addIssued(issuing.issued, to: campaign.id) }
        return .done(results)
    }

    private func record(
        _ write: ClaimWrite, with issuing: inout CouponIssuing, in books: some Books
    ) throws -> WriteResult<ClaimRecord> {
        let claim = write.claim
        if let key = write.idempotency?.key {
            switch try books.answer(for: key, at: claim.issuedAt) {
            case .absent: break
            case .stored(let answer): return .replayed(answer)
            case .reused: return .refused(.idempotencyKeyReused)
            }
        }
        guard books.userExists(claim.userID) else { return .done(.userMissing) }
        if let coupon = try issuing.issue(claim, in: books) {
            if let idempotency = write.idempotency {
                try books.keep(idempotency.render(coupon), under: idempotency.key, at: claim.issuedAt)
            }
            return .done(.issued(coupon))
        }
        guard let known = try books.issuedCoupon(of: claim.couponID, userID: claim.userID), known.sequence == claim.sequence else {
            return .done(.stale)
        }
        return .done(.known(known))
    }
}

/// Issues coupons of one campaign within one job: a row for each. The campaign's number of issued coupons is added once, at the end.
private struct CouponIssuing {
    private let campaign: Campaign
    private var codes = SystemRandomNumberGenerator()
    private(set) var issued: Int64 = 0

    init(_ campaign: Campaign) { self.campaign = campaign }

    /// Writes the row; nil where the claim's epoch is not the campaign's, no coupon is left, the wins up to its sequence are sealed, or user
    /// or sequence have a row.
    mutating func issue(_ claim: Claim, in books: some Books) throws -> IssuedCoupon? {
        // A row behind the sealed ones would have no hash. Only a Redis that went back in time grants such a sequence.
        guard claim.epoch == campaign.epoch, issued < campaign.remaining, claim.sequence > campaign.chain.sequence else { return nil }
        let code = CouponCode.random(at: claim.issuedAt, using: &codes)
        let expiresAt = campaign.terms.expiry(ofCouponIssuedAt: claim.issuedAt)
        guard let id = try books.insertIssuedCoupon(claim, code: code, expiresAt: expiresAt) else { return nil }
        issued += 1
        return IssuedCoupon(
            id: id, code: code, couponID: claim.couponID, userID: claim.userID,
            name: campaign.terms.name, discount: campaign.terms.discount, minOrderAmount: campaign.terms.minOrderAmount,
            sequence: claim.sequence, state: .issued, issuedAt: claim.issuedAt, expiresAt: expiresAt, usedAt: nil, orderID: nil)
    }
}

extension CampaignTerms {
    /// When a coupon issued at that instant expires; at most the last representable instant.
    fileprivate func expiry(ofCouponIssuedAt issuedAt: Instant) -> Instant {
        let latest = Instant(milliseconds: Instant.representable.upperBound)
        let validity = validForSeconds.multipliedReportingOverflow(by: 1000)
        return validity.overflow ? latest : issuedAt.advanced(byMilliseconds: validity.partialValue) ?? latest
    }
}
