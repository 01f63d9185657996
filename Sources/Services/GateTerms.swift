import Commerce

/// What the store says that a campaign's gate has to hold: by this, and not by the gate's own word, a refusal is judged.
struct GateTerms: Sendable, Equatable {
    let epoch: Int64
    let quantity: Int64
    let opensAt: Instant
    let closesAt: Instant?

    init(_ campaign: Campaign) {
        epoch = campaign.epoch
        (quantity, opensAt, closesAt) = (campaign.terms.quantity, campaign.terms.opensAt, campaign.terms.closesAt)
    }

    /// What a verdict is worth.
    enum Judgement: Sendable, Equatable {
        /// The gate refuses on the store's own terms.
        case believed(Refusal)
        /// A gate of another build refuses.
        case otherEpoch(Int64)
        /// The right gate refuses on terms that are not the store's.
        case otherTerms
        /// No refusal on the gate's word alone: the store has the last word on it.
        case notRefused
    }

    /// Judges the verdict without reading or waiting: it stands before every answer to those who lose.
    func judge(_ verdict: CouponGate.Verdict) -> Judgement {
        switch verdict {
        case .soldOut(let epoch, let quantity): judge(.couponSoldOut, of: epoch, agrees: quantity == self.quantity)
        case .notOpen(let epoch, let opensAt): judge(.couponNotOpen(opensAt: opensAt), of: epoch, agrees: opensAt == self.opensAt)
        case .closed(let epoch, let closesAt): judge(.couponClosed, of: epoch, agrees: closesAt == self.closesAt)
        case .claimed, .alreadyClaimed, .paused, .notLoaded, .damaged: .notRefused
        }
    }

    private func judge(_ refusal: @autoclosure () -> Refusal, of epoch: Int64, agrees: Bool) -> Judgement {
        guard epoch == self.epoch else { return .otherEpoch(epoch) }
        return agrees ? .believed(refusal()) : .otherTerms
    }
}
