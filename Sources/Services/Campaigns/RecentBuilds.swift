import Commerce

/// The builds of gates that this service began within the last seconds.
///
/// Keeps builds of a campaign apart in time, and tells a build of this service that failed, which can be repeated at once, from one
/// of another service, which may still be under way.
struct RecentBuilds {
    private struct Build {
        let begin: ContinuousClock.Instant
        /// The epoch of the gate that the build has paused; nil before.
        var epoch: Int64?
        /// Nil while the build runs.
        var end: ContinuousClock.Instant?
    }

    /// The least time between the begins of two builds of a campaign. A claim that meets a gate being built is told to come back after a
    /// second, so nobody waits longer for it; and if builds keep failing, they cost at most five builds per second.
    static let leastInterval: Duration = .milliseconds(200)

    private var builds: [CouponID: Build] = [:]
    /// Beyond that many entries the old ones go.
    private var limit = Self.leastLimit

    private static let leastLimit = 256

    var count: Int { builds.count }

    /// How long a further build of the campaign has to wait; nil where it may begin now.
    func pause(before coupon: CouponID, at now: ContinuousClock.Instant) -> Duration? {
        guard let build = builds[coupon], build.begin + Self.leastInterval > now else { return nil }
        return build.begin + Self.leastInterval - now
    }

    /// Whether the gate of that epoch is what a build of this service has left behind. Not to be asked while one runs.
    func hasLeft(epoch: Int64?, of coupon: CouponID) -> Bool {
        guard let build = builds[coupon], let left = build.epoch else { return false }
        return left == epoch
    }

    mutating func begin(_ coupon: CouponID, at now: ContinuousClock.Instant) {
        if builds.count >= limit {
            // An entry says nothing more once a gate that was left behind may be taken over by anybody.
            builds = builds.filter { _, build in build.end.map { $0 + CouponGate.takeoverSilence > now } ?? true }
            limit = max(Self.leastLimit, 2 * builds.count)
        }
        builds[coupon] = Build(begin: now)
    }

    mutating func hasPaused(_ coupon: CouponID, epoch: Int64) { builds[coupon]?.epoch = epoch }

    mutating func end(_ coupon: CouponID, at now: ContinuousClock.Instant) { builds[coupon]?.end = now }
}
