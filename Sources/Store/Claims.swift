package import Commerce
import GRDB

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

/// What the store makes of a claim.
package enum ClaimRecord: Sendable, Equatable {
    /// The coupon was written now.
    case issued(IssuedCoupon)
    /// The same user with the same sequence was there already.
    case known(IssuedCoupon)
    /// The store knows better: another epoch, the sequence is another user's, the user has another sequence, or all are issued.
    /// Redis went back in time, and the gate has to be rebuilt.
    case stale
    case campaignMissing
    case userMissing
}

/// One issued coupon as the gate in Redis needs it.
package struct IssuedClaim: Sendable, Equatable {
    package let userID: UserID
    package let sequence: Int64

    package init(userID: UserID, sequence: Int64) {
        (self.userID, self.sequence) = (userID, sequence)
    }
}

extension Store {
    /// Writes the coupon of a claim, once: doing it again finds it `known`.
    ///
    /// Only an `issued` coupon is remembered. Refused only with `idempotencyKeyReused`.
    package func recordClaim(
        _ claim: Claim, idempotency: IdempotentWrite<IssuedCoupon>? = nil, context: (any DeliveryContext)? = nil
    ) async throws(StoreError) -> WriteResult<ClaimRecord> {
        try await write(context: context) { db in
            if let idempotency {
                switch try db.answer(for: idempotency.key, at: claim.issuedAt) {
                case .absent: break
                case .stored(let answer): return .replayed(answer)
                case .reused: return .refused(.idempotencyKeyReused)
                }
            }
            let record = try db.record(claim)
            if let idempotency, case .issued(let coupon) = record {
                try db.keep(idempotency.render(coupon), under: idempotency.key, at: claim.issuedAt)
            }
            return .done(record)
        }
    }
}

extension Database {
    fileprivate func record(_ claim: Claim) throws -> ClaimRecord {
        guard let campaign = try campaign(claim.couponID) else { return .campaignMissing }
        guard try balance(of: claim.userID) != nil else { return .userMissing }
        if let known = try issuedCoupon(of: claim.couponID, userID: claim.userID) {
            return known.sequence == claim.sequence ? .known(known) : .stale
        }
        guard claim.epoch == campaign.epoch, campaign.remaining > 0, try !isTaken(claim.sequence, of: claim.couponID) else {
            return .stale
        }
        return .issued(try issue(claim, of: campaign))
    }

    private func isTaken(_ sequence: Int64, of coupon: CouponID) throws -> Bool {
        try first("SELECT 1 FROM issued_coupons WHERE coupon_id = ? AND sequence = ?", coupon, sequence) { _ in true } ?? false
    }

    private func issue(_ claim: Claim, of campaign: Campaign) throws -> IssuedCoupon {
        let code = CouponCode.random()
        let validity = campaign.terms.validForSeconds.multipliedReportingOverflow(by: 1000)
        let latest = Instant(milliseconds: Instant.representable.upperBound)
        let expiresAt = validity.overflow ? latest : claim.issuedAt.advanced(byMilliseconds: validity.partialValue) ?? latest
        try run(
            """
            INSERT INTO issued_coupons (code, coupon_id, user_id, sequence, issued_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
            """, code.description, claim.couponID, claim.userID, claim.sequence, claim.issuedAt, expiresAt)
        let id = IssuedCouponID(lastInsertedRowID)
        try run("UPDATE campaigns SET issued = issued + 1 WHERE id = ?", claim.couponID)
        return IssuedCoupon(
            id: id, code: code, couponID: claim.couponID, userID: claim.userID, name: campaign.terms.name,
            discount: campaign.terms.discount, minOrderAmount: campaign.terms.minOrderAmount, sequence: claim.sequence,
            state: .issued, issuedAt: claim.issuedAt, expiresAt: expiresAt, usedAt: nil, orderID: nil)
    }
}
