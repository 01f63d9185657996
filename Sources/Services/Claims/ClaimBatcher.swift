import Commerce
import Histograms
import NIOCore
import Redis
import Store

/// A claim that the gate in Redis has to decide.
struct ClaimRequest: Sendable {
    let coupon: CouponID
    let user: UserID
    let idempotency: IdempotentWrite<IssuedCoupon>?
    /// How often the gate may still decide the claim before it fails as `paused`; it decides again after each repair of the gate. One
    /// repair usually settles all disagreements.
    var attemptsLeft = 4
    let completion: @Sendable (ClaimOutcome) -> Void

    init(
        _ coupon: CouponID, _ user: UserID, _ idempotency: IdempotentWrite<IssuedCoupon>?,
        _ completion: @escaping @Sendable (ClaimOutcome) -> Void
    ) {
        (self.coupon, self.user, self.idempotency, self.completion) = (coupon, user, idempotency, completion)
    }
}

/// The claims of one campaign that leave an event loop in one call, in the order of their arrival.
final class ClaimBatch {
    let campaign: CachedCampaign
    /// The stamp of the first claim.
    let stamp: CacheLease.Stamp
    fileprivate(set) var requests: [ClaimRequest] = []
    /// Takes the reply; nil once the call was sent.
    fileprivate var decided: ((ClaimBatch, Result<RedisValue, RedisError>) -> Void)?

    fileprivate init(_ campaign: CachedCampaign, _ stamp: CacheLease.Stamp) { (self.campaign, self.stamp) = (campaign, stamp) }
}

/// Sends the claims of one event loop to Redis: those of one campaign that arrive within one tick of the loop leave as one call of
/// `claim_coupon`, at most 256 together.
///
/// Safety of `@unchecked Sendable`: only touched on the event loop, which every entry asserts; the histogram may be read anywhere.
final class ClaimBatcher: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let redis: RedisConnection
    /// The batches of this tick.
    private var open: [ClaimBatch] = []
    /// An empty array that takes turns with `open`, so that its memory is used again.
    private var spare: [ClaimBatch] = []
    private let sizes = Histogram(ClaimBatcher.sizeBounds)

    init(eventLoop: any EventLoop, redis: RedisConnection) { (self.eventLoop, self.redis) = (eventLoop, redis) }

    static let sizeBounds = HistogramBounds.powersOfTwo(through: CouponGate.claimsPerCall)

    /// The claims in each call of `claim_coupon` that was sent. May be read on any thread.
    var sizesOfCalls: HistogramSnapshot { sizes.snapshot }

    /// Adds a claim to its campaign's next call.
    ///
    /// - Parameter decided: gets the batch and Redis' reply, on the loop. It is called once for a whole batch: the closure of the batch's
    ///   first claim is used, and those of the others are ignored.
    func add(
        _ request: ClaimRequest, to campaign: CachedCampaign, _ stamp: @autoclosure () -> CacheLease.Stamp,
        decided: @escaping (ClaimBatch, Result<RedisValue, RedisError>) -> Void
    ) {
        eventLoop.assertInEventLoop()
        guard let batch = campaign.openBatch else {
            let batch = ClaimBatch(campaign, stamp())
            batch.requests.append(request)
            batch.decided = decided
            campaign.openBatch = batch
            if open.isEmpty { eventLoop.assumeIsolated().execute { self.sendAll() } }
            open.append(batch)
            return
        }
        batch.requests.append(request)
        // A full batch is sent with the others of the tick, in order; the campaign's next claim opens another batch.
        if batch.requests.count == CouponGate.claimsPerCall { campaign.openBatch = nil }
    }

    /// Sends every batch. Runs as a task of the loop, which the loop executes after it has read all sockets readable in this tick.
    private func sendAll() {
        // A call that fails at once may complete a request whose client sends another claim, which then opens a batch in `open`.
        swap(&open, &spare)
        for batch in spare { send(batch) }
        spare.removeAll(keepingCapacity: true)
    }

    private func send(_ batch: ClaimBatch) {
        guard let decided = batch.decided else { return }
        batch.decided = nil
        if batch.campaign.openBatch === batch { batch.campaign.openBatch = nil }
        sizes.record(batch.requests.count)
        let users = batch.requests.map(\.user.rawValue)
        redis.send(RedisCommand(batch.campaign.call, arguments: users)) { decided(batch, $0) }
    }
}
