import App
import ArgumentParser
import Commerce
import Foundation
import HTTPServer
import Logging
import Services

/// `firstcome serve`: runs the service.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the service.",
        discussion:
            """
            The first line on standard output says where it listens; logs go to standard error. On SIGTERM or SIGINT it lets running \
            requests finish and ends; on a second signal it ends at once.

            A unix socket (--host unix:/run/firstcome/http.sock) has mode 0660. A proxy must run as the account of the service, or as a \
            member of the socket's group; that is the folder's group where the folder has the setgid bit (chmod g+s).
            """)

    /// The source of the flags' defaults. Its folder and its calendar are placeholders; those flags have defaults of their own.
    private static let standard = RunConfiguration(dataFolder: "", calendar: .utc)

    @Option(help: "The address to listen on, or unix:/path for a unix socket.")
    var host = ListenAddress.standardHost

    @Option(help: "The port to listen on; 0 lets the system choose. (default: \(ListenAddress.standardPort))")
    var port: Int?

    @OptionGroup var data: DataOption
    @OptionGroup var store: StoreOption
    @OptionGroup var tls: TLSOptions
    @OptionGroup var adminListen: AdminListenOptions
    @OptionGroup var cors: CORSOptions
    @OptionGroup var redis: RedisOption
    @OptionGroup var timeZone: TimeZoneOption
    @OptionGroup var tokens: TokenOptions

    @Option(
        help: ArgumentHelp(
            "Where paid and refunded orders are posted; without it, they go to the Redis stream events:{orders}.", valueName: "url"))
    var dataPlatform: String?

    @OptionGroup var platformSecret: DataPlatformSecretOptions

    @Option(help: "How long the data platform may take to answer a post.")
    var dataPlatformTimeout = DurationArgument(milliseconds: DataPlatform.standardTimeoutMilliseconds)

    @Option(help: "How many tries may fail, with growing pauses, before an event is parked for an operator.")
    var dataPlatformTries = DataPlatform.standardTries

    @Option(help: "The least time between two computations of the top products.")
    var rankingRefresh = DurationArgument(standard.services.rankingRefresh)

    @Option(help: "How often gates and scores are compared with the store, beside the comparisons at the start and after reconnects.")
    var recoveryInterval = DurationArgument(standard.services.recoveryInterval)

    @Option(
        help: ArgumentHelp(
            """
            How long a campaign's gate stays in Redis after the campaign's end. After that, claims are answered from the store; a change \
            of the campaign builds its gate again.
            """))
    var archiveAfter = DurationArgument(standard.services.archiveAfter)

    @Option(
        help: ArgumentHelp(
            """
            How long a delivered event stays in the store, at least 7d. Older ones are removed in small steps. Payments, orders and \
            balances are never removed.
            """))
    var keepEvents = DurationArgument(standard.services.keepEvents)

    @Option(help: "Threads that serve connections. By default one core is left to Redis and to the store's writer.")
    var loops = standard.loops

    @Option(
        help: "How many connections may be open; further ones are answered 503. Lowered where the limit of open files (ulimit -n) is less.")
    var maxConnections = standard.http.maximumConnections

    @Option(help: "How many requests may be in progress; further ones are answered 429.")
    var maxRequests = standard.http.maximumRequestsInFlight

    @OptionGroup var limits: LimitOptions

    @Option(help: "The least amount of one charge, in won.")
    var chargeMin = standard.services.policy.chargeAmounts.lowerBound.rawValue

    @Option(help: "The greatest amount of one charge, in won.")
    var chargeMax = standard.services.policy.chargeAmounts.upperBound.rawValue

    @Option(help: "The greatest balance that charging may reach, in won.")
    var balanceLimit = standard.services.policy.balanceLimit.rawValue

    @Option(help: "How long a pending order holds stock and coupon before it expires.")
    var orderHold = DurationArgument(milliseconds: standard.services.policy.orderHoldMilliseconds)

    @Option(help: "When the service stops: how long /readyz answers 503 before the listening socket closes.")
    var drainDelay = DelayArgument.none

    @Option(help: "When the service stops: how long running requests may take to finish, after --drain-delay.")
    var drainTimeout = DurationArgument(standard.drainDeadline)

    @Option(help: "The least level that is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel = Logger.Level.info.rawValue

    @OptionGroup var accessLog: AccessLogOptions

    func validate() throws {
        guard (0...65_535).contains(port ?? 0) else { throw ValidationError("--port takes 0 to 65535") }
        do { _ = try ListenAddress(host: host, port: port) } catch { throw ValidationError(error.description) }
        guard keepEvents.duration >= Retention.leastKeepEvents else { throw ValidationError("--keep-events takes 7d or more") }
        guard (1...64).contains(loops) else { throw ValidationError("--loops takes 1 to 64") }
        guard (1...1_000).contains(dataPlatformTries) else { throw ValidationError("--data-platform-tries takes 1 to 1000") }
        guard maxConnections >= 1, maxRequests >= 1 else { throw ValidationError("--max-connections and --max-requests take 1 or more") }
        try limits.validate(host: host)
        try store.validate(with: redis, data: data)
        guard chargeMin >= 1, chargeMin <= chargeMax else {
            throw ValidationError("--charge-min takes 1 or more, and no more than --charge-max")
        }
        guard (chargeMax...Bounds.price.upperBound).contains(balanceLimit) else {
            throw ValidationError("--balance-limit takes --charge-max or more, up to \(Bounds.price.upperBound)")
        }
        guard Logger.Level(rawValue: logLevel) != nil else { throw ValidationError("--log-level \(logLevel): there is no such level") }
        if let dataPlatform {
            guard let url = URL(string: dataPlatform), ["http", "https"].contains(url.scheme), url.host != nil else {
                throw ValidationError("--data-platform takes an http:// or https:// URL")
            }
            guard platformSecret.isGiven else {
                throw ValidationError(
                    "--data-platform needs --data-platform-secret-file or FIRSTCOME_DATA_PLATFORM_SECRET, which signs what is posted")
            }
        }
    }

    func run() async throws {
        let address = try ListenAddress(host: host, port: port)
        var logger = Logger(label: "firstcome", factory: StreamLogHandler.standardError(label:))
        logger.logLevel = Logger.Level(rawValue: logLevel) ?? .info
        let lock = try takeFolder(logger: logger)
        defer { withExtendedLifetime(lock) {} }
        let stopSignal = StopSignal()
        let service = try await RunningService.start(try runConfiguration(address, logger: logger), logger: logger)
        let supervision = ServiceManager(environment: EnvironmentFlags.ofProcess, logger: logger).map { manager in
            Supervision(of: service, by: manager, listeningOn: address.description(port: service.server.port))
        }
        let reloadSignal = ReloadSignal.of(service, supervision)
        defer { withExtendedLifetime(reloadSignal) {} }
        announce(service)
        await stopSignal.wait()
        logger.info("stopping")
        await supervision?.end(draining: drainDelay.duration + drainTimeout.duration)
        service.announceEnd()
        // The sleep throws only where the task is cancelled; then the delay is skipped.
        try? await Task.sleep(for: drainDelay.duration)
        await service.stop()
    }

    /// Makes and locks the data folder; nil where neither the store nor Redis is in it.
    private func takeFolder(logger: Logger) throws -> DataFolderLock? {
        if store.url != nil, redis.url != nil { return nil }
        let folder = try DataFolder.make(data.path)
        let lock = try folder.lock()
        try folder.closeStoreToOthers(logger: logger)
        if store.url != nil, FileManager.default.fileExists(atPath: folder.storePath) {
            logger.warning(
                "the data folder has a store of its own, which is not used; firstcome move copies one to an empty database",
                metadata: ["path": "\(folder.storePath)"])
        }
        return lock
    }

    private func runConfiguration(_ address: ListenAddress, logger: Logger) throws -> RunConfiguration {
        var configuration = RunConfiguration(dataFolder: data.path, calendar: try timeZone.calendar())
        configuration.http = address.configuration
        tls.apply(to: &configuration)
        try adminListen.apply(to: &configuration)
        try cors.apply(to: &configuration)
        configuration.http.maximumConnections = maxConnections
        configuration.http.maximumRequestsInFlight = maxRequests
        limits.apply(to: &configuration)
        try configuration.use(store, redis, logger: logger)
        configuration.services.policy = Policy(
            chargeAmounts: Won(chargeMin)...Won(chargeMax), balanceLimit: Won(balanceLimit), orderHoldMilliseconds: orderHold.milliseconds)
        configuration.services.platform = try dataPlatform.map { url in
            var platform = DataPlatform(url: url, secret: try platformSecret.secret(logger: logger))
            platform.timeoutMilliseconds = dataPlatformTimeout.milliseconds
            platform.maximumTries = dataPlatformTries
            return platform
        }
        configuration.services.rankingRefresh = rankingRefresh.duration
        configuration.services.recoveryInterval = recoveryInterval.duration
        configuration.services.archiveAfter = archiveAfter.duration
        configuration.services.keepEvents = keepEvents.duration
        configuration.loops = loops
        configuration.drainDeadline = drainTimeout.duration
        accessLog.apply(to: &configuration)
        try tokens.apply(to: &configuration, logger: logger)
        try configuration.fitConnections(logger: logger)
        return configuration
    }

    private func announce(_ service: RunningService) {
        let place = service.storeServer.map { "store \($0)" } ?? "data \(data.path)"
        var lines = "firstcome listens on \(service.place) (\(place), Redis \(service.redisDescription))\n"
        if let place = service.operatorsPlace { lines += "operators are served on \(place)\n" }
        FileHandle.standardOutput.write(Data(lines.utf8))
    }
}
