import Commerce
import HTTPServer
import Logging
import NIOCore
import Services
import Store

/// One event loop's share of the application: routes, prepared answers and caches that no other loop touches.
///
/// Safety of `@unchecked Sendable`: every `private var` is touched on the event loop alone, by the part of a request that
/// runs before its handler or by handlers, which all run there; every access checks. `application` is set once, before the first
/// request. Everything else is itself `Sendable`.
final class LoopState: @unchecked Sendable {
    let eventLoop: any EventLoop
    let services: Services
    let store: Store
    let context: LoopContext
    let routes: [Route]
    let prepared = PreparedAnswers()
    let verifier: TokenVerifier
    let inFlightKeys: InFlightKeys
    let clock: WallClock
    let logger: Logger
    /// Looked up once: it decides whether a request is described at all.
    let logsRequests: Bool
    /// One for each route of the table, in its order, and a last one for requests that no route answers.
    let counters: [RouteCounters]
    weak var application: FirstcomeAPI?
    private var matches: RecentMatches
    private var tokens = TokenCache()
    private var renderedTop = TopProductsAnswer()
    private var alreadyClaimed = AlreadyClaimedAnswers()
    private var products = RecentAnswers(.products)
    private var balances = RecentAnswers(.users)

    init(eventLoop: any EventLoop, services: Services, verifier: TokenVerifier, inFlightKeys: InFlightKeys, logger: Logger) {
        self.eventLoop = eventLoop
        self.services = services
        store = services.store
        self.verifier = verifier
        self.inFlightKeys = inFlightKeys
        self.logger = logger
        logsRequests = logger.logLevel <= .debug
        clock = services.configuration.clock
        context = services.context(for: eventLoop)
        routes = RouteTable.routes
        matches = RecentMatches(Router(routes: routes.map { ($0.method, $0.template) }))
        counters = (0...routes.count).map { _ in RouteCounters() }
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

    func topProducts(_ top: TopProducts) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        return renderedTop.response(for: top)
    }

    func alreadyClaimed(_ coupon: IssuedCoupon, at now: Instant) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        return alreadyClaimed.response(for: coupon, at: now)
    }

    func alreadyClaimed(_ known: RecentCoupons.Entry, at now: Instant) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        return alreadyClaimed.response(for: known, at: now)
    }

    func product(_ id: ProductID, _ changes: RowVersions, render: () throws -> HTTPResponse?) rethrows -> HTTPResponse? {
        eventLoop.assertInEventLoop()
        return try products.answer(id.rawValue, changes, render: render)
    }

    func balance(of id: UserID, _ changes: RowVersions, render: () throws -> HTTPResponse?) rethrows -> HTTPResponse? {
        eventLoop.assertInEventLoop()
        return try balances.answer(id.rawValue, changes, render: render)
    }
}
