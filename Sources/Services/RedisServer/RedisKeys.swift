package import Commerce

/// The names of every key in Redis. All keys of one script share a hash tag, so the scripts run on Redis Cluster too.
package enum RedisKeys {
    /// The gate of a campaign: a hash.
    package static func coupon(_ id: CouponID) -> String { "coupon:{\(id.rawValue)}" }
    /// Who has claimed, in order: a sorted set of user ids by sequence.
    package static func claims(of id: CouponID) -> String { "coupon:{\(id.rawValue)}:claims" }

    /// The store that this Redis serves, see ``StoreAdmission``.
    package static let store = "ranking:{sales}:store"
    /// The last outbox event counted.
    package static let applied = "ranking:{sales}:applied"
    /// How many products were counted into each day, by the name of the day's key. A day that holds another number was changed by
    /// somebody else.
    package static let products = "ranking:{sales}:products"
    /// The union of the last three days.
    package static let top = "ranking:{sales}:top:3d"
    /// What `rank_products` answered last, for every service on this Redis.
    package static let rankingResult = "ranking:{sales}:result"
    /// Exists while neither views nor a rebuild have come in since that result.
    package static let rankingUnchanged = "ranking:{sales}:unchanged"
    /// Units sold on a business day.
    package static func sales(on day: BusinessDay) -> String { "ranking:{sales}:\(day)" }
    /// Views on a business day.
    package static func views(on day: BusinessDay) -> String { "ranking:{sales}:views:\(day)" }
    /// Scores of a day while they are rebuilt; `build` keeps two rebuilds apart.
    package static func stagedSales(on day: BusinessDay, build: String) -> String { "ranking:{sales}:staged:\(build):\(day)" }

    /// Whether a key holds what a store knows better: a gate or a part of the ranking, but not the store's name.
    package static func isOfAStore(_ key: String) -> Bool {
        if key.hasPrefix("ranking:{sales}:") { return key != store }
        guard key.hasPrefix("coupon:{") else { return false }
        let rest = key.dropFirst("coupon:{".count)
        let id = rest.prefix { $0.isASCII && $0.isNumber }
        return !id.isEmpty && ["}", "}:claims"].contains(rest.dropFirst(id.count))
    }

    /// Paid and refunded orders, where no data platform is configured: a stream.
    package static let events = "events:{orders}"
    /// The id of the last event in that stream, by which a Redis that lost its latest entries is noticed.
    package static let lastEvent = "events:{orders}:last"
}
