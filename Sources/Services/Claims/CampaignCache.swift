import Commerce
import NIOCore
import Redis
import Store

/// The campaigns that one event loop has cached: the store's terms, the gate's last refusal and the holders of coupons. Most refused
/// claims are answered from here.
///
/// A campaign that the store does not know is never cached. ``CacheLease`` decides how long a value is valid.
///
/// Safety of `@unchecked Sendable`: only touched on the event loop, which every entry asserts.
package final class CampaignCache: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let store: TransactionalStore
    private let reader: PointReader
    private let redis: RedisConnection
    private let lease: CacheLease
    private var campaigns = SlotCache<Int64, CachedCampaign>(capacity: 4_096)
    private let delivery: LoopDelivery
    /// Who waits for terms that the store was asked for, in the order of their requests.
    private var readings: [CouponID: [WaitingClaim]] = [:]

    private struct WaitingClaim {
        let stamp: CacheLease.Stamp
        let shares: Bool
        let completion: (Result<CachedCampaign?, StoreError>) -> Void
    }

    /// The memory that the holders of all campaigns may take together. Beyond it, the holders of the campaigns whose last refusal is
    /// oldest are dropped.
    private let maximumHolderBytes: Int

    init(
        eventLoop: any EventLoop, delivery: LoopDelivery, store: TransactionalStore, reader: PointReader, redis: RedisConnection,
        lease: CacheLease, maximumHolderBytes: Int = 16 << 20
    ) {
        (self.eventLoop, self.delivery) = (eventLoop, delivery)
        (self.store, self.reader, self.redis, self.lease) = (store, reader, redis, lease)
        self.maximumHolderBytes = maximumHolderBytes
    }

    /// The campaign with valid terms, read from the store where none are cached; nil where the store has no such campaign.
    func campaign(_ coupon: CouponID, at now: NIODeadline) throws(StoreError) -> Cached<CachedCampaign?> {
        eventLoop.assertInEventLoop()
        let origin = origin(of: coupon)
        let known = campaigns[key: coupon.rawValue, hash: coupon.rawValue]
        if let known, lease.isValid(known.stamp, at: now, for: origin) { return .now(known) }
        return try read(coupon, CacheLease.Stamp(askedAt: now, origin: origin), sharing: true)
    }

    /// Reads the terms from the store again, after the gate was found to disagree with the cached ones.
    func reread(_ campaign: CachedCampaign, at now: NIODeadline) throws(StoreError) -> Cached<CachedCampaign?> {
        try read(campaign.coupon, CacheLease.Stamp(askedAt: now, origin: origin(of: campaign.coupon)), sharing: false)
    }

    /// - Parameter sharing: whether terms that another caller is about to get will do, if they are valid.
    private func read(_ coupon: CouponID, _ stamp: CacheLease.Stamp, sharing: Bool) throws(StoreError) -> Cached<CachedCampaign?> {
        switch try reader.find(campaign: coupon, on: delivery) {
        case .now(let row): return .now(keep(row, coupon, stamp))
        case .later(let begin):
            return .later { [self] completion in
                ask(coupon, under: stamp, for: [WaitingClaim(stamp: stamp, shares: sharing, completion: completion)], begin)
            }
        }
    }

    /// Asks the store for the terms, unless it is being asked: then the claims wait behind those who wait already, so that claims keep the
    /// order in which they came.
    private func ask(
        _ coupon: CouponID, under stamp: CacheLease.Stamp, for waiting: [WaitingClaim],
        _ begin: (_ completion: @escaping @Sendable (Result<Campaign?, StoreError>) -> Void) -> Void
    ) {
        guard readings[coupon]?.append(contentsOf: waiting) == nil else { return }
        readings[coupon] = waiting
        begin { [self] row in received(row, of: coupon, askedUnder: stamp) }
    }

    private func keep(_ row: Campaign?, _ coupon: CouponID, _ stamp: CacheLease.Stamp) -> CachedCampaign? {
        let known = campaigns[key: coupon.rawValue, hash: coupon.rawValue]
        guard let row else {
            campaigns[key: coupon.rawValue, hash: coupon.rawValue] = nil
            return nil
        }
        guard let known else {
            let campaign = CachedCampaign(row, stamp, of: store.identity, lease: lease)
            campaigns[key: coupon.rawValue, hash: coupon.rawValue] = campaign
            return campaign
        }
        known.update(row, stamp)
        return known
    }

    /// Answers those who wait for the campaign, in their order. For the first one for whom these terms will not do, the store is asked
    /// again, and those behind wait for that.
    private func received(_ row: Result<Campaign?, StoreError>, of coupon: CouponID, askedUnder stamp: CacheLease.Stamp) {
        eventLoop.assertInEventLoop()
        let waiting = readings.removeValue(forKey: coupon) ?? []
        let campaign = row.map { keep($0, coupon, stamp) }
        var rest = waiting[...]
        while let next = rest.first {
            let isAsker = rest.startIndex == 0
            guard isAsker || next.shares && lease.isValid(stamp, at: next.stamp.askedAt, for: next.stamp.origin) else { break }
            rest.removeFirst()
            next.completion(campaign)
        }
        guard let next = rest.first else { return }
        do {
            guard case .later(let begin) = try reader.find(campaign: coupon, on: delivery) else { return }
            ask(coupon, under: next.stamp, for: Array(rest), begin)
        } catch {
            for waiting in rest { waiting.completion(.failure(error)) }
        }
    }

    /// The stamp of a value of the campaign that is requested now.
    func stamp(of coupon: CouponID, at now: NIODeadline) -> CacheLease.Stamp {
        CacheLease.Stamp(askedAt: now, origin: origin(of: coupon))
    }

    private func origin(of coupon: CouponID) -> CacheLease.Origin {
        CacheLease.Origin(
            rowVersion: store.rowVersions.version(of: coupon.rawValue, in: .campaigns), connectCount: redis.connectCount)
    }

    /// Caches the holders that were read for a campaign, and drops those of other campaigns where all together take too much memory.
    func keep(_ holders: HolderSet?, of campaign: CachedCampaign, for reading: CachedCampaign.HolderReading) {
        eventLoop.assertInEventLoop()
        campaign.keep(holders, for: reading, origin: origin(of: campaign.coupon))
        let others = campaigns.all.filter { $0 !== campaign && $0.holderBytes > 0 }
        var bytes = others.reduce(campaign.holderBytes) { $0 + $1.holderBytes }
        guard bytes > maximumHolderBytes else { return }
        for other in others.sorted(by: { $0.refusedAt < $1.refusedAt }) where bytes > maximumHolderBytes {
            bytes -= other.holderBytes
            other.dropHolders()
        }
    }
}

