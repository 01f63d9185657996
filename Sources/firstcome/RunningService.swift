package import API
package import Commerce
package import HTTPServer
package import Logging
import NIOCore
import NIOPosix
package import Redis
package import Services
import Store

/// What a service is started with.
package struct RunConfiguration: Sendable {
    /// The folder that exists and is locked.
    package var dataFolder: String
    package var http = HTTPServerConfiguration(host: "127.0.0.1", port: 8080)
    /// `nil` for a private Redis in the data folder.
    package var redis: RedisEndpoint?
    package var policy = Policy()
    package var calendar: BusinessCalendar
    package var clock = WallClock.system
    /// The number of a new store's first incarnation; nil for the present time.
    package var firstIncarnation: Int64?
    package var platform: DataPlatform?
    package var rankingRefresh: Duration = .seconds(1)
    package var recoveryInterval: Duration = .seconds(10)
    package var archiveAfter: Duration = .seconds(86_400)
    package var keepEvents: Duration = .seconds(90 * 86_400)
    /// How many event loops serve.
    package var loops = 1
    /// How long requests may take to finish when the service stops.
    package var drainDeadline: Duration = .seconds(10)

    package init(dataFolder: String, calendar: BusinessCalendar) {
        (self.dataFolder, self.calendar) = (dataFolder, calendar)
    }
}

/// A whole service, from its sockets to its files: built by one function, for the executable and for tests.
package final class RunningService: Sendable {
    package let services: CommerceServices
    package let server: HTTPListener
    package let tokenKey: TokenKey
    private let store: TransactionalStore
    private let redis: RedisClient
    private let privateRedis: PrivateRedis?
    private let group: MultiThreadedEventLoopGroup
    private let drainDeadline: Duration

    /// Where Redis is, for people: without a password.
    package var redisDescription: String { redis.configuration.endpoint.description }

    private init(
        services: CommerceServices, server: HTTPListener, tokenKey: TokenKey, parts: Parts, drainDeadline: Duration
    ) {
        self.services = services
        self.server = server
        self.tokenKey = tokenKey
        self.drainDeadline = drainDeadline
        (store, redis, privateRedis, group) = (parts.store, parts.redis, parts.privateRedis, parts.group)
    }

    /// The parts that have to be given back, also where a later step of the start fails.
    private struct Parts {
        let store: TransactionalStore
        let redis: RedisClient
        let privateRedis: PrivateRedis?
        let group: MultiThreadedEventLoopGroup

        func close() async {
            await redis.close()
            store.close()
            await privateRedis?.stop()
            // Nothing is left on the loops whose end could fail.
            try? await group.shutdownGracefully()
        }
    }

    /// Starts everything and returns once clients can connect. Gates are recovered in the background: `/readyz` says when they are there.
    ///
    /// - Parameter beforeListening: is called right before the port listens; where it throws, the start fails.
    package static func start(
        _ configuration: RunConfiguration, logger: Logger, beforeListening: @Sendable () throws -> Void = {}
    ) async throws -> RunningService {
        let tokenKey = try TokenKey.load(fromDataFolder: configuration.dataFolder)
        let parts = try await open(configuration, logger: logger)
        do {
            var options = ServicesConfiguration(
                policy: configuration.policy, calendar: configuration.calendar, clock: configuration.clock)
            options.rankingRefresh = configuration.rankingRefresh
            options.recoveryInterval = configuration.recoveryInterval
            options.archiveAfter = configuration.archiveAfter
            options.keepEvents = configuration.keepEvents
            options.platform = configuration.platform
            options.privateRedis = parts.privateRedis
            let services = try CommerceServices(
                configuration: options, store: parts.store, redis: parts.redis, eventLoopGroup: parts.group, logger: logger)
            do {
                try await services.start()
                let api = FirstcomeAPI(services: services, tokenKey: tokenKey, eventLoopGroup: parts.group, logger: logger)
                let server = HTTPListener(
                    configuration: configuration.http, eventLoopGroup: parts.group, responder: api.responder(on:),
                    refusalResponse: api.refusalResponse, logger: logger)
                api.reportStatistics(of: server)
                try beforeListening()
                try await server.start()
                return RunningService(
                    services: services, server: server, tokenKey: tokenKey, parts: parts, drainDeadline: configuration.drainDeadline)
            } catch {
                await services.stop()
                throw error
            }
        } catch {
            await parts.close()
            throw error
        }
    }

    private static func open(_ configuration: RunConfiguration, logger: Logger) async throws -> Parts {
        let folder = DataFolder(path: configuration.dataFolder)
        var options = StoreOptions.standard(policy: configuration.policy, calendar: configuration.calendar)
        options.firstIncarnation = configuration.firstIncarnation
        let store = try TransactionalStore.open(path: folder.storePath, options: options, logger: logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.loops)
        var privateRedis: PrivateRedis?
        var endpoint = configuration.redis
        do {
            if endpoint == nil {
                let redis = try PrivateRedis(dataFolder: configuration.dataFolder)
                try await redis.ensureRunning(logger: logger)
                try await RedisTakeover(by: store.identity, of: redis.endpoint, on: group, logger: logger).takePrivate()
                (privateRedis, endpoint) = (redis, redis.endpoint)
            }
            try folder.note(lastRedis: configuration.redis)
        } catch {
            store.close()
            // Nothing is left on the loops whose end could fail.
            try? await group.shutdownGracefully()
            throw error
        }
        guard let endpoint else { preconditionFailure("either a given Redis or the private one") }
        var client = RedisConfiguration(endpoint: endpoint, scripts: Scripts.all)
        client.admission = StoreAdmission.admission(of: store.identity, as: .service)
        let redis = RedisClient(configuration: client, eventLoopGroup: group, logger: logger)
        redis.start()
        return Parts(store: store, redis: redis, privateRedis: privateRedis, group: group)
    }

    /// Has `/readyz` answer 503 from now on, so that a load balancer looks elsewhere before ``stop()``; everything else is served.
    package func announceEnd() { services.announceEnd() }

    /// Lets running requests finish, writes what waits, and ends everything that ``start(_:logger:)`` began, the private Redis too.
    package func stop() async {
        await server.drain(deadline: drainDeadline)
        await services.stop()
        await Parts(store: store, redis: redis, privateRedis: privateRedis, group: group).close()
    }
}
