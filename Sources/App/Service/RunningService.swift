package import API
package import HTTPServer
package import Logging
import NIOCore
import NIOPosix
import Redis
package import Services

/// A running service with all its parts. The executable and the tests start it by the same function.
package final class RunningService: Sendable {
    package let services: CommerceServices
    package let server: HTTPListener
    /// The listener for operators; nil where `server` serves them.
    package let operatorsServer: HTTPListener?
    /// Where clients connect, and where operators do, if elsewhere.
    package let place: String
    package let operatorsPlace: String?
    private let signingKey: TokenKey?
    private let parts: ServiceParts
    private let logger: Logger

    /// The address of Redis for messages, without a password.
    package var redisDescription: String { services.redis.configuration.endpoint.description }

    /// The server of the store for messages, without a password; nil for a store in the data folder.
    package let storeServer: String?

    /// The key that signed at the start. A service that takes no local tokens has none.
    package var tokenKey: TokenKey {
        guard let signingKey else { preconditionFailure("a service without local tokens has no key to sign with") }
        return signingKey
    }

    private init(
        services: CommerceServices, listeners: Listeners, signingKey: TokenKey?, storeServer: String?, parts: ServiceParts, logger: Logger
    ) {
        self.storeServer = storeServer
        (self.services, self.signingKey, self.parts, self.logger) = (services, signingKey, parts, logger)
        (server, operatorsServer) = (listeners.server, listeners.operators)
        (place, operatorsPlace) = (listeners.place, listeners.operatorsPlace)
    }

    /// Starts all parts and returns once clients can connect. Gates are recovered in the background; `/readyz` answers 200 when they are
    /// loaded.
    ///
    /// - Throws: `CommandError` where it cannot listen on the address.
    package static func start(_ configuration: RunConfiguration, logger: Logger) async throws -> RunningService {
        // Checked before any part is started, so that none has to be stopped again.
        try Listeners.check(configuration)
        let certificate = try configuration.certificate.map { try ServerCertificate($0, logger: logger) }
        var parts = ServiceParts(loops: MultiThreadedEventLoopGroup(numberOfThreads: configuration.loops))
        if let certificate { parts.reloadables.append(Reloadable("the certificate") { try certificate.reload() }) }
        do {
            // The token keys of a store on a server are among its rows. Those of a folder are files, which are looked at first.
            let server = configuration.storeServer == nil ? nil : try await parts.openStore(configuration, logger: logger)
            let keys = try await parts.openTokenKeys(configuration, logger: logger)
            let store = if let server { server } else { try await parts.openStore(configuration, logger: logger) }
            let services = try await parts.openServices(on: store, configuration, logger: logger)
            let api = FirstcomeAPI(
                services: services, tokenKeys: keys.verifying, eventLoopGroup: parts.loops,
                servesOperatorsApart: configuration.operators != nil, crossOrigin: configuration.http.crossOrigin,
                limits: configuration.limits, logger: logger)
            let listeners = try await Listeners.start(configuration, api, certificate, &parts, logger: logger)
            api.report(servers: [listeners.server, listeners.operators].compactMap(\.self), version: FirstcomeVersion.text)
            return RunningService(
                services: services, listeners: listeners, signingKey: keys.signing,
                storeServer: configuration.storeServer.map { _ in configuration.storePlace.description }, parts: parts, logger: logger)
        } catch {
            await parts.end()
            throw error
        }
    }

    /// Makes `/readyz` answer 503 from now on, so that a load balancer sends requests elsewhere before ``stop()``. Requests are
    /// still served.
    package func announceEnd() { services.announceEnd() }

    /// Whether the service has files to read again by ``reload()``.
    package var isReloadable: Bool { !parts.reloadables.isEmpty }

    /// Reads certificates and keys again. What cannot be read keeps its former value, and the log says why.
    package func reload() async {
        for part in parts.reloadables {
            do {
                try await part.reload()
                logger.info("reread \(part.name)")
            } catch {
                let reason = CommandError.describing(error)?.description ?? "\(error)"
                logger.error("could not reread \(part.name); the former one stays in use", metadata: ["error": "\(reason)"])
            }
        }
    }

    /// The event loops that serve connections.
    var loops: [any EventLoop] { Array(parts.loops.makeIterator()) }

    /// Lets running requests finish, then ends all parts that ``start(_:logger:)`` started, including the private Redis.
    package func stop() async { await parts.end() }
}
