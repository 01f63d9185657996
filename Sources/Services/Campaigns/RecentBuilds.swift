import Commerce

/// The builds of gates that this service began within the last seconds.
///
/// It enforces the least interval between two builds of a campaign. It also tells a paused gate that a failed build of this service has
/// left, which may be built again at once, from one of another service, whose build may still be running.
struct RecentBuilds {
    private struct Build {
        let begin: ContinuousClock.Instant
        /// The epoch of the gate that the build has paused; nil before.
        var epoch: Int64?
        /// Nil while the build runs.
        var end: ContinuousClock.Instant?
    }

    /// The least time between the starts of two builds of a campaign.
    ///
    /// If builds keep failing, there are at most five a second. No client waits longer for it: a claim that meets a paused gate is
    /// answered `Retry-After: 1`.
    static let leastInterval: Duration = .milliseconds(200)

    private var builds: [CouponID: Build] = [:]
    /// At this number of entries, those that say nothing any more are removed.
    private var limit = Self.leastLimit

    private static let leastLimit = 256

    var count: Int { builds.count }

    /// How long the next build of the campaign must wait; nil where it may begin now.
    func pause(before coupon: CouponID, at now: ContinuousClock.Instant) -> Duration? {
        guard let build = builds[coupon], build.begin + Self.leastInterval > now else { return nil }
        return build.begin + Self.leastInterval - now
    }

    /// Whether a gate paused under that epoch was left by a build of this service. Must not be called while a build of the campaign runs.
    func hasLeft(epoch: Int64?, of coupon: CouponID) -> Bool {
        guard let build = builds[coupon], let left = build.epoch else { return false }
        return left == epoch
    }

    mutating func begin(_ coupon: CouponID, at now: ContinuousClock.Instant) {
        if builds.count >= limit {
            // Once any service may take over the gate that a build has left, its entry is no longer needed.
            builds = builds.filter { _, build in build.end.map { $0 + CouponGate.takeoverSilence > now } ?? true }
            limit = max(Self.leastLimit, 2 * builds.count)
        }
        builds[coupon] = Build(begin: now)
    }

    mutating func hasPaused(_ coupon: CouponID, epoch: Int64) { builds[coupon]?.epoch = epoch }

    mutating func end(_ coupon: CouponID, at now: ContinuousClock.Instant) { builds[coupon]?.end = now }
}
