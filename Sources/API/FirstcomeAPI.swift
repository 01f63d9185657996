import Commerce
package import HTTPServer
package import Logging
package import NIOCore
package import Services
import Store

/// The HTTP API: the layer between an HTTP server and the services. The executable and the tests make it in the same way.
package final class FirstcomeAPI: Sendable {
    /// For each event loop, those of the listeners by their role.
    private let dispatchers: [[ListenerRole: RequestDispatcher]]
    private let metrics: MetricsPage
    private let prepared = PreparedAnswers()
    /// What makes snapshots for those who watch the service.
    let live: LiveHub
    /// The places of streams.
    let streams = StreamLimits()
    /// The memory for long lists.
    let lists = LargeBodies()

    /// The same, with tokens of one key.
    package convenience init(
        services: CommerceServices, tokenKey: TokenKey, eventLoopGroup: any EventLoopGroup, servesOperatorsApart: Bool = false,
        crossOrigin: CrossOriginPolicy? = nil, limits: RequestLimits = RequestLimits(), logger: Logger
    ) {
        self.init(
            services: services, tokenKeys: TokenKeys(tokenKey), eventLoopGroup: eventLoopGroup,
            servesOperatorsApart: servesOperatorsApart, crossOrigin: crossOrigin, limits: limits, logger: logger)
    }

    /// - Parameters:
    ///   - services: made with the same event loops.
    ///   - tokenKeys: verify the tokens of requests.
    ///   - eventLoopGroup: the loops of the servers whose requests come here.
    ///   - servesOperatorsApart: whether operators have a listener of their own; then the other one has no routes for operators alone.
    ///   - crossOrigin: the policy of the servers whose requests come here.
    ///   - limits: on clients and on queues.
    ///   - logger: gets one line for each request at debug level, and every internal error; never a token or a body.
    package init(
        services: CommerceServices, tokenKeys: TokenKeys, eventLoopGroup: any EventLoopGroup, servesOperatorsApart: Bool = false,
        crossOrigin: CrossOriginPolicy? = nil, limits: RequestLimits = RequestLimits(), logger: Logger
    ) {
        let endpoints = RouteTable.routes.map(\.endpoint)
        let eventLoops = Array(eventLoopGroup.makeIterator())
        let loops = eventLoops.map { _ in LoopMetrics(routeCount: endpoints.count) }
        let shedding = eventLoops.map { eventLoop in
            LoadShedding(
                limits, eventLoop: eventLoop, store: services.store, context: services.context(for: eventLoop))
        }
        let buckets = ClientBuckets(limits)
        let outage = RateLimitOutage(logger: logger)
        let metrics = MetricsPage(services: services, endpoints: endpoints, loops: loops, shedding: shedding, tokenKeys: tokenKeys)
        let inFlightKeys = InFlightKeys()
        let (streams, live) = (streams, LiveHub(services: services, metrics: metrics))
        self.live = live
        let roles: [ListenerRole] = servesOperatorsApart ? [.clients, .operators] : [.everybody]
        let documents = PublishedDocuments(chargeAmounts: services.configuration.policy.chargeAmounts)
        self.metrics = metrics
        dispatchers = eventLoops.indices.map { index in
            let (eventLoop, counters) = (eventLoops[index], loops[index])
            let limiter = buckets.map { buckets in
                let shared = SharedTokenBuckets(
                    connection: services.context(for: eventLoop).redis, address: limits.address, user: limits.user,
                    patience: limits.patience, outage: outage)
                return RequestLimiter(buckets, shared: limits.areShared ? shared : nil)
            }
            let resources = LoopResources(
                eventLoop: eventLoop, services: services, metrics: metrics, live: live, counters: counters, documents: documents,
                shedding: shedding[index], streams: streams)
            let notes = RequestNotes()
            // Listeners of one loop share its counters, its rendered answers and its notes. Operators are not limited.
            let dispatchers = roles.map { role in
                let routes = RouteTable.routes
                let places = routes.indices.filter { routes[$0].endpoint.isServed(by: role) }
                return RequestDispatcher(
                    routes: places.map { routes[$0] }, places: places,
                    counters: places.map { counters.routes[$0] } + counters.routes.suffix(1),
                    refusals: counters.tokens, resources: resources, notes: notes, eventLoop: eventLoop, keys: tokenKeys,
                    inFlightKeys: inFlightKeys,
                    limiter: role == .operators ? nil : limiter, trustedProxies: limits.trustedProxies, crossOrigin: crossOrigin,
                    logger: logger)
            }
            return Dictionary(uniqueKeysWithValues: zip(roles, dispatchers))
        }
    }

    /// Answers the requests of one event loop; give it to the HTTP server. Where operators are served apart, it serves clients.
    package func responder(on eventLoop: any EventLoop) -> HTTPResponder {
        guard let dispatcher = dispatcher(of: .everybody, on: eventLoop) ?? dispatcher(of: .clients, on: eventLoop) else {
            preconditionFailure("the event loop is not one of this application's")
        }
        return { (request: consuming HTTPRequest) in dispatcher.answer(to: request) }
    }

    /// Where the requests of one event loop are described; give it to the HTTP server.
    package func notes(on eventLoop: any EventLoop) -> RequestNotes? {
        dispatchers.lazy.compactMap(\.values.first).first { $0.eventLoop === eventLoop }?.notes
    }

    /// The templates of the routes, in the order that the notes about requests count.
    package static var routeTemplates: [String] { RouteTable.routes.map(\.endpoint.template) }

    /// Answers the requests of one event loop to the server for operators, where they are served apart.
    package func operatorsResponder(on eventLoop: any EventLoop) -> HTTPResponder {
        guard let dispatcher = dispatcher(of: .operators, on: eventLoop) else {
            preconditionFailure("the event loop is not one of this application's, or operators are not served apart")
        }
        return { (request: consuming HTTPRequest) in dispatcher.answer(to: request) }
    }

    /// Decides which requests may have bodies beyond the ordinary limit; give it to the HTTP server.
    ///
    /// - Parameter operators: whether for the server for operators, where they are served apart.
    package func largeBodies(ofOperators operators: Bool = false) -> LargeBodyGate {
        { [self] request, length in
            let (loop, role) = (request.eventLoop, operators ? ListenerRole.operators : .clients)
            guard let dispatcher = dispatcher(of: .everybody, on: loop) ?? dispatcher(of: role, on: loop) else {
                return .refused(.payloadTooLarge)
            }
            return dispatcher.admit(request, length: length, to: lists)
        }
    }

    private func dispatcher(of role: ListenerRole, on eventLoop: any EventLoop) -> RequestDispatcher? {
        dispatchers.lazy.compactMap { $0[role] }.first { $0.eventLoop === eventLoop }
    }

    /// Answers requests of any of its loops, for callers that have no server. Call it on the request's loop.
    package var handler: HTTPHandler {
        { [self] request in
            do {
                return try await responder(on: request.eventLoop)(request).response()
            } catch {
                return refusalResponse(.handlerFailed)
            }
        }
    }

    /// Renders the answers that the HTTP server gives by itself as problem documents.
    package var refusalResponse: @Sendable (HTTPRefusal) -> HTTPResponse {
        { [prepared] in prepared.response(to: $0) }
    }

    /// Adds to `/metrics` the numbers of parts that are made after this object.
    ///
    /// - Parameters:
    ///   - servers: the listeners, whose numbers are added up. They are not retained.
    ///   - version: of the program.
    package func report(servers: [HTTPListener], version: String? = nil) {
        metrics.report(servers: servers, version: version)
    }

    /// The refused tokens of each event loop.
    var tokenRefusals: [TokenRefusals] { metrics.tokenRefusals }

    /// The servers' own numbers; nil before ``report(servers:version:)`` and once the servers are gone.
    var serverStatistics: HTTPServerStatistics? { metrics.serverStatistics }
}
