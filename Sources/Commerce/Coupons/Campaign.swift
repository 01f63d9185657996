/// A coupon campaign: a limited number of coupons, first come, first served.
package struct Campaign: Sendable, Equatable {
    /// A campaign's status at an instant; raw values as in `Sources/API/openapi.json`.
    package enum Status: String, Sendable, CaseIterable {
        case scheduled = "SCHEDULED"
        case open = "OPEN"
        case soldOut = "SOLD_OUT"
        case closed = "CLOSED"
    }

    package let id: CouponID
    package let terms: CampaignTerms
    /// Coupons with a row in the store.
    package let issued: Int64
    package let createdAt: Instant
    /// The number of the last build of the gate in Redis. The store refuses claims that were decided under an older epoch.
    package let epoch: Int64
    /// Whether the gate was or is being removed from Redis because the campaign ended long ago. Claims are answered from the store.
    package let isArchived: Bool
    /// How far its wins are sealed.
    package let chain: ChainHead

    package var remaining: Int64 { terms.quantity - issued }

    package func status(at now: Instant) -> Status {
        if now < terms.opensAt { return .scheduled }
        if let closesAt = terms.closesAt, now >= closesAt { return .closed }
        return remaining > 0 ? .open : .soldOut
    }

    package init(
        id: CouponID, terms: CampaignTerms, issued: Int64, createdAt: Instant, epoch: Int64, isArchived: Bool = false,
        chain: ChainHead = .none
    ) {
        (self.id, self.terms, self.issued, self.createdAt, self.epoch) = (id, terms, issued, createdAt, epoch)
        (self.isArchived, self.chain) = (isArchived, chain)
    }
}

/// What an operator decides about a campaign.
package struct CampaignTerms: Sendable, Equatable {
    package var name: String
    package var discount: Discount
    package var quantity: Int64
    package var opensAt: Instant
    /// The first instant at which claims are refused as closed; `nil` for a campaign without an end.
    package var closesAt: Instant?
    /// How long an issued coupon can be used, in seconds from its issue.
    package var validForSeconds: Int64
    /// The least total of an order that may use the coupon.
    package var minOrderAmount: Won
    /// Whether a full refund gives the coupon back.
    package var restoreOnRefund: Bool

    package init(
        name: String, discount: Discount, quantity: Int64, opensAt: Instant, closesAt: Instant?, validForSeconds: Int64,
        minOrderAmount: Won, restoreOnRefund: Bool
    ) {
        self.name = name
        self.discount = discount
        self.quantity = quantity
        self.opensAt = opensAt
        self.closesAt = closesAt
        self.validForSeconds = validForSeconds
        self.minOrderAmount = minOrderAmount
        self.restoreOnRefund = restoreOnRefund
    }
}

/// A change to a campaign; `nil` leaves a field as it is.
package struct CampaignChange: Sendable, Equatable {
    package var quantity: Int64?
    package var opensAt: Instant?
    package var closesAt: Instant?
    /// Removes the campaign's end; `closesAt` is nil then.
    package var removesEnd: Bool

    package init(quantity: Int64? = nil, opensAt: Instant? = nil, closesAt: Instant? = nil, removesEnd: Bool = false) {
        (self.quantity, self.opensAt, self.closesAt, self.removesEnd) = (quantity, opensAt, closesAt, removesEnd)
    }
}
