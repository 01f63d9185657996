import Commerce

extension CampaignTerms {
    /// The body of POST `/coupons`; without `opensAt` the campaign is open from `now` on.
    init?(_ fields: inout FieldReader, now: Instant) {
        let name = fields.displayName("name")
        let discount = fields.object("discount") { Discount(&$0) }
        let quantity = fields.integer("quantity", in: Bounds.couponQuantity)
        let opensAt = fields.optionalInstant("opensAt") ?? now
        let closesAt = fields.optionalInstant("closesAt")
        let validForSeconds = fields.optionalInteger("validFor", in: Bounds.couponValidity) ?? Bounds.defaultCouponValidity
        let minOrderAmount = fields.optionalWon("minOrderAmount", in: 0...Bounds.price.upperBound) ?? .zero
        let restoreOnRefund = fields.optionalBool("restoreOnRefund") ?? false
        if let closesAt, closesAt <= opensAt { fields.refuse("closesAt", "must be after opensAt") }
        guard let name, let discount, let quantity else { return nil }
        self.init(
            name: name, discount: discount, quantity: quantity, opensAt: opensAt, closesAt: closesAt,
            validForSeconds: validForSeconds, minOrderAmount: minOrderAmount, restoreOnRefund: restoreOnRefund)
    }
}

extension CampaignChange {
    /// The body of PATCH `/coupons/{couponId}`; `"closesAt": null` removes the end.
    init(_ fields: inout FieldReader) {
        self.init(
            quantity: fields.optionalInteger("quantity", in: Bounds.couponQuantity),
            opensAt: fields.optionalInstant("opensAt"), closesAt: fields.optionalInstant("closesAt"), removesEnd: fields.isNull("closesAt"))
        if let opensAt, let closesAt, closesAt <= opensAt { fields.refuse("closesAt", "must be after opensAt") }
    }
}

extension Discount {
    /// The type of a discount, as in `openapi.json`.
    enum Kind: String, CaseIterable {
        case fixed = "FIXED"
        case percent = "PERCENT"
    }

    init?(_ fields: inout FieldReader) {
        guard let kind = fields.choice("type", of: Kind.allCases.map(\.rawValue)).flatMap(Kind.init) else { return nil }
        switch kind {
        case .fixed:
            guard let amount = fields.won("amount", in: Bounds.price) else { return nil }
            self = .fixed(amount: amount)
        case .percent:
            let percent = fields.integer("percent", in: 1...100)
            let maxAmount = fields.optionalWon("maxAmount", in: Bounds.price)
            guard let percent else { return nil }
            self = .percent(percent, maxAmount: maxAmount)
        }
    }
}
