package import Services

/// The limits of a whole service on how many requests each client may make, and on how long its queues may be.
package struct RequestLimits: Sendable {
    /// For each user; nil for no limit.
    package var user: RateLimit?
    /// For each client address, of IPv6 each /64; nil for no limit.
    package var address: RateLimit?
    package var trustedProxies = TrustedProxies()
    /// Whether services that share a Redis count together.
    package var areShared = false
    package var patience = SharedTokenBuckets.Patience()
    /// How long a queue may stand before new work is refused; nil never refuses any.
    package var shedAfter: Duration? = .milliseconds(250)

    /// Whether work is refused while an event loop is late. Tests of the other queues turn it off, because on a busy machine loops are late.
    package var watchesEventLoops = true

    /// No limits on clients.
    package init() {}

    /// No limits at all.
    package static var withoutShedding: RequestLimits {
        var limits = RequestLimits()
        limits.shedAfter = nil
        return limits
    }

    /// Whether clients are limited at all.
    var limitsClients: Bool { user != nil || address != nil }
}