/// A campaign in an event loop's ``CampaignCache``. Only touched on that loop.
final class CachedCampaign {
    let coupon: CouponID
    /// The encoded call of `claim_coupon`; a batch adds the user ids.
    let call: RedisPreparedCall
    private(set) var terms: GateTerms
    private(set) var stamp: CacheLease.Stamp
    /// The batch that collects the claims of this tick; nil where there is none, or where it is full.
    var openBatch: ClaimBatch?

    private let lease: CacheLease
    /// Coupons with a row in the store when the terms were read.
    private var issued: Int64
    private var refusal: GateRefusal?
    private var holders: HolderSet?
    /// Refusals of the gate since the holders were last requested, see ``note(_:_:)``.
    private var refusals: Int64 = 0
    private var isReadingHolders = false
    /// Counts how often the gate's answers were dropped. Holders that were requested before the last time are not cached.
    private var generation: UInt64 = 0

    /// A refusal that the gate gave on the store's own terms.
    private struct GateRefusal {
        let reason: CouponGate.RefusalTerms.Reason
        let stamp: CacheLease.Stamp
        /// When the refusal ends by itself.
        let until: NIODeadline
        var isBeingRenewed = false
    }

    /// A campaign with more coupons than this asks the gate for each claim.
    static let maximumHolders: Int64 = 2_000_000
    /// Reading 50 holders costs Redis and this service about as much as one claim (measured).
    private static let holdersPerRefusal: Int64 = 50

    fileprivate init(_ row: Campaign, _ stamp: CacheLease.Stamp, of identity: StoreIdentity, lease: CacheLease) {
        (coupon, self.lease) = (row.id, lease)
        call = RedisPreparedCall(
            Scripts.claimCoupon, keys: CouponGate.keys(coupon), arguments: [.string(identity.description)])
        (terms, self.stamp, issued) = (GateTerms(row), stamp, row.issued)
    }

