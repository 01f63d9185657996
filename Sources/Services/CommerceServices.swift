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
package final class CommerceServices: Sendable {
    package let configuration: ServicesConfiguration
    package let store: TransactionalStore
    package let redis: RedisClient
    package let claims: Claims
    package let campaigns: Campaigns
    package let ranking: Ranking
    package let views: ViewCounter

    private let contexts: [LoopContext]
    private let recovery: ClaimRecovery
    private let relay: SalesRelay
    private let delivery: Delivery
    private let retention: Retention
    private let expiry: OrderExpiry
    private let relayWakeup = Wakeup()
    private let privateRedisWakeup = Wakeup()
    private let backgroundSteps = StepCounter()
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
        recovery = ClaimRecovery(
            store: store, redis: redis, campaigns: campaigns, clock: clock, archiveAfter: configuration.archiveAfter, logger: logger)
        let rebuild = SalesRebuild(store: store, redis: redis, calendar: calendar, clock: clock, logger: logger)
        relay = SalesRelay(
            store: store, reader: reader, redis: redis, rebuild: rebuild, calendar: calendar, clock: clock, logger: logger)
        retention = Retention(store: store, clock: clock, keepEvents: configuration.keepEvents)
        expiry = OrderExpiry(store: store, clock: clock)
        listen()
    }

    /// Where events go.
    private enum Delivery {
        case platform(EventDelivery)
        case stream(StreamDelivery)

        var wakeup: Wakeup {
            switch self {
            case .platform(let delivery): delivery.wakeup
            case .stream(let delivery): delivery.wakeup
            }
        }
    }

    /// Has commits, and a Redis that is gone, wake the background work that they concern.
    private func listen() {
        store.onDueWork { [relayWakeup, delivery, expiry] work in
            switch work {
            case .newEvents:
                relayWakeup.raise()
                delivery.wakeup.raise()
            case .retriedEvents:
                switch delivery {
                case .platform(let delivery): delivery.lookAgainAtAll()
                case .stream(let delivery): delivery.wakeup.raise()
                }
            case .orderExpiry(let instant): expiry.orderPlaced(expiringAt: instant)
            }
        }
        redis.onDisconnect { [privateRedisWakeup] in privateRedisWakeup.raise() }
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
            logger.log(
                level: error.isLossOfRedis ? .debug : .warning, "Redis does not answer yet, recovery waits for it",
                metadata: ["error": "\(error)"])
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

extension CommerceServices {
    private func work(following connects: AsyncStream<RedisClient.ConnectEvent>) async {
        await withTaskGroup { group in
            group.addTask { await self.follow(connects) }
            group.addTask { await self.recoverRegularly() }
            group.addTask { await self.refreshRanking() }
            group.addTask { await self.keepPrivateRedis() }
            group.addTask { await self.relaySales() }
            group.addTask { await self.deliverEvents() }
            group.addTask { await self.flushViews() }
            group.addTask { await self.expireOrders() }
            group.addTask { await self.removeOldRows() }
        }
    }

    /// How long work that commits wake may sleep where none does: for what another process wrote into the store.
    private static let longestSleep: Duration = .seconds(5)

    private func work(
        _ name: String, wokenBy wakeup: Wakeup, pause: Duration, interval: Duration = longestSleep,
        _ step: @escaping @Sendable () async throws -> Duration?
    ) async {
        let work = BackgroundWork(name: name, wakeup: wakeup, pause: pause, interval: interval, steps: backgroundSteps)
        await work.run(logger: logger, step)
    }

    private func work(_ name: String, every interval: Duration, _ step: @escaping @Sendable () async throws -> Void) async {
        await BackgroundWork.every(interval, name, logger: logger, steps: backgroundSteps, step)
    }

    private func relaySales() async {
        await work("sales relay", wokenBy: relayWakeup, pause: .milliseconds(25)) { [self] in
            let timesForgotten = relay.timesForgotten
            try await relay.step()
            // With a long --ranking-refresh the next union may be far: the first one after a start waits for the relay.
            if !isRankingCurrent.load(ordering: .relaxed) { try await ranking.refresh() }
            // Another Redis meanwhile: its scores were not looked at yet.
            guard relay.timesForgotten == timesForgotten else { return .zero }
            isRankingCurrent.store(true, ordering: .relaxed)
            return nil
        }
    }

    private func deliverEvents() async {
        await work("event delivery", wokenBy: delivery.wakeup, pause: .milliseconds(50)) { [delivery] in
            switch delivery {
            case .platform(let delivery): return try await delivery.step()
            case .stream(let delivery):
                try await delivery.step()
                return nil
            }
        }
    }

    /// The first view after a flush is flushed at once; those that follow wait for a while, to go together.
    private func flushViews() async {
        await work("view counts", wokenBy: views.wakeup, pause: .milliseconds(500), interval: .seconds(60)) { [views] in
            try await views.flush()
            return nil
        }
    }

    /// The date may be set forward: so it is looked at each second, which costs no more than that.
    private func expireOrders() async {
        await work("order expiry", wokenBy: expiry.wakeup, pause: .milliseconds(100), interval: .seconds(1)) { [expiry] in
            try await expiry.step()
        }
    }

    private func removeOldRows() async {
        await work("retention", every: .seconds(60)) { [retention] in try await retention.step() }
    }

    /// A connection that comes back may lead to another Redis, or to one that has forgotten something.
    ///
    /// Nothing counts any more at once, also while the recovery after the last reconnect runs: that one is ended, and another begins.
    private func follow(_ connects: AsyncStream<RedisClient.ConnectEvent>) async {
        var latest: Task<Void, Never>?
        for await _ in connects {
            recovery.forgetStates()
            forgetRedis()
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

    /// Has relay and stream ask Redis how far it is.
    private func forgetRedis() {
        relay.forgetOffset()
        relayWakeup.raise()
        if case .stream(let delivery) = delivery { delivery.forgetLast() }
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
                if isUnsuitable || failures == 1, !error.isLossOfRedis {
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
            logger.log(
                level: error.isLossOfRedis ? .debug : .warning, "recovery at the start failed, trying again",
                metadata: ["error": "\(error)"])
        }
        await work("recovery", every: interval) { [self] in
            forgetRedis()
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
                logger.error("\(error.message). Claims are refused; see `firstcome redis show`")
            }
            throw error
        }
    }

    /// Unions no more often than asked for, and leaves Redis at least nineteen times as long alone as a union takes: as the shortest of
    /// the last eight took, for a busy machine only ever makes one look longer.
    private func refreshRanking() async {
        let (ranking, least) = (ranking, configuration.rankingRefresh)
        await withTaskGroup { group in
            group.addTask { [self] in
                let latest = Mutex<[Duration]>([])
                await work("ranking", every: least) {
                    let start = ContinuousClock.now
                    try await ranking.refresh(sharing: least)
                    let shortest = latest.withLock { latest in
                        latest = latest.suffix(7) + [ContinuousClock.now - start]
                        return latest.min() ?? .zero
                    }
                    try await Task.sleep(for: shortest * 19)
                }
            }
            guard least > .seconds(1) else { return }
            group.addTask { [self] in await work("ranked products", every: .seconds(1)) { try ranking.refreshDetails() } }
        }
    }

    private func keepPrivateRedis() async {
        guard let privateRedis = configuration.privateRedis else { return }
        await work("private Redis", wokenBy: privateRedisWakeup, pause: .milliseconds(200)) { [redis, logger] in
            guard !redis.isConnected else { return nil }
            if try await privateRedis.ensureRunning(logger: logger) {
                logger.warning("the private redis-server had ended and was started again")
            }
            // The connection is not there yet, or was not lost to the server's end.
            return .zero
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

extension CommerceServices {
    /// Asks store and Redis; takes no longer than Redis' command deadline.
    package func readiness() async -> Readiness {
        // No event yet is an answer too, which `try?` on an optional would hide.
        let storeAnswers = (try? reader.campaign(CouponID(0)).map { _ in () } ?? ()) != nil
        var (answers, isForeign) = (false, foreignRedis.withLock { $0 != nil })
        do {
            answers = try await redis.send(RedisCommand("PING", isRepeatable: true)).string == "PONG"
        } catch {
            // The last handshake knows before the next recovery looks.
            isForeign = isForeign || (error.cause as? RedisError)?.code == .notAdmitted
        }
        return Readiness(
            storeAnswers: storeAnswers, redisAnswers: answers && isSuitable.load(ordering: .acquiring), isRedisForeign: isForeign,
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
            Metric(
                "firstcome_background_steps_total", .counter, "Steps of background work, which commits, losses of Redis and time wake.",
                backgroundSteps.value),
        ]
    }
}
