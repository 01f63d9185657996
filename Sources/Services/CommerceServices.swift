import AsyncHTTPClient
import Commerce
package import Logging
package import NIOCore
package import Redis
package import Store
import Synchronization

/// Every use case that joins Redis and the store, and the background work that keeps the two consistent.
///
/// The owner calls ``prepare()``, ``run()`` and ``close()``, in this order.
package final class CommerceServices: Sendable {
    package let configuration: ServicesConfiguration
    package let store: TransactionalStore
    package let redis: RedisClient
    package let claims: Claims
    package let campaigns: Campaigns
    package let grants: Grants
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
    let sealer: WinSealer
    let outbox: OutboxWatch
    let found: FindingCounter
    /// Which of several services on the store does the background duties; nil where this one does them alone.
    let duties: Duties?
    /// Whether the store answers, for metrics; see ``isReady``.
    let storeProbe: LatestRow<Campaign?>
    let backgroundSteps = StepCounter()
    /// Whether the service is about to stop; `/readyz` then answers 503.
    let isEnding = Atomic<Bool>(false)
    let logger: Logger
    private let httpClient: HTTPClient?

    /// - Parameter redis: a client of `eventLoopGroup` that was made with ``Scripts/all``.
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
        let found = FindingCounter(clock: clock)
        let client = configuration.platform.map { WebhookSink.makeClient(for: $0, on: eventLoopGroup) }
        if let platform = configuration.platform, let client {
            let sink = WebhookSink(platform: platform, client: client, clock: clock)
            delivery = .platform(PlatformDelivery(store: store, sink: sink, clock: clock, logger: logger))
        } else {
            delivery = .stream(StreamDelivery(store: store, redis: redis, clock: clock, found: found, logger: logger))
        }
        self.configuration = configuration
        self.store = store
        self.redis = redis
        self.contexts = contexts
        self.reader = reader
        self.campaigns = campaigns
        self.logger = logger
        httpClient = client
        let wins = WinFeed(keepsWins: !store.isOnServer)
        claims = Claims(store: store, campaigns: campaigns, wins: wins)
        grants = Grants(store: store, reader: reader, redis: redis, campaigns: campaigns, wins: wins, clock: clock, logger: logger)
        ranking = Ranking(reader: reader, redis: redis, calendar: calendar, clock: clock)
        views = ViewCounter(redis: redis, calendar: calendar, clock: clock)
        redisCheck = RedisCheck(redis: redis, logger: logger)
        recovery = ClaimRecovery(
            store: store, redis: redis, campaigns: campaigns, clock: clock, archiveAfter: configuration.archiveAfter, found: found,
            wins: wins, logger: logger)
        let rebuild = SalesRebuild(store: store, redis: redis, calendar: calendar, clock: clock, found: found, logger: logger)
        relay = SalesRelay(
            store: store, reader: reader, redis: redis, rebuild: rebuild, calendar: calendar, clock: clock, logger: logger)
        retention = Retention(store: store, clock: clock, keepEvents: configuration.keepEvents)
        expiry = OrderExpiry(store: store, clock: clock)
        sealer = WinSealer(store: store, redis: redis, feed: wins)
        outbox = OutboxWatch(store: store)
        self.found = found
        let wake = Self.wake(relay, delivery, expiry, outbox)
        duties = store.makeDutyLease().map { lease in
            Duties(lease, isRedisConnected: { redis.isConnected }, logger: logger, onDueWork: wake)
        }
        storeProbe = LatestRow { () throws(StoreError) in try Self.probe(reader) }
        // The first scrape of a store on a server finds its answer.
        _ = storeProbe.row
        store.onDueWork(wake)
    }

    /// Wakes the background work that commits have made due.
    private static func wake(
        _ relay: SalesRelay, _ delivery: Delivery, _ expiry: OrderExpiry, _ outbox: OutboxWatch
    ) -> @Sendable (DueWork) -> Void {
        { work in
            switch work {
            case .newEvents:
                relay.wakeup.raise()
                delivery.wakeup.raise()
                outbox.wakeup.raise()
            case .retriedEvents:
                delivery.eventsRetried()
                outbox.wakeup.raise()
            case .orderExpiry(let instant): expiry.orderPlaced(expiringAt: instant)
            }
        }
    }

    /// Has the service report about itself to the others on its store; does nothing where it is alone.
    package func report(by make: @escaping @Sendable () -> ServiceReport) { duties?.report(by: make) }

    /// The context of an event loop, which must belong to the group that was given to the initializer.
    package func context(for eventLoop: any EventLoop) -> LoopContext {
        // There are few loops, so a linear search costs less than hashing.
        for context in contexts where context.eventLoop === eventLoop { return context }
        preconditionFailure("the event loop is not one of this service's")
    }

    /// Checks Redis before the first request, and computes the top products once, so that no client is answered an empty list.
    ///
    /// Sends only a few commands: recovery, which may take long, is part of ``run()``.
    ///
    /// - Throws: `ServiceError` with code `unsuitableRedis` where Redis answers and must not be used. Where it does not answer,
    ///   the background work waits for it.
    package func prepare() async throws {
        do {
            try await redisCheck.run()
            try await ranking.refresh()
        } catch let error as ServiceError where error.code == .unsuitableRedis {
            throw error
        } catch let error as ServiceError where error.code == .foreignRedis {
            // The check has logged it. Requests that need no Redis are served; an operator has to decide the rest.
        } catch {
            logger.log(
                level: error.isLossOfRedis ? .debug : .warning, "Redis does not answer yet, recovery waits for it",
                metadata: ["error": "\(error)"])
        }
    }

    /// Flushes the views that wait in memory and shuts the HTTP client down. Call it after ``run()`` has ended, or where it never began.
    package func close() async {
        // Nothing else waits in memory alone.
        try? await views.flush()
        try? await httpClient?.shutdown()
    }
}
