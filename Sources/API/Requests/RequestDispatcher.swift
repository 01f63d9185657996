import Commerce
import HTTPServer
import Logging
import NIOCore
import Services
import Store

/// Answers the requests of one event loop: finds the route, checks the token, runs the handler, and counts the answer.
///
/// Safety of `@unchecked Sendable`: every `private var` is touched on the event loop alone, by the part of a request that runs
/// before its handler; every access checks. Everything else is itself `Sendable`.
final class RequestDispatcher: @unchecked Sendable {
    let eventLoop: any EventLoop
    let resources: LoopResources
    /// What each route is, in the order of the route table.
    let endpoints: [Endpoint]
    /// The code of each route, in the same order.
    let accesses: [Route.Access]
    let inFlightKeys: InFlightKeys
    let clock: WallClock
    let logger: Logger
    /// Whether each request is logged; looked up once, so that no request is described for nothing.
    let logsRequests: Bool
    /// One for each route, in the same order, and a last one for requests that no route answers.
    let counters: [RouteCounters]
    let tokenRefusals: TokenRefusals
    private let verifier: TokenVerifier
    private var matches: RecentMatches
    private var tokens = TokenCache()

    init(
        routes: [Route], counters: LoopMetrics, resources: LoopResources, eventLoop: any EventLoop, verifier: TokenVerifier,
        inFlightKeys: InFlightKeys, logger: Logger
    ) {
        (endpoints, accesses) = (routes.map(\.endpoint), routes.map(\.access))
        (self.counters, tokenRefusals) = (counters.routes, counters.tokens)
        (self.resources, self.eventLoop) = (resources, eventLoop)
        (self.verifier, self.inFlightKeys, self.logger) = (verifier, inFlightKeys, logger)
        logsRequests = logger.logLevel <= .debug
        clock = resources.services.configuration.clock
        matches = RecentMatches(Router(routes: routes.map { ($0.endpoint.method, $0.endpoint.template) }))
    }

    /// The route of a request.
    func match(_ request: HTTPRequest) -> Router.Match {
        eventLoop.assertInEventLoop()
        return matches.match(request)
    }

    /// Who a request comes from, by its `Authorization`.
    func authenticate(_ request: HTTPRequest, at now: Instant) -> Authentication {
        eventLoop.assertInEventLoop()
        var outcome = Authentication.refused(.missing)
        request.withCredentials { credentials in
            outcome =
                switch credentials {
                case .missing: .refused(.missing)
                case .several: .refused(.invalid)
                case .one(let field): verifier.authenticate(field, at: now, cache: &tokens)
                }
        }
        return outcome
    }
}
