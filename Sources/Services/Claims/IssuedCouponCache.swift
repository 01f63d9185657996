package import Commerce
import NIOCore
import Redis
import Store

/// Caches the coupons of users who claim again; a user who does so once usually repeats it.
///
/// ``CacheLease`` decides how long an entry is valid. An outdated entry is read from the store again, without asking Redis: a user never
/// loses a coupon that has been issued.
///
/// Safety of `@unchecked Sendable`: only touched on the event loop, which every entry asserts.
package final class IssuedCouponCache: @unchecked Sendable {
    /// A coupon as it was read from the store. A class, so that passing it on costs one retain, and so that a rendered answer can be
    /// recognized by the entry's identity.
    package final class Entry: Sendable {
        package let issued: IssuedCoupon
        fileprivate let stamp: CacheLease.Stamp

        fileprivate init(_ issued: IssuedCoupon, _ stamp: CacheLease.Stamp) { (self.issued, self.stamp) = (issued, stamp) }

        /// An entry that is passed on and not cached.
        init(uncached issued: IssuedCoupon) {
            self.issued = issued
            stamp = CacheLease.Stamp(askedAt: .uptimeNanoseconds(0), origin: CacheLease.Origin(rowVersion: .max, connectCount: 0))
        }
    }

    /// The key of the cache. It holds raw ids: comparing those takes two instructions, comparing typed ids a generic call.
    private struct Owner: Equatable {
        let coupon: Int64
        let user: Int64

        init(_ coupon: CouponID, _ user: UserID) { (self.coupon, self.user) = (coupon.rawValue, user.rawValue) }
    }

    private let eventLoop: any EventLoop
    private let delivery: LoopDelivery
    private let store: TransactionalStore
    private let reader: PointReader
    private let redis: RedisConnection
    private let lease: CacheLease
    private var entries = SlotCache<Owner, Entry>(capacity: 8_192)

    init(
        eventLoop: any EventLoop, delivery: LoopDelivery, store: TransactionalStore, reader: PointReader, redis: RedisConnection,
        lease: CacheLease
    ) {
        (self.eventLoop, self.delivery) = (eventLoop, delivery)
        (self.store, self.reader, self.redis, self.lease) = (store, reader, redis, lease)
    }

    /// The user's coupon of the campaign, if it is cached; nil does not mean that the user has none.
    func known(of coupon: CouponID, for user: UserID, at now: NIODeadline) throws(StoreError) -> Cached<Entry?> {
        eventLoop.assertInEventLoop()
        guard let entry = entries[key: Owner(coupon, user), hash: hash(coupon, user)] else { return .now(nil) }
        if lease.isValid(entry.stamp, at: now, for: origin(of: entry.issued.id)) { return .now(entry) }
        return try read(of: coupon, for: user, at: now)
    }

    /// The user's coupon of the campaign, read from the store; nil where the user has none.
    func read(of coupon: CouponID, for user: UserID, at now: NIODeadline) throws(StoreError) -> Cached<Entry?> {
        eventLoop.assertInEventLoop()
        let connectCount = redis.connectCount
        let reading = store.rowVersions.beginReading()
        switch try reader.find(couponOf: coupon, user: user, on: delivery) {
        case .now(let row):
            guard let row else { return .now(nil) }
            return .now(keep(row, of: coupon, for: user, at: now, reading, connectCount))
        case .later(let begin):
            return .later { [self] completion in
                let completion = NIOLoopBound(completion, eventLoop: eventLoop)
                begin { [self] row in
                    completion.value(row.map { $0.map { keep($0, of: coupon, for: user, at: now, reading, connectCount) } })
                }
            }
        }
    }

    private func keep(
        _ row: IssuedCoupon, of coupon: CouponID, for user: UserID, at now: NIODeadline, _ reading: RowVersions.Reading,
        _ connectCount: Int
    ) -> Entry {
        // Where a commit came during the read, the version is unknown. `.max` is never reached, so the entry counts as outdated.
        let version = store.rowVersions.version(of: row.id.rawValue, in: .issuedCoupons, readSince: reading) ?? .max
        let origin = CacheLease.Origin(rowVersion: version, connectCount: connectCount)
        let entry = Entry(row, CacheLease.Stamp(askedAt: now, origin: origin))
        entries[key: Owner(coupon, user), hash: hash(coupon, user)] = entry
        return entry
    }

    private func origin(of id: IssuedCouponID) -> CacheLease.Origin {
        CacheLease.Origin(rowVersion: store.rowVersions.version(of: id.rawValue, in: .issuedCoupons), connectCount: redis.connectCount)
    }

    /// Users with neighbouring ids take neighbouring slots, and different campaigns begin far apart.
    private func hash(_ coupon: CouponID, _ user: UserID) -> Int64 { user.rawValue &+ coupon.rawValue &* 1_000_003 }
}
