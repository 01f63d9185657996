package import EventLoopTasks
package import NIOCore
package import Redis
package import Store

/// What belongs to one event loop: its Redis connection, its reader of the store, and the way back from the store's writer.
///
/// A claim that uses the context of the loop it arrived on never changes threads between its socket and Redis.
package final class LoopContext: DeliveryContext, Sendable {
    package let eventLoop: any EventLoop
    package let redis: RedisConnection
    package let reader: PointReader
    /// For tasks that begin outside a request's own and shall stay on the loop.
    package let executor: EventLoopExecutor

    /// What this loop has lately seen of campaigns that are sold out.
    package let soldOut: SoldOutCampaigns

    init(eventLoop: any EventLoop, redis: RedisConnection, reader: PointReader) {
        (self.eventLoop, self.redis, self.reader) = (eventLoop, redis, reader)
        soldOut = SoldOutCampaigns(eventLoop: eventLoop)
        executor = EventLoopExecutor(eventLoop: eventLoop)
    }

    package func deliver(_ work: @escaping @Sendable () -> Void) {
        eventLoop.execute(work)
    }
}
