import Redis
import ServiceLifecycle

extension CommerceServices: Service {
    /// Does the background work, first of all the recovery of what a crash left behind, until its group is shut down gracefully or
    /// its task is cancelled. ``readiness()`` says when the gates are there.
    package func run() async throws {
        // Before the first look at the gates: a connection that is made from here on is followed, whichever of the two comes first.
        let connects = redis.connectEvents()
        let services = backgroundWork(following: connects).map {
            // One that ends by itself ends no other.
            ServiceGroupConfiguration.ServiceConfiguration(
                service: $0, successTerminationBehavior: .ignore, serviceName: $0.name)
        }
        try await ServiceGroup(configuration: ServiceGroupConfiguration(services: services, logger: logger)).run()
    }

    /// Every piece of background work. They begin together. A graceful shutdown ends one after the other, beginning with the last:
    /// what others need stands before them.
    private func backgroundWork(following connects: AsyncStream<RedisClient.ConnectEvent>) -> [BackgroundService] {
        let recovery = CheckedRecovery(check: redisCheck, recovery: recovery, redis: redis, relay: relay, delivery: delivery)
        let follower = ReconnectFollower(recovery: recovery, redis: redis, logger: logger)
        let regular = RegularRecovery(
            recovery: recovery, interval: configuration.recoveryInterval, steps: backgroundSteps, logger: logger)
        let sales = RankedRelay(relay: relay, ranking: ranking)
        let refresh = RankingRefresh(ranking: ranking, interval: configuration.rankingRefresh)
        return privateRedisRestart + [
            BackgroundService(name: "reconnects") { await follower.run(connects) },
            BackgroundService(name: "recovery") { await regular.run() },
            woken("sales relay", by: relay.wakeup, pause: .milliseconds(25)) { try await sales.step() },
            every(refresh.interval, "ranking") { try await refresh.step() },
        ] + rankedProducts + [
            woken("event delivery", by: delivery.wakeup, pause: .milliseconds(50)) { [delivery] in try await delivery.step() },
            // The first view after a flush is flushed at once; those that follow wait for a while, to go together.
            woken("view counts", by: views.wakeup, pause: .milliseconds(500), interval: .seconds(60)) { [views] in
                try await views.flush()
                return nil
            },
            // The date may be set forward: so it is looked at each second, which costs no more than that.
            woken("order expiry", by: expiry.wakeup, pause: .milliseconds(100), interval: .seconds(1)) { [expiry] in
                try await expiry.step()
            },
            every(.seconds(60), "retention") { [retention] in try await retention.step() },
        ]
    }

    /// None where Redis is somebody else's.
    private var privateRedisRestart: [BackgroundService] {
        guard let privateRedis = configuration.privateRedis else { return [] }
        let restart = PrivateRedisRestart(privateRedis: privateRedis, redis: redis, logger: logger)
        return [woken("private Redis", by: restart.wakeup, pause: .milliseconds(200)) { try await restart.step() }]
    }

    /// Names and prices of the ranked products, where the ranking itself is computed less often than they shall be shown.
    private var rankedProducts: [BackgroundService] {
        guard configuration.rankingRefresh > .seconds(1) else { return [] }
        return [every(.seconds(1), "ranked products") { [ranking] in try ranking.refreshDetails() }]
    }

    /// How long work that commits wake may sleep where none does: for what another process wrote into the store.
    private static let longestSleep: Duration = .seconds(5)

    private func woken(
        _ name: String, by wakeup: Wakeup, pause: Duration, interval: Duration = longestSleep,
        _ step: @escaping @Sendable () async throws -> Duration?
    ) -> BackgroundService {
        let work = BackgroundWork(name: name, wakeup: wakeup, pause: pause, interval: interval, steps: backgroundSteps)
        return BackgroundService(name: name) { [logger] in await work.run(logger: logger, step) }
    }

    private func every(_ interval: Duration, _ name: String, _ step: @escaping @Sendable () async throws -> Void) -> BackgroundService {
        BackgroundService(name: name) { [logger, backgroundSteps] in
            await BackgroundWork.every(interval, name, logger: logger, steps: backgroundSteps, step)
        }
    }
}
