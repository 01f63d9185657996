import AsyncHTTPClient
package import Commerce
package import Logging
package import NIOCore
package import Redis
package import Store
import Synchronization

/// How the services are set up.
package struct ServicesConfiguration: Sendable {
    package var policy: Policy
    package var calendar: BusinessCalendar
    package var clock: WallClock
    /// The least time between two unions of the ranking.
    package var rankingRefresh: Duration = .seconds(1)
    /// How often gates and store are compared when nothing has happened to either.
    package var recoveryInterval: Duration = .seconds(10)
    /// How long after its end a campaign keeps its gate in Redis.
    package var archiveAfter: Duration = .seconds(86_400)
    /// How long a delivered event is kept in the store, see ``Retention``.
    package var keepEvents: Duration = .seconds(90 * 86_400)
    /// How long a value that an event loop caches counts, see ``CacheLease``: as long as `Retry-After` has clients wait, and long
    /// beside the time between two claims, also where they spread over thousands of campaigns. Zero has each claim ask Redis.
    package var cacheLease: Duration = .seconds(1)
    /// `nil` sends events to the Redis stream.
    package var platform: DataPlatform?
    /// Brings a private Redis back when it is gone; `nil` where Redis is somebody else's.
    package var privateRedis: PrivateRedis?

    package init(policy: Policy = Policy(), calendar: BusinessCalendar, clock: WallClock = .system) {
        (self.policy, self.calendar, self.clock) = (policy, calendar, clock)
    }
}