    fileprivate func update(_ row: Campaign, _ stamp: CacheLease.Stamp) {
        let terms = GateTerms(row)
        if terms != self.terms || stamp.origin != self.stamp.origin { forgetGate() }
        (self.terms, self.stamp, issued) = (terms, stamp, row.issued)
    }

    /// Drops everything that the gate has answered.
    private func forgetGate() {
        (refusal, holders, refusals, isReadingHolders) = (nil, nil, 0, false)
        generation += 1
    }

    /// The refusal that the gate would give to a user who holds no coupon, where that is certain.
    ///
    /// In the second half of the lease one caller gets nil, and renews the refusal by asking the gate.
    func refusal(of user: UserID, at now: NIODeadline) -> CouponGate.RefusalTerms.Reason? {
        guard let refusal, let holders, !holders.contains(user), now < refusal.until,
            lease.isValid(refusal.stamp, at: now, for: stamp.origin)
        else { return nil }
        if !refusal.isBeingRenewed, lease.isSecondHalf(of: refusal.stamp, at: now) {
            self.refusal?.isBeingRenewed = true
            return nil
        }
        return refusal.reason
    }

    /// Caches a refusal that the gate gave on the store's own terms to a claim that was requested at the stamp's time.
    ///
    /// - Returns: a request to read the holders, once reading them costs no more than the refusals so far did; nil before that, and
    ///   while they are being read.
    func note(_ terms: CouponGate.RefusalTerms, _ stamp: CacheLease.Stamp) -> HolderReading? {
        guard stamp.origin == self.stamp.origin else { return nil }
        if let last = refusal, last.reason == terms.reason, lease.isValid(last.stamp, at: stamp.askedAt, for: stamp.origin) {
            guard stamp.askedAt >= last.stamp.askedAt else { return nil }
        } else if refusal != nil {
            // While one refusal follows another within the lease, no user can have won. After a gap the holders must be read again.
            forgetGate()
        }
        refusal = GateRefusal(reason: terms.reason, stamp: stamp, until: end(of: terms, askedAt: stamp.askedAt))
        guard holders == nil, !isReadingHolders, lease.length > .zero else { return nil }
        let isSoldOut = terms.reason == .soldOut(quantity: self.terms.quantity)
        let expected = isSoldOut ? self.terms.quantity : issued
        guard expected <= Self.maximumHolders else { return nil }
        refusals += 1
        guard refusals * Self.holdersPerRefusal >= expected else { return nil }
        (refusals, isReadingHolders) = (0, true)
        return HolderReading(generation: generation, isAllOfQuantity: isSoldOut)
    }

    /// When a refusal *not open* ends: the time of the request plus (opensAt - Redis' time of the answer). Other refusals have no end.
    private func end(of terms: CouponGate.RefusalTerms, askedAt: NIODeadline) -> NIODeadline {
        guard case .notOpen(let opensAt) = terms.reason else { return .distantFuture }
        return askedAt + .milliseconds(opensAt.milliseconds - terms.at.milliseconds)
    }

    /// A request to read the holders of the gate's coupons, made while the gate refuses everybody else.
    struct HolderReading: Sendable {
        fileprivate let generation: UInt64
        /// Whether the gate is sold out, so that it must have as many holders as the campaign has coupons.
        fileprivate let isAllOfQuantity: Bool
    }

    /// Caches the holders, unless the gate may have changed since the reading began or has lost some of them.
    fileprivate func keep(_ holders: HolderSet?, for reading: HolderReading, origin: CacheLease.Origin) {
        guard reading.generation == generation else { return }
        isReadingHolders = false
        guard let holders, origin == stamp.origin else { return }
        let count = Int64(holders.count)
        guard reading.isAllOfQuantity ? count == terms.quantity : count >= issued else { return }
        self.holders = holders
    }

    fileprivate var holderBytes: Int { holders?.bytes ?? 0 }
    fileprivate var refusedAt: NIODeadline { refusal?.stamp.askedAt ?? .uptimeNanoseconds(0) }
    fileprivate func dropHolders() { holders = nil }
}
