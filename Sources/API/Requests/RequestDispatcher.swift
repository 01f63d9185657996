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
    /// Nil where clients are not limited.
    let limiter: RequestLimiter?
    let trustedProxies: TrustedProxies
    let clock: WallClock
    let logger: Logger
    /// Whether each request is logged; looked up once, so that no request is described for nothing.
    let logsRequests: Bool
    /// One for each route, in the same order, and a last one for requests that no route answers.
    let counters: [RouteCounters]
    /// What the server is told about the request whose handler is called.
    let notes: RequestNotes
    /// The place of each route in the whole route table.
    let places: [Int]
    /// Which web pages of other origins may call; nil for none.
    let crossOrigin: CrossOriginPolicy?
    /// The answer to `OPTIONS *`, which asks about the server as a whole (RFC 9110 section 9.3.7).
    let serverOptions: HTTPResponse
    let keys: TokenKeys
    let refusals: TokenRefusals
    private let trustsProxies: Bool
    private let known: LoopTokens
    private var matches: RecentMatches

    init(
        routes: [Route], places: [Int], counters: [RouteCounters], refusals: TokenRefusals, resources: LoopResources,
        notes: RequestNotes, eventLoop: any EventLoop, keys: TokenKeys, inFlightKeys: InFlightKeys, limiter: RequestLimiter?,
        trustedProxies: TrustedProxies, crossOrigin: CrossOriginPolicy?, logger: Logger
    ) {
        (endpoints, accesses) = (routes.map(\.endpoint), routes.map(\.access))
        (self.counters, self.resources, self.eventLoop) = (counters, resources, eventLoop)
        (self.keys, self.refusals, self.inFlightKeys, self.logger) = (keys, refusals, inFlightKeys, logger)
        (self.limiter, self.trustedProxies, trustsProxies) = (limiter, trustedProxies, trustedProxies.isAny)
        (self.places, self.notes, self.crossOrigin) = (places, notes, crossOrigin)
        serverOptions = HTTPResponse(status: 204, headers: [("allow", RequestDispatcher.methods(of: routes))])
        known = LoopTokens(of: keys, on: eventLoop)
        logsRequests = logger.logLevel <= .debug
        clock = resources.services.configuration.clock
        matches = RecentMatches(Router(routes: routes.map { ($0.endpoint.method, $0.endpoint.template) }))
    }

    /// Every method that some route has, as `Allow` lists them.
    private static func methods(of routes: [Route]) -> String {
        var methods = Set(routes.map(\.endpoint.method))
        if methods.contains(.get) { methods.insert(.head) }
        let inOrder: [HTTPMethod] = [.get, .head, .post, .put, .patch, .delete]
        return (inOrder.filter(methods.contains) + [.options]).map(\.rawValue).joined(separator: ", ")
    }

    /// Whether the access log is told for which client a proxy calls.
    var notesClients: Bool { trustsProxies && notes.isRead }

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
            switch credentials {
            case .missing: break
            case .several: outcome = .refused(.malformed)
            case .one(let field):
                outcome = known.authenticate(field, at: now)
            }
        }
        // Also for requests that are refused later, by their limits or because this user may not do it.
        if case .authenticated(let identity) = outcome { notes.sender = identity.sender }
        return outcome
    }

    /// Examines the token of a request whose authentication is `unchecked`.
    func examine(_ request: HTTPRequest) -> IssuerTokens.Examination {
        var outcome = IssuerTokens.Examination.refused(.unknownKey)
        request.withCredentials { credentials in
            guard case .one(let field) = credentials else { return }
            outcome = known.examine(field, from: trustedProxies.client(of: request).customerNetwork, keys.checks.checked)
        }
        return outcome
    }

    /// Whether other keys are on their way to this loop, which a token with an unknown key may be of.
    var awaitsKeys: Bool { known.awaits(keys) }

    /// Adds a token to the cache whose signature was checked elsewhere; false where its key has left meanwhile.
    func remember(_ verified: VerifiedToken, as token: UncheckedToken) -> Bool { known.remember(verified, as: token) }

    /// The answer to a request without an identity, which is counted.
    func refusal(_ fault: Authentication.Fault) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        refusals.count(fault)
        return resources.prepared.response(to: fault)
    }
}

extension Identity {
    /// Who sent a request, as the server's access log names it.
    var sender: RequestNotes.Sender {
        switch self {
        case .user(let id): .user(id.rawValue)
        case .admin(let subject): .admin(subject: subject)
        }
    }
}
