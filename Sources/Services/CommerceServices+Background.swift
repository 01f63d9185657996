import Redis
import ServiceLifecycle

extension CommerceServices: Service {
    /// Runs all background work, which begins with the recovery after a crash, until a graceful shutdown or the task's cancellation.
    ///
    /// ``readiness()`` tells when the gates are loaded.
    package func run() async throws {
        // Subscribed before recovery first reads the gates, so that no later reconnect is missed.
        let connects = redis.connectEvents()
        let services = backgroundWork(following: connects).map {
            // A service that ends by itself must not end the group.
            ServiceGroupConfiguration.ServiceConfiguration(
                service: $0, successTerminationBehavior: .ignore, serviceName: $0.name)
        }
        try await ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: logger)).run()
    }

    /// Every piece of background work. All start together; a graceful shutdown ends them one by one from the last to the first, so a
    /// piece that others need comes before them.
    private func backgroundWork(following connects: AsyncStream<RedisClient.ConnectEvent>) -> [BackgroundService] {
        let recovery = CheckedRecovery(
            check: redisCheck, recovery: recovery, redis: redis, relay: relay, delivery: delivery, duties: duties)
        let follower = ReconnectFollower(recovery: recovery, redis: redis, logger: logger)
        let regular = RegularRecovery(
            recovery: recovery, interval: configuration.recoveryInterval, wakeup: duties?.begun ?? Wakeup(), steps: backgroundSteps,
            logger: logger)
        let sales = RankedRelay(relay: relay, ranking: ranking)
        let refresh = RankingRefresh(ranking: ranking, interval: configuration.rankingRefresh)
        return privateRedisRestart + lease + [
            BackgroundService(name: "reconnects") { await follower.run(connects) },
            BackgroundService(name: "recovery") { await regular.run() },
            duty(woken("sales relay", by: relay.wakeup, pause: .milliseconds(25)) { try await sales.step() }) { [relay] in
                relay.forgetOffset()
            },
            every(refresh.interval, "ranking") { try await refresh.step() },
        ] + rankedProducts + [
            duty(
                woken("event delivery", by: delivery.wakeup, pause: .milliseconds(50)) { [delivery] in try await delivery.step() }
            ) { [delivery] in await delivery.startOver() },
            // The first view after a flush is flushed at once; later views are collected until the pause is over.
            woken("view counts", by: views.wakeup, pause: .milliseconds(500), interval: .seconds(60)) { [views] in
                try await views.flush()
                return nil
            },
            // The machine's clock may be set forward, so the expiry is compared with it each second. That reads no database.
            duty(
                woken("order expiry", by: expiry.wakeup, pause: .milliseconds(100), interval: .seconds(1)) { [expiry] in
                    try await expiry.step()
                }
            ) { [expiry] in expiry.forgetNext() },
            duty(
                woken("outbox watch", by: outbox.wakeup, pause: OutboxWatch.pause, interval: .seconds(60)) { [outbox] in
                    try await outbox.step()
                }
            ) { [outbox] in outbox.forget() },
            duty(
                woken("win chains", by: sealer.feed.wakeup, pause: .milliseconds(1), interval: sealer.interval) { [sealer] in
                    // The wins of this time are sealed by one commit, which otherwise the first of them would have alone.
                    try await Task.sleep(for: WinSealer.gathering)
                    return try await sealer.step()
                }
            ) { [sealer] in sealer.startOver() },
            // Woken in the service that has taken a list; another one that does the duties finds it within its longest sleep.
            duty(woken("grants", by: grants.wakeup, pause: .milliseconds(1)) { [grants] in try await grants.step() }),
            duty(every(.seconds(60), "retention") { [retention] in try await retention.step() }),
        ]
    }

    /// Takes and renews the lease of the duties; empty where this service does them alone.
    private var lease: [BackgroundService] {
        duties.map { duties in [BackgroundService(name: "lease of the duties") { await duties.run() }] } ?? []
    }

    /// Work that one of several services on the store does: it runs as long as this one has the lease.
    ///
    /// - Parameter startOver: drops what the work knows, before each term and after it, since another service goes on with it.
    private func duty(_ work: BackgroundService, startOver: @escaping @Sendable () async -> Void = {}) -> BackgroundService {
        guard let duties else { return work }
        return BackgroundService(name: work.name) {
            await duties.whileHeld {
                await startOver()
                await work.work()
                await startOver()
            }
        }
    }

    /// Restarts the private Redis; empty where the Redis is not private.
    private var privateRedisRestart: [BackgroundService] {
        guard let privateRedis = configuration.privateRedis else { return [] }
        let restart = PrivateRedisRestart(privateRedis: privateRedis, redis: redis, logger: logger)
        return [woken("private Redis", by: restart.wakeup, pause: .milliseconds(200)) { try await restart.step() }]
    }

    /// Renews names, prices and stock of the ranked products each second; empty where the ranking is computed that often anyway.
    private var rankedProducts: [BackgroundService] {
        guard configuration.rankingRefresh > .seconds(1) else { return [] }
        return [every(.seconds(1), "ranked products") { [ranking] in try await ranking.refreshDetails() }]
    }

    /// The longest sleep of work that is woken by commits. It then finds what another process wrote to the store, which wakes nothing.
    private static let longestSleep: Duration = .seconds(5)

    private func woken(
        _ name: String, by wakeup: Wakeup, pause: Duration, interval: Duration = longestSleep,
        _ step: @escaping @Sendable () async throws -> Duration?
    ) -> BackgroundService {
        let work = BackgroundWork(name: name, wakeup: wakeup, pause: pause, interval: interval, steps: backgroundSteps)
        return BackgroundService(name: name) { [logger] in
            await work.run(logger: logger) { try await Duties.finishing(step) }
        }
    }

    private func every(_ interval: Duration, _ name: String, _ step: @escaping @Sendable () async throws -> Void) -> BackgroundService {
        BackgroundService(name: name) { [logger, backgroundSteps] in
            await BackgroundWork.every(interval, name, logger: logger, steps: backgroundSteps, step)
        }
    }
}
