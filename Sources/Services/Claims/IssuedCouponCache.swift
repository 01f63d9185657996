package import Commerce
import NIOCore
import Redis
import Store

/// Caches the coupons of users who claim again; such users usually repeat it.
///
/// ``CacheLease`` says how long a copy counts. An outdated one is read anew from the store, which Redis need not be asked for: a user
/// who has a coupon of a campaign keeps it.
///
/// Safety of `@unchecked Sendable`: touched on the loop alone, which every entry asserts.
package final class IssuedCouponCache: @unchecked Sendable {
    /// A coupon as it was read. A class, so that handing it on takes one reference and that renderings of it can be told apart.
    package final class Entry: Sendable {
        package let issued: IssuedCoupon
        fileprivate let stamp: CacheLease.Stamp

        fileprivate init(_ issued: IssuedCoupon, _ stamp: CacheLease.Stamp) { (self.issued, self.stamp) = (issued, stamp) }

        /// A coupon that is handed on and not kept.
        init(uncached issued: IssuedCoupon) {
            self.issued = issued
            stamp = CacheLease.Stamp(askedAt: .uptimeNanoseconds(0), origin: CacheLease.Origin(rowVersion: .max, connectCount: 0))
        }
    }

    /// The raw ids: comparing them is two instructions, and the generic comparison of typed ids a call.
    private struct Owner: Equatable {
        let coupon: Int64
        let user: Int64

        init(_ coupon: CouponID, _ user: UserID) { (self.coupon, self.user) = (coupon.rawValue, user.rawValue) }
    }

    private let eventLoop: any EventLoop
    private let store: TransactionalStore
    private let reader: PointReader
    private let redis: RedisConnection
    private let lease: CacheLease
    private var entries = SlotCache<Owner, Entry>(capacity: 8_192)

    init(eventLoop: any EventLoop, store: TransactionalStore, reader: PointReader, redis: RedisConnection, lease: CacheLease) {
        self.eventLoop = eventLoop
        (self.store, self.reader, self.redis, self.lease) = (store, reader, redis, lease)
    }

    /// The coupon that the user has of the campaign, where that was read before; nil says nothing about others.
    func known(of coupon: CouponID, for user: UserID, at now: NIODeadline) throws(StoreError) -> Entry? {
        eventLoop.assertInEventLoop()
        guard let entry = entries[key: Owner(coupon, user), hash: hash(coupon, user)] else { return nil }
        if lease.holds(entry.stamp, at: now, for: origin(of: entry.issued.id)) { return entry }
        return try read(of: coupon, for: user, at: now)
    }

    /// The coupon that the user has of the campaign by the store; nil where they have none.
    func read(of coupon: CouponID, for user: UserID, at now: NIODeadline) throws(StoreError) -> Entry? {
        eventLoop.assertInEventLoop()
        let connectCount = redis.connectCount
        let read = try store.rowVersions.versioned(in: .issuedCoupons, id: { $0.id.rawValue }) { () throws(StoreError) in
            try reader.issuedCoupon(of: coupon, userID: user)
        }
        guard let read else { return nil }
        // Where something was committed during the read, no version is certain: the greatest one is never reached, so it is outdated.
        let origin = CacheLease.Origin(rowVersion: read.version ?? .max, connectCount: connectCount)
        let entry = Entry(read.row, CacheLease.Stamp(askedAt: now, origin: origin))
        entries[key: Owner(coupon, user), hash: hash(coupon, user)] = entry
        return entry
    }

    private func origin(of id: IssuedCouponID) -> CacheLease.Origin {
        CacheLease.Origin(rowVersion: store.rowVersions.version(of: id.rawValue, in: .issuedCoupons), connectCount: redis.connectCount)
    }

    /// Neighbours in one campaign take neighbouring slots, and campaigns begin far apart.
    private func hash(_ coupon: CouponID, _ user: UserID) -> Int64 { user.rawValue &+ coupon.rawValue &* 1_000_003 }
}
