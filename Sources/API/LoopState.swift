import Commerce
import HTTPServer
import NIOCore
import Services
import Store

/// What belongs to one event loop: its services context, its token cache, its counters, and the top list as last rendered.
///
/// Safety of `@unchecked Sendable`: every `private var` is touched on the event loop alone, by the part of a request that
/// runs before its handler or by handlers, which all run there; every access checks. Everything else is itself `Sendable`.
final class LoopState: @unchecked Sendable {
    let eventLoop: any EventLoop
    let context: LoopContext
    /// One for each route of the table, in its order, and a last one for requests that no route answers.
    let counters: [RouteCounters]
    private var tokens = TokenCache()
    private var renderedTop = TopProductsAnswer()
    private var alreadyClaimed = AlreadyClaimedAnswers()
    private var products = RecentAnswers(.products)
    private var balances = RecentAnswers(.users)

    init(eventLoop: any EventLoop, context: LoopContext, routeCount: Int) {
        self.eventLoop = eventLoop
        self.context = context
        counters = (0...routeCount).map { _ in RouteCounters() }
    }

    /// Who a request comes from, by its `Authorization`.
    func authenticate(_ authorization: String?, at now: Instant, with verifier: TokenVerifier) -> Authentication {
        eventLoop.assertInEventLoop()
        guard var field = authorization else { return verifier.authenticate(nil, at: now, cache: &tokens) }
        return field.withUTF8 { verifier.authenticate(UnsafeRawBufferPointer($0), at: now, cache: &tokens) }
    }

    func topProducts(_ top: TopProducts) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        return renderedTop.response(for: top)
    }

    func alreadyClaimed(_ coupon: IssuedCoupon, at now: Instant) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        return alreadyClaimed.response(for: coupon, at: now)
    }

    func product(_ id: ProductID, _ changes: RowChanges, render: () throws -> HTTPResponse?) rethrows -> HTTPResponse? {
        eventLoop.assertInEventLoop()
        return try products.answer(id.rawValue, changes, render: render)
    }

    func balance(of id: UserID, _ changes: RowChanges, render: () throws -> HTTPResponse?) rethrows -> HTTPResponse? {
        eventLoop.assertInEventLoop()
        return try balances.answer(id.rawValue, changes, render: render)
    }
}
