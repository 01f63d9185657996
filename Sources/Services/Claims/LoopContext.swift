package import NIOCore
package import Redis
package import Store

/// What belongs to one event loop: a Redis connection, a reader of the store, caches, and the delivery of the writer's results.
///
/// A claim uses the context of the loop it arrived on, so it changes no thread between its socket and Redis.
package final class LoopContext: DeliveryContext, Sendable {
    package let eventLoop: any EventLoop
    package let redis: RedisConnection
    package let reader: PointReader

    let campaigns: CampaignCache
    let issuedCoupons: IssuedCouponCache
    let batcher: ClaimBatcher
    private let store: TransactionalStore
    private let lease: CacheLease

    init(eventLoop: any EventLoop, redis: RedisConnection, store: TransactionalStore, lease: CacheLease) throws(StoreError) {
        let reader = try store.makePointReader()
        (self.eventLoop, self.redis, self.reader, self.store, self.lease) = (eventLoop, redis, reader, store, lease)
        let delivery = LoopDelivery(to: eventLoop)
        campaigns = CampaignCache(
            eventLoop: eventLoop, delivery: delivery, store: store, reader: reader, redis: redis, lease: lease)
        issuedCoupons = IssuedCouponCache(
            eventLoop: eventLoop, delivery: delivery, store: store, reader: reader, redis: redis, lease: lease)
        batcher = ClaimBatcher(eventLoop: eventLoop, redis: redis)
    }

    package func deliver(_ work: @escaping @Sendable () -> Void) {
        eventLoop.execute(work)
    }

    /// The stamp for a copy of a row. Take it before the row is read, see ``CacheLease``.
    package func stamp(of id: Int64, in table: RowVersions.Table, at now: NIODeadline) -> CacheLease.Stamp {
        CacheLease.Stamp(askedAt: now, origin: origin(of: id, in: table))
    }

    /// Whether a cached copy of the row is still valid.
    package func isValid(_ stamp: CacheLease.Stamp, of id: Int64, in table: RowVersions.Table, at now: NIODeadline) -> Bool {
        (store.isOnServer ? sharedLease(of: table) : lease).isValid(stamp, at: now, for: origin(of: id, in: table))
    }

    /// The lease of rows that other services may change. Their changes of a balance are seen at once, so that one is never kept.
    private func sharedLease(of table: RowVersions.Table) -> CacheLease {
        switch table {
        case .campaigns, .issuedCoupons: lease
        case .products: CacheLease(length: min(lease.length, .milliseconds(250)))
        case .users: CacheLease(length: .zero)
        }
    }

    private func origin(of id: Int64, in table: RowVersions.Table) -> CacheLease.Origin {
        CacheLease.Origin(rowVersion: store.rowVersions.version(of: id, in: table), connectCount: redis.connectCount)
    }
}

/// Delivers rows to a loop's caches.
final class LoopDelivery: DeliveryContext, Sendable {
    private let eventLoop: any EventLoop

    init(to eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func deliver(_ work: @escaping @Sendable () -> Void) { eventLoop.execute(work) }
}
