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
    package let tokenKey: TokenKey
    private let parts: ServiceParts
    private let logger: Logger

    /// The address of Redis for messages, without a password.
    package var redisDescription: String { services.redis.configuration.endpoint.description }

    private init(services: CommerceServices, server: HTTPListener, tokenKey: TokenKey, parts: ServiceParts, logger: Logger) {
        (self.services, self.server, self.tokenKey, self.parts, self.logger) = (services, server, tokenKey, parts, logger)
    }

    /// Starts all parts and returns once clients can connect. Gates are recovered in the background; `/readyz` answers 200 when they are
    /// loaded.
    ///
    /// - Throws: `CommandError` where it cannot listen on the address.
    package static func start(_ configuration: RunConfiguration, logger: Logger) async throws -> RunningService {
        let address = ListenAddress(configuration.http.address)
        // Checked before any part is started, so that none has to be stopped again.
        try address.check()
        let tokenKey = try TokenKey.load(fromDataFolder: configuration.dataFolder)
        var parts = ServiceParts(loops: MultiThreadedEventLoopGroup(numberOfThreads: configuration.loops))
        do {
            let services = try await parts.openServices(configuration, logger: logger)
            let api = FirstcomeAPI(services: services, tokenKey: tokenKey, eventLoopGroup: parts.loops, logger: logger)
            let server = HTTPListener(
                configuration: configuration.http, eventLoopGroup: parts.loops, responder: api.responder(on:),
                refusalResponse: api.refusalResponse, logger: logger)
            api.reportStatistics(of: server)
            // Checked again, because another program may have begun to listen meanwhile.
            try address.check()
            try await server.start()
            parts.server = (server, configuration.drainDeadline)
            try address.admitGroup()
            return RunningService(services: services, server: server, tokenKey: tokenKey, parts: parts, logger: logger)
        } catch {
            await parts.end()
            throw address.describing(error)
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