/// Every use case that joins Redis and the store, and the background work that keeps the two together.
package final class Services: Sendable {
    package let configuration: ServicesConfiguration
    package let store: Store
    package let redis: RedisClient
    package let claims: Claims
    package let campaigns: Campaigns
    package let ranking: Ranking
    package let views: ViewCounter

    private let contexts: [LoopContext]
    private let recovery: ClaimRecovery
    private let relay: SalesRelay
    private let delivery: EventDelivery
    private let retention: Retention
    private let reader: PointReader
    private let httpClient: HTTPClient?
    private let logger: Logger
    private let background = Mutex<Task<Void, Never>?>(nil)
    /// Whether the Redis that is connected may be used; false until it was asked.
    private let isSuitable = Atomic<Bool>(false)
    /// Why the Redis must not be used that serves another store; nil where it serves this one.
    private let foreignRedis = Mutex<String?>(nil)
    /// Whether the ranking was computed since the relay has caught up for the first time.
    private let isRankingCurrent = Atomic<Bool>(false)
    /// Whether the service is about to stop, which it says by `/readyz`.
    private let isEnding = Atomic<Bool>(false)

    /// - Parameter redis: made for the loops of `eventLoopGroup`, with ``Scripts/all``.
    package init(
        configuration: ServicesConfiguration, store: Store, redis: RedisClient, eventLoopGroup: any EventLoopGroup, logger: Logger
    ) throws(StoreError) {
        let (calendar, clock) = (configuration.calendar, configuration.clock)
        let reader = try store.makePointReader()
        let lease = CacheLease(length: TimeAmount(configuration.cacheLease))
        var contexts: [LoopContext] = []
        for loop in eventLoopGroup.makeIterator() {
            contexts.append(try LoopContext(eventLoop: loop, redis: redis.connection(on: loop), store: store, lease: lease))
        }
        let campaigns = Campaigns(store: store, reader: reader, redis: redis, logger: logger)
        let client = configuration.platform.map { _ in WebhookSink.makeClient(on: eventLoopGroup) }
        let sink: any EventSink
        if let platform = configuration.platform, let client {
            sink = WebhookSink(platform: platform, client: client)
        } else {
            sink = StreamSink(redis: redis)
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
        recovery = ClaimRecovery(
            store: store, redis: redis, campaigns: campaigns, clock: clock, archiveAfter: configuration.archiveAfter, logger: logger)
        let rebuild = SalesRebuild(store: store, redis: redis, calendar: calendar, clock: clock, logger: logger)
        relay = SalesRelay(
            store: store, reader: reader, redis: redis, rebuild: rebuild, calendar: calendar, clock: clock, logger: logger)
        var delivery = EventDelivery(store: store, sink: sink, clock: clock, logger: logger)
        if let platform = configuration.platform { delivery.maximumTries = platform.maximumTries }
        self.delivery = delivery
        retention = Retention(store: store, clock: clock, keepEvents: configuration.keepEvents)
    }

    /// What belongs to the loop, which has to be one of the group the services were made with.
    package func context(for eventLoop: any EventLoop) -> LoopContext {
        // A machine has few loops: looking along them costs less than hashing.
        for context in contexts where context.eventLoop === eventLoop { return context }
        preconditionFailure("the event loop is not one of this service's")
    }

    /// Begins the background work, which goes on until ``stop()``: recovery of what a crash left behind, relay, ranking, delivery.
    ///
    /// Returns at once, however much there is to recover: ``readiness()`` says when the gates are there. The top products are computed
    /// once before, by one call of Redis, so that nobody is shown an empty list.
    ///
    /// - Throws: `ServiceError` with code `unsuitableRedis` where Redis answers and must not be used. A Redis that does not answer
    ///   is waited for in the background.
    package func start() async throws {
        do {
            try await checkRedis()
            try await ranking.refresh()
        } catch let error as ServiceError where error.code == .unsuitableRedis {
            throw error
        } catch let error as ServiceError where error.code == .foreignRedis {
            // Said already. All that needs no Redis is served, until an operator decides.
        } catch {
            logger.warning("Redis does not answer yet, recovery waits for it", metadata: ["error": "\(error)"])
        }
        // Before the first look at the gates: a connection that is made from here on is followed, whichever of the two comes first.
        let connects = redis.connectEvents()
        background.withLock { $0 = Task { await self.work(following: connects) } }
    }

    /// Ends the background work and waits for it.
    package func stop() async {
        let task = background.withLock { $0.take() }
        task?.cancel()
        await task?.value
        // Views are the only thing that waits in memory.
        try? await views.flush()
        try? await httpClient?.shutdown()
    }
}

// MARK: - Background work

extension Services {
    private func work(following connects: AsyncStream<RedisClient.ConnectEvent>) async {
        await withTaskGroup { group in
            group.addTask { await self.follow(connects) }
            group.addTask { await self.recoverRegularly() }
            group.addTask { await self.refreshRanking() }
            group.addTask { await self.keepPrivateRedis() }
            for task in regularWork {
                group.addTask { [logger] in await periodically(task.name, every: task.interval, logger: logger, task.step) }
            }
        }
    }

    private typealias RegularWork = (name: String, interval: Duration, step: @Sendable () async throws -> Void)

    private var regularWork: [RegularWork] {
        let (store, clock) = (store, configuration.clock)
        return [
            (
                "sales relay", .milliseconds(25),
                { [self] in
                    try await relay.step()
                    // With a long --ranking-refresh the next union may be far: the first one after a start waits for the relay.
                    if !isRankingCurrent.load(ordering: .relaxed) {
                        try await ranking.refresh()
                        isRankingCurrent.store(true, ordering: .relaxed)
                    }
                }
            ),
            ("event delivery", .milliseconds(50), { [delivery] in try await delivery.step() }),
            ("view counts", .milliseconds(500), { [views] in try await views.flush() }),
            (
                "order expiry", .milliseconds(100),
                {
                    guard let next = try await store.nextExpiry(), next <= clock.now else { return }
                    while try await store.expireOrders(at: clock.now) > 0 {}
                }
            ),
            ("retention", .seconds(60), { [retention] in try await retention.step() }),
        ]
    }

    /// A connection that comes back may lead to another Redis, or to one that has forgotten something.
    ///
    /// Nothing counts any more at once, also while the recovery after the last reconnect runs: that one is ended, and another begins.
    private func follow(_ connects: AsyncStream<RedisClient.ConnectEvent>) async {
        var latest: Task<Void, Never>?
        for await _ in connects {
            recovery.forgetStates()
            relay.forgetOffset()
            let former = latest
            former?.cancel()
            latest = Task {
                await former?.value
                await self.recoverAfterReconnect()
            }
        }
        latest?.cancel()
        await latest?.value
    }

    private func recoverAfterReconnect() async {
        if Task.isCancelled { return }
        let backoff = Backoff(firstMilliseconds: 50, longestMilliseconds: 1_000)
        for failures in 1...Int64.max {
            do {
                return try await recover()
            } catch {
                if Task.isCancelled { return }
                let isUnsuitable = (error as? ServiceError)?.code == .unsuitableRedis
                if isUnsuitable || failures == 1 {
                    logger.log(
                        level: isUnsuitable ? .error : .warning, "recovery after a reconnect failed", metadata: ["error": "\(error)"])
                }
                // Without a connection the next one is waited for; an unsuitable server is looked at again with the regular recovery.
                if isUnsuitable || !redis.isConnected { return }
                try? await Task.sleep(for: .milliseconds(backoff.milliseconds(afterFailures: failures)))
            }
        }
    }

    private func recoverRegularly() async {
        let interval = configuration.recoveryInterval
        do {
            try await recover()
            try? await Task.sleep(for: interval)
        } catch {
            // What the first look has left undone does not wait for the interval.
            logger.warning("recovery at the start failed, trying again", metadata: ["error": "\(error)"])
        }
        await periodically("recovery", every: interval, logger: logger) { [self] in
            relay.forgetOffset()
            try await recover()
        }
    }

    /// Compares in full what was not compared since the start or the last reconnect, however many tries that takes.
    private func recover() async throws {
        try await checkRedis()
        // A claim whose reply takes longer has been given up by its claimant.
        try await recovery.run(deep: false, grace: .nanoseconds(redis.configuration.commandDeadline.nanoseconds))
        if let missing = recovery.unloadedCampaigns, !missing.isEmpty {
            throw ServiceError(.paused, "\(missing.count) campaigns have no gate yet")
        }
    }

    private func checkRedis() async throws {
        do {
            try await RedisSuitability.check(redis)
            isSuitable.store(true, ordering: .releasing)
            if foreignRedis.withLock({ $0.take() }) != nil { logger.notice("Redis serves this store now") }
        } catch let error as ServiceError where error.code == .unsuitableRedis {
            isSuitable.store(false, ordering: .releasing)
            throw error
        } catch let error as ServiceError where error.code == .foreignRedis {
            let before = foreignRedis.withLock { known in
                defer { known = error.message }
                return known
            }
            if before != error.message {
                logger.error("\(error.message). Claims are refused; `firstcome redis take` has it serve this store")
            }
            throw error
        }
    }

    /// Unions no more often than asked for, and leaves Redis at least nineteen times as long alone as a union takes.
    private func refreshRanking() async {
        let (ranking, least) = (ranking, configuration.rankingRefresh)
        await withTaskGroup { group in
            group.addTask { [logger] in
                await periodically("ranking", every: least, logger: logger) {
                    let start = ContinuousClock.now
                    try await ranking.refresh(sharing: least)
                    try await Task.sleep(for: (ContinuousClock.now - start) * 19)
                }
            }
            guard least > .seconds(1) else { return }
            group.addTask { [logger] in
                await periodically("ranked products", every: .seconds(1), logger: logger) { try ranking.refreshDetails() }
            }
        }
    }

    private func keepPrivateRedis() async {
        guard let privateRedis = configuration.privateRedis else { return }
        await periodically("private Redis", every: .milliseconds(200), logger: logger) { [redis, logger] in
            guard !redis.isConnected else { return }
            if try await privateRedis.ensureRunning(logger: logger) {
                logger.warning("the private redis-server had ended and was started again")
            }
        }
    }
}

// MARK: - How the services are doing

/// Whether the service can do all that it is there for.
package struct Readiness: Sendable, Equatable {
    package let storeAnswers: Bool
    package let redisAnswers: Bool
    /// Whether the Redis serves another store, or another incarnation of this one.
    package let isRedisForeign: Bool
    /// Open campaigns without an open gate of the store's epoch; `nil` before the first look at them.
    package let unloadedCampaigns: [CouponID]?
    /// How many open campaigns have a gate that was not compared with the store yet; `nil` before the first look at them.
    package let uncomparedCampaigns: Int?
    /// Whether the service is about to stop.
    package let isEnding: Bool

    /// A gate that was loaded may miss claims or hold some that the store never heard of, after a crash or a failover. So the service is
    /// ready when every open campaign's gate is loaded and was compared; closed campaigns follow in the background.
    package var isReady: Bool {
        !isEnding && storeAnswers && redisAnswers && unloadedCampaigns?.isEmpty == true && uncomparedCampaigns == 0
    }
}

extension Services {
    /// Asks store and Redis; takes no longer than Redis' command deadline.
    package func readiness() async -> Readiness {
        // No event yet is an answer too, which `try?` on an optional would hide.
        let storeAnswers = (try? reader.campaign(CouponID(0)).map { _ in () } ?? ()) != nil
        let answer = try? await redis.send(RedisCommand("PING", isRepeatable: true))
        return Readiness(
            storeAnswers: storeAnswers, redisAnswers: answer?.string == "PONG" && isSuitable.load(ordering: .acquiring),
            isRedisForeign: foreignRedis.withLock { $0 != nil },
            unloadedCampaigns: recovery.unloadedCampaigns, uncomparedCampaigns: recovery.uncomparedCampaigns,
            isEnding: isEnding.load(ordering: .acquiring))
    }

    /// Has ``readiness()`` say from now on that the service is about to stop; it works as before.
    package func announceEnd() { isEnding.store(true, ordering: .releasing) }

    /// The numbers of store, Redis client and background work.
    package func metrics() -> [Metric] {
        let (store, redis) = (store.statistics, redis.statistics)
        let (calls, claims) = contexts.reduce((0, 0)) { ($0.0 + $1.batcher.callCount, $0.1 + $1.batcher.claimCount) }
        return [
            Metric("firstcome_store_commits_total", .counter, "Committed groups of writes.", store.groups),
            Metric("firstcome_store_writes_total", .counter, "Writes in committed groups.", store.jobs),
            Metric("firstcome_store_queue_depth", .gauge, "Writes that wait for their commit.", store.queueDepth),
            Metric("firstcome_store_overloaded_total", .counter, "Writes turned away because the queue was full.", store.refusedOverload),
            Metric(
                "firstcome_store_reads", .gauge, "Reads that wait or run, by lane.",
                samples: ReadLane.allCases.map { ([("lane", $0.rawValue)], Double(store.reads[$0]?.depth ?? 0)) }),
            Metric(
                "firstcome_store_reads_refused_total", .counter, "Reads turned away because their lane was full.",
                samples: ReadLane.allCases.map { ([("lane", $0.rawValue)], Double(store.reads[$0]?.refused ?? 0)) }),
            Metric(
                "firstcome_store_reads_cancelled_total", .counter, "Reads dropped or ended because their client had hung up.",
                samples: ReadLane.allCases.map { ([("lane", $0.rawValue)], Double(store.reads[$0]?.cancelled ?? 0)) }),
            Metric("firstcome_store_commit_failures_total", .counter, "Groups of which nothing was committed.", store.commitFailures),
            Metric("firstcome_store_wal_bytes", .gauge, "Size of the write-ahead log.", store.walBytes),
            Metric("firstcome_redis_commands_total", .counter, "Commands sent to Redis.", redis.sent),
            Metric("firstcome_claims_asked_total", .counter, "Claims that Redis decided; the others were answered from memory.", claims),
            Metric("firstcome_claim_calls_total", .counter, "Calls of claim_coupon; one decides the claims of one tick.", calls),
            Metric("firstcome_redis_pending", .gauge, "Commands that wait for their reply.", redis.pending),
            Metric("firstcome_redis_reconnects_total", .counter, "Connections made after the first.", redis.reconnects),
            Metric("firstcome_redis_overloaded_total", .counter, "Commands turned away because the queue was full.", redis.overloaded),
            Metric(
                "firstcome_redis_unknown_outcomes_total", .counter, "Commands whose reply was lost.", redis.unknownOutcomes + redis.timedOut
            ),
            Metric("firstcome_ranking_lag_events", .gauge, "Events that the ranking has not counted; -1 while unknown.", relay.lag ?? -1),
            Metric(
                "firstcome_campaigns_unloaded", .gauge, "Open campaigns without a loaded gate.", recovery.unloadedCampaigns?.count ?? 0),
            Metric(
                "firstcome_campaigns_uncompared", .gauge,
                "Open campaigns whose gate was not compared with the store since the start or the last reconnect.",
                recovery.uncomparedCampaigns ?? 0),
            Metric(
                "firstcome_recovery_claims_compared_total", .counter, "Claims of gates and store read to compare them.",
                recovery.comparedClaims),
        ]
    }
}
