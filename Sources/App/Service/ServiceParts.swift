import API
import Commerce
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Redis
import Services
import Store

/// The parts of a service that were started so far. They are ended when the service stops, and where a later step of its start fails.
struct ServiceParts: Sendable {
    let loops: MultiThreadedEventLoopGroup
    var store: TransactionalStore?
    var privateRedis: PrivateRedis?
    var redis: RedisClient?
    var services: CommerceServices?
    var background: BackgroundRun?
    var keySet: KeySetUpkeep?
    var server: (listener: HTTPListener, drainDeadline: Duration)?
    var accessLog: AccessLog?
    /// The listener for operators, who can watch the service until its background work has ended.
    var operatorsServer: HTTPListener?
    /// What SIGHUP reads again.
    var reloadables: [Reloadable] = []

    /// How long the requests of operators may take to finish after everything else has.
    private static let operatorsDrainDeadline: Duration = .seconds(2)

    init(loops: MultiThreadedEventLoopGroup) { self.loops = loops }

    /// Ends the parts that were started, each before those that it needs.
    func end() async {
        if let server { await server.listener.drain(deadline: server.drainDeadline) }
        await keySet?.end()
        await background?.end()
        await operatorsServer?.drain(deadline: Self.operatorsDrainDeadline)
        await accessLog?.close()
        await services?.close()
        await redis?.close()
        store?.close()
        await privateRedis?.stop()
        // An error can be ignored: nothing runs on the loops any more.
        try? await loops.shutdownGracefully()
    }

    /// Reads the keys that verify tokens, and has them read again when they change.
    ///
    /// - Returns: also the key that signs; nil where the service takes no tokens of its own.
    mutating func openTokenKeys(
        _ configuration: RunConfiguration, logger: Logger
    ) async throws -> (verifying: TokenKeys, signing: TokenKey?) {
        let reader = configuration.tokens.keySet.map { KeySetReader($0, on: loops) }
        if let reader { keySet = KeySetUpkeep(reader) }
        let (place, clock) = (configuration.storePlace.tokenKeys, configuration.services.clock)
        let takesOwn = configuration.tokens.takesLocalTokens
        let own = takesOwn ? try await besidePool { try place.keys(at: clock.now) } : []
        let keys = try await TokenKeys.open(configuration.tokens, own: own, reader: reader, clock: clock, logger: logger)
        keySet?.begin(keys)
        if takesOwn {
            reloadables.append(
                Reloadable("the token keys of \(place.name)") {
                    try await besidePool { try keys.rereadLocal(from: place, at: clock.now) }
                })
        }
        if reader != nil { reloadables.append(Reloadable("the issuer's keys") { try await keys.rereadIssuer() }) }
        return (keys, own.first?.key)
    }

    /// Opens the store, or makes it where it is missing.
    mutating func openStore(_ configuration: RunConfiguration, logger: Logger) async throws -> TransactionalStore {
        let store = try await besidePool {
            try configuration.storePlace.open(
                policy: configuration.services.policy, calendar: configuration.services.calendar,
                firstIncarnation: configuration.firstIncarnation, logger: logger)
        }
        self.store = store
        return store
    }

    /// Connects to Redis and starts the services with their background work.
    mutating func openServices(
        on store: TransactionalStore, _ configuration: RunConfiguration, logger: Logger
    ) async throws -> CommerceServices {
        let endpoint: RedisEndpoint
        if let given = configuration.redis, configuration.storeServer != nil {
            endpoint = given
        } else {
            let folder = DataFolder(path: configuration.dataFolder)
            if let given = configuration.redis {
                endpoint = given
            } else {
                endpoint = try await startPrivateRedis(folder, for: store, logger: logger)
            }
            try folder.note(lastRedis: configuration.redis)
        }
        var client = RedisConfiguration(endpoint: endpoint, scripts: Scripts.all)
        client.admission = StoreAdmission.admission(of: store.identity, as: .service)
        let redis = RedisClient(configuration: client, eventLoopGroup: loops, logger: logger)
        redis.start()
        self.redis = redis
        var options = configuration.services
        options.privateRedis = privateRedis
        let services = try CommerceServices(configuration: options, store: store, redis: redis, eventLoopGroup: loops, logger: logger)
        self.services = services
        try await services.prepare()
        background = BackgroundRun(of: services, logger: logger)
        return services
    }

    /// Opens the access log, if there is to be one. SIGHUP opens its file again, so that it can be rotated.
    mutating func openAccessLog(_ configuration: RunConfiguration, logger: Logger) throws -> AccessLog? {
        guard let destination = configuration.accessLog else { return nil }
        let log = try AccessLog(destination, routes: FirstcomeAPI.routeTemplates, eventLoopGroup: loops, logger: logger)
        accessLog = log
        if case .file = destination { reloadables.append(Reloadable("the access log") { try log.reopen() }) }
        return log
    }

    private mutating func startPrivateRedis(
        _ folder: DataFolder, for store: TransactionalStore, logger: Logger
    ) async throws -> RedisEndpoint {
        let redis = try folder.privateRedis()
        try await redis.ensureRunning(logger: logger)
        privateRedis = redis
        try await RedisTakeover(by: store.identity, of: redis.endpoint, on: loops, logger: logger).takePrivate()
        return redis.endpoint
    }
}
