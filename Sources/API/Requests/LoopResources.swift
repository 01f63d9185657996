import Commerce
import HTTPServer
import NIOCore
import Services
import Store

/// What the handlers of one event loop use: the services, and rendered answers that no other loop touches.
///
/// Safety of `@unchecked Sendable`: every `private var` is touched on the event loop alone, by handlers, which all run there;
/// every access checks. Everything else is itself `Sendable`.
final class LoopResources: @unchecked Sendable {
    let services: CommerceServices
    let store: TransactionalStore
    let context: LoopContext
    let metrics: MetricsPage
    let documents: PublishedDocuments
    let claims: ClaimOutcomes
    let prepared = PreparedAnswers()
    let shedding: LoadShedding
    let streams: StreamLimits
    private let eventLoop: any EventLoop
    private var renderedTop = TopProductsAnswer()
    private var alreadyClaimed = SlotCache<Int64, AlreadyClaimedResponse>(capacity: 4_096)
    private var products = SlotCache<Int64, RowAnswer<HTTPResponse.Representation>>(capacity: 4_096)
    private var balances = SlotCache<Int64, RowAnswer<HTTPResponse>>(capacity: 4_096)

    init(
        eventLoop: any EventLoop, services: CommerceServices, metrics: MetricsPage, claims: ClaimOutcomes, documents: PublishedDocuments,
        shedding: LoadShedding, streams: StreamLimits
    ) {
        (self.eventLoop, self.services, self.metrics, self.claims) = (eventLoop, services, metrics, claims)
        (self.documents, self.shedding, self.streams) = (documents, shedding, streams)
        store = services.store
        context = services.context(for: eventLoop)
    }

    func topProducts(_ top: TopProducts) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        return renderedTop.response(for: top)
    }

    /// The answer to a user who claims again, rendered once for each coupon and status.
    func alreadyClaimed(_ known: IssuedCouponCache.Entry, at now: Instant) -> HTTPResponse {
        eventLoop.assertInEventLoop()
        let (issued, status) = (known.issued, known.issued.status(at: now))
        let rendered = alreadyClaimed[key: issued.id.rawValue, hash: issued.id.rawValue]
        if let rendered, rendered.known === known, rendered.status == status { return rendered.response }
        var response: HTTPResponse?
        // Another copy of the same coupon: comparing its members costs less than rendering them.
        if let rendered, rendered.status == status, rendered.known.issued == issued { response = rendered.response }
        let current = response ?? Problem.couponAlreadyClaimed(issued, at: now).response
        alreadyClaimed[key: issued.id.rawValue, hash: issued.id.rawValue] = AlreadyClaimedResponse(known, status, current)
        return current
    }

    /// The answer that shows a product, rendered once for each change of its row.
    func product(_ id: ProductID) -> CachedAnswer<HTTPResponse.Representation> {
        eventLoop.assertInEventLoop()
        return answer(of: id.rawValue, in: .products, products[key: id.rawValue, hash: id.rawValue])
    }

    func keep(_ answer: HTTPResponse.Representation, asProduct id: ProductID, _ stamp: CacheLease.Stamp) {
        eventLoop.assertInEventLoop()
        products[key: id.rawValue, hash: id.rawValue] = RowAnswer(stamp: stamp, answer: answer)
    }

    /// The answer that shows a balance, as for ``product(_:)``.
    func balance(of id: UserID) -> CachedAnswer<HTTPResponse> {
        eventLoop.assertInEventLoop()
        return answer(of: id.rawValue, in: .users, balances[key: id.rawValue, hash: id.rawValue])
    }

    func keep(_ answer: HTTPResponse, asBalanceOf id: UserID, _ stamp: CacheLease.Stamp) {
        eventLoop.assertInEventLoop()
        balances[key: id.rawValue, hash: id.rawValue] = RowAnswer(stamp: stamp, answer: answer)
    }

    private func answer<Answer>(of id: Int64, in table: RowVersions.Table, _ known: RowAnswer<Answer>?) -> CachedAnswer<Answer> {
        let now = NIODeadline.now()
        if let known, context.isValid(known.stamp, of: id, in: table, at: now) { return .valid(known.answer) }
        return .outdated(context.stamp(of: id, in: table, at: now))
    }
}

/// A rendered answer that shows a row, if a valid one is cached.
enum CachedAnswer<Answer> {
    case valid(Answer)
    /// The row has to be read. Its answer is kept under this stamp, which was taken before, so that a change in between makes it outdated.
    case outdated(CacheLease.Stamp)
}

/// A rendered answer that shows one row of the store.
private struct RowAnswer<Answer> {
    let stamp: CacheLease.Stamp
    let answer: Answer
}

/// A rendered refusal that shows the coupon that its claimant has. A class, so that reading one copies nothing.
private final class AlreadyClaimedResponse: Sendable {
    /// The entry of the coupon cache. The same object is the same coupon, so its members need not be compared.
    let known: IssuedCouponCache.Entry
    let status: IssuedCoupon.Status
    let response: HTTPResponse

    init(_ known: IssuedCouponCache.Entry, _ status: IssuedCoupon.Status, _ response: HTTPResponse) {
        (self.known, self.status, self.response) = (known, status, response)
    }
}
