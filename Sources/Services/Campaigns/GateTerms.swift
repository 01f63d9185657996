import Commerce

/// The store's terms of a campaign. A refusal of its gate is accepted only when it rests on these.
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

    /// How the terms of a refusal compare with the store's.
    enum Comparison: Sendable, Equatable {
        /// The refusal rests on the store's own terms.
        case agrees
        /// The refusing gate has another epoch than the store.
        case otherEpoch(Int64)
        /// The gate has the store's epoch, but another quantity or window.
        case otherTerms
    }

    /// Compares the terms of a refusal with the store's.
    func compare(with refusal: CouponGate.RefusalTerms) -> Comparison {
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
