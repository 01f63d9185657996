import Commerce
import EventLoops
import NIOCore
import Redis
import Store

/// A claim that Redis has to decide.
struct ClaimRequest: Sendable {
    let coupon: CouponID
    let user: UserID
    let idempotency: IdempotentWrite<IssuedCoupon>?
    /// How often the claim may still be decided: each repair of the gate decides it anew.
    var attemptsLeft: Int
    let completion: @Sendable (ClaimOutcome) -> Void
}

/// The claims of one campaign that leave an event loop in one call, in the order of their arrival.
final class ClaimBatch {
    let campaign: CachedCampaign
    /// When the first of them asked.
    let stamp: CacheLease.Stamp
    fileprivate(set) var requests: [ClaimRequest] = []
    /// Takes the reply; nil once the call was sent.
    fileprivate var decided: ((ClaimBatch, Result<RedisValue, RedisError>) -> Void)?

    fileprivate init(_ campaign: CachedCampaign, _ stamp: CacheLease.Stamp) { (self.campaign, self.stamp) = (campaign, stamp) }
}

/// Sends the claims of one event loop to Redis: those of one campaign that arrive within one tick of the loop leave as one call of
/// `claim_coupon`, at most 256 together.
///
/// Safety of `@unchecked Sendable`: touched on the loop alone, which every entry asserts; the counters are atomics.
final class ClaimBatcher: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let redis: RedisConnection
    /// The batches of this tick.
    private var open: [ClaimBatch] = []
    private var spare: [ClaimBatch] = []
    private let calls = LoopCounter()
    private let claims = LoopCounter()

    init(eventLoop: any EventLoop, redis: RedisConnection) { (self.eventLoop, self.redis) = (eventLoop, redis) }

    /// Calls of `claim_coupon` that were sent. Readable anywhere.
    var callCount: Int { calls.value }
    /// The claims in them. Readable anywhere.
    var claimCount: Int { claims.value }

    /// Adds a claim to its campaign's next call. `decided` gets the batch and Redis' reply, on the loop; that of the batch's first claim
    /// is called for all of them.
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
        // A full batch leaves with the others of the tick, in order; the next claim opens another one.
        if batch.requests.count == CouponGate.claimsPerCall { campaign.openBatch = nil }
    }

    /// Runs as a task of the loop alone, after it has read every socket that was readable in this tick.
    private func sendAll() {
        // A call that fails at once may answer a client whose next claim opens a batch of the next tick.
        swap(&open, &spare)
        for batch in spare { send(batch) }
        spare.removeAll(keepingCapacity: true)
    }

    private func send(_ batch: ClaimBatch) {
        guard let decided = batch.decided else { return }
        batch.decided = nil
        if batch.campaign.openBatch === batch { batch.campaign.openBatch = nil }
        calls.add()
        claims.add(batch.requests.count)
        let users = batch.requests.map(\.user.rawValue)
        redis.send(RedisCommand(batch.campaign.call, arguments: users)) { decided(batch, $0) }
    }
}
