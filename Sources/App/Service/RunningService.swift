package import API
package import HTTPServer
package import Logging
import NIOPosix
import Redis
package import Services

/// A whole service, from its sockets to its files: built by one function, for the executable and for tests.
package final class RunningService: Sendable {
    package let services: CommerceServices
    package let server: HTTPListener
    package let tokenKey: TokenKey
    private let parts: ServiceParts

    /// Where Redis is, for people: without a password.
    package var redisDescription: String { services.redis.configuration.endpoint.description }

    private init(services: CommerceServices, server: HTTPListener, tokenKey: TokenKey, parts: ServiceParts) {
        (self.services, self.server, self.tokenKey, self.parts) = (services, server, tokenKey, parts)
    }

    /// Starts everything and returns once clients can connect. Gates are recovered in the background: `/readyz` says when they are there.
    ///
    /// - Throws: `CommandError` where the address cannot be listened on.
    package static func start(_ configuration: RunConfiguration, logger: Logger) async throws -> RunningService {
        let address = ListenAddress(configuration.http.address)
        // Before anything is started that would have to be stopped again.
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
            // Another program may have begun to listen meanwhile.
            try address.check()
            try await server.start()
            parts.server = (server, configuration.drainDeadline)
            try address.admitGroup()
            return RunningService(services: services, server: server, tokenKey: tokenKey, parts: parts)
        } catch {
            await parts.end()
            throw address.describing(error)
        }
    }

    /// Has `/readyz` answer 503 from now on, so that a load balancer looks elsewhere before ``stop()``; everything else is served.
    package func announceEnd() { services.announceEnd() }

    /// Lets running requests finish, writes what waits, and ends everything that ``start(_:logger:)`` began, the private Redis too.
    package func stop() async { await parts.end() }
}
