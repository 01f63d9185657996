import Commerce

/// The store's terms of a campaign that its gate has to hold: a refusal of the gate counts only on these.
struct GateTerms: Sendable, Equatable {
    let epoch: Int64
    let quantity: Int64
    let opensAt: Instant
    let closesAt: Instant?
    /// An archived campaign has no gate: its holders are answered from the store, and it is closed to all others.
    let isArchived: Bool

    init(_ campaign: Campaign) {
        epoch = campaign.epoch
        isArchived = campaign.isArchived
        (quantity, opensAt, closesAt) = (campaign.terms.quantity, campaign.terms.opensAt, campaign.terms.closesAt)
    }

    /// What a refusal of the gate is worth.
    enum Judgement: Sendable, Equatable {
        /// The gate refuses on the store's own terms.
        case agrees
        /// A gate of another build refuses.
        case otherEpoch(Int64)
        /// The right gate refuses on terms that are not the store's.
        case otherTerms
    }

    /// Holds what the gate refused by against the store's terms.
    func judge(_ refusal: CouponGate.RefusalTerms) -> Judgement {
        guard refusal.epoch == epoch else { return .otherEpoch(refusal.epoch) }
        let agrees =
            switch refusal.reason {
            case .soldOut(let quantity): quantity == self.quantity
            case .notOpen(let opensAt): opensAt == self.opensAt
            case .closed(let closesAt): closesAt == self.closesAt
            }
        return agrees ? .agrees : .otherTerms
    }
}
