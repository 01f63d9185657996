import AsyncHTTPClient
package import Logging
package import NIOCore
package import Redis
package import Store
import Synchronization

/// Every use case that joins Redis and the store, and the background work that keeps the two together.
///
/// ``prepare()``, ``run()`` and ``close()`` are called in this order, by whoever owns the services.
package final class CommerceServices: Sendable {
    package let configuration: ServicesConfiguration
    package let store: TransactionalStore
    package let redis: RedisClient
    package let claims: Claims
    package let campaigns: Campaigns
    package let ranking: Ranking
    package let views: ViewCounter

    let contexts: [LoopContext]
    let reader: PointReader
    let redisCheck: RedisCheck
    let recovery: ClaimRecovery
    let relay: SalesRelay
    let delivery: Delivery
    let retention: Retention
    let expiry: OrderExpiry
    let backgroundSteps = StepCounter()
    /// Whether the service is about to stop, which it says by `/readyz`.
    let isEnding = Atomic<Bool>(false)
    let logger: Logger
    private let httpClient: HTTPClient?

    /// - Parameter redis: made for the loops of `eventLoopGroup`, with ``Scripts/all``.
    package init(
        configuration: ServicesConfiguration, store: TransactionalStore, redis: RedisClient, eventLoopGroup: any EventLoopGroup,
        logger: Logger
    ) throws(StoreError) {
        let (calendar, clock) = (configuration.calendar, configuration.clock)
        let reader = try store.makePointReader()
        let lease = CacheLease(length: TimeAmount(configuration.cacheLease))
        var contexts: [LoopContext] = []
        for loop in eventLoopGroup.makeIterator() {
            contexts.append(try LoopContext(eventLoop: loop, redis: redis.connection(on: loop), store: store, lease: lease))
        }
        let campaigns = Campaigns(store: store, reader: reader, redis: redis, logger: logger)
        let client = configuration.platform.map { WebhookSink.makeClient(for: $0, on: eventLoopGroup) }
        if let platform = configuration.platform, let client {
            let sink = WebhookSink(platform: platform, client: client, clock: clock)
            delivery = .platform(EventDelivery(store: store, sink: sink, clock: clock, logger: logger))
        } else {
            delivery = .stream(StreamDelivery(store: store, redis: redis, clock: clock, logger: logger))
        }
        self.configuration = configuration
        self.store = store
        self.redis = redis
        self.contexts = contexts
        self.reader = reader
        self.campaigns = campaigns
        self.logger = logger
        httpClient = client
        claims = Claims(store: store, campaigns: campaigns)
        ranking = Ranking(reader: reader, redis: redis, calendar: calendar, clock: clock)
        views = ViewCounter(redis: redis, calendar: calendar, clock: clock)
        redisCheck = RedisCheck(redis: redis, logger: logger)
        recovery = ClaimRecovery(
            store: store, redis: redis, campaigns: campaigns, clock: clock, archiveAfter: configuration.archiveAfter, logger: logger)
        let rebuild = SalesRebuild(store: store, redis: redis, calendar: calendar, clock: clock, logger: logger)
        relay = SalesRelay(
            store: store, reader: reader, redis: redis, rebuild: rebuild, calendar: calendar, clock: clock, logger: logger)
        retention = Retention(store: store, clock: clock, keepEvents: configuration.keepEvents)
        expiry = OrderExpiry(store: store, clock: clock)
        listen()
    }

    /// Has commits wake the background work that they concern.
    private func listen() {
        store.onDueWork { [relay, delivery, expiry] work in
            switch work {
            case .newEvents:
                relay.wakeup.raise()
                delivery.wakeup.raise()
            case .retriedEvents: delivery.eventsRetried()
            case .orderExpiry(let instant): expiry.orderPlaced(expiringAt: instant)
            }
        }
    }

    /// What belongs to the loop, which has to be one of the group the services were made with.
    package func context(for eventLoop: any EventLoop) -> LoopContext {
        // A machine has few loops: looking along them costs less than hashing.
        for context in contexts where context.eventLoop === eventLoop { return context }
        preconditionFailure("the event loop is not one of this service's")
    }

    /// Looks at the Redis before anybody is served, and computes the top products once, so that nobody is shown an empty list.
    ///
    /// Takes one or two calls of Redis, however much there is to recover: that is up to ``run()``.
    ///
    /// - Throws: `ServiceError` with code `unsuitableRedis` where Redis answers and must not be used. A Redis that does not answer
    ///   is waited for in the background.
    package func prepare() async throws {
        do {
            try await redisCheck.run()
            try await ranking.refresh()
        } catch let error as ServiceError where error.code == .unsuitableRedis {
            throw error
        } catch let error as ServiceError where error.code == .foreignRedis {
            // Said already. All that needs no Redis is served, until an operator decides.
        } catch {
            logger.log(
                level: error.isLossOfRedis ? .debug : .warning, "Redis does not answer yet, recovery waits for it",
                metadata: ["error": "\(error)"])
        }
    }

    /// Writes what waits in memory and gives back what the services hold, after the end of ``run()``, or where it never began.
    package func close() async {
        // Views are the only thing that waits in memory.
        try? await views.flush()
        try? await httpClient?.shutdown()
    }
}
