package import Commerce

/// The names of all keys in Redis. All keys of one script share a hash tag, so the scripts also run on Redis Cluster.
package enum RedisKeys {
    /// The gate of a campaign: a hash.
    package static func coupon(_ id: CouponID) -> String { "coupon:{\(id.rawValue)}" }
    /// The claims of a campaign: a sorted set of user ids by sequence.
    package static func claims(of id: CouponID) -> String { "coupon:{\(id.rawValue)}:claims" }

    /// The name of the store that this Redis serves, see ``StoreAdmission``.
    package static let store = "ranking:{sales}:store"
    /// The relay's offset: the id of the last event counted.
    package static let applied = "ranking:{sales}:applied"
    /// A hash from the key of each day to the number of products counted into it. If the day's sorted set has another size, it lost data
    /// or was changed by another program.
    package static let products = "ranking:{sales}:products"
    /// The union of the last three days.
    package static let top = "ranking:{sales}:top:3d"
    /// The last result of `rank_products`, which all services on this Redis share.
    package static let rankingResult = "ranking:{sales}:result"
    /// Exists while no views and no rebuild have come in since that result.
    package static let rankingUnchanged = "ranking:{sales}:unchanged"
    /// Units sold on a business day: a sorted set of product ids.
    package static func sales(on day: BusinessDay) -> String { "ranking:{sales}:\(day)" }
    /// Views on a business day: a sorted set of product ids.
    package static func views(on day: BusinessDay) -> String { "ranking:{sales}:views:\(day)" }
    /// Scores of a day while they are rebuilt. `build` keeps concurrent rebuilds apart.
    package static func stagedSales(on day: BusinessDay, build: String) -> String { "ranking:{sales}:staged:\(build):\(day)" }

    /// Whether the key belongs to a gate or to the ranking, which are rebuilt from a store. The key of the store's name does not count.
    package static func isRebuiltFromStore(_ key: String) -> Bool {
        if key.hasPrefix("ranking:{sales}:") { return key != store }
        guard key.hasPrefix("coupon:{") else { return false }
        let rest = key.dropFirst("coupon:{".count)
        let id = rest.prefix { $0.isASCII && $0.isNumber }
        return !id.isEmpty && ["}", "}:claims"].contains(rest.dropFirst(id.count))
    }

    /// What all token buckets begin with. In a cluster one primary has them all, because a request's two buckets change together.
    static let buckets = "limit:{requests}:"
    /// The token bucket of a client address, see ``SharedTokenBuckets``.
    package static func bucket(ofAddress network: String) -> String { "\(buckets)address:\(network)" }
    /// The token bucket of a user.
    package static func bucket(of id: UserID) -> String { "\(buckets)user:\(id.rawValue)" }

    /// The stream of paid and refunded orders, which is used where no data platform is configured.
    package static let events = "events:{orders}"
    /// The id of the last event in that stream. It shows whether Redis has lost the latest entries.
    package static let lastEvent = "events:{orders}:last"
}
