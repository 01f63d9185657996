import Commerce
package import HTTPServer
package import Logging
package import NIOCore
package import Services
import Store

/// The HTTP API: the layer between an HTTP server and the services. The executable and the tests make it in the same way.
package final class FirstcomeAPI: Sendable {
    private let dispatchers: [RequestDispatcher]
    private let metrics: MetricsPage
    private let prepared = PreparedAnswers()

    /// - Parameters:
    ///   - services: made with the same event loops.
    ///   - tokenKey: verifies the tokens of requests.
    ///   - eventLoopGroup: the loops of the server whose requests come here.
    ///   - logger: gets one line for each request at debug level, and every internal error; never a token or a body.
    package init(services: CommerceServices, tokenKey: TokenKey, eventLoopGroup: any EventLoopGroup, logger: Logger) {
        let endpoints = RouteTable.routes.map(\.endpoint)
        let eventLoops = Array(eventLoopGroup.makeIterator())
        let loops = eventLoops.map { _ in LoopMetrics(routeCount: endpoints.count) }
        let metrics = MetricsPage(services: services, endpoints: endpoints, loops: loops)
        let inFlightKeys = InFlightKeys()
        self.metrics = metrics
        dispatchers = zip(eventLoops, loops).map { eventLoop, counters in
            RequestDispatcher(
                routes: RouteTable.routes, counters: counters,
                resources: LoopResources(eventLoop: eventLoop, services: services, metrics: metrics, claims: counters.claims),
                eventLoop: eventLoop,
                verifier: tokenKey.verifier(), inFlightKeys: inFlightKeys, logger: logger)
        }
    }

    /// Answers the requests of one event loop; give it to the HTTP server.
    package func responder(on eventLoop: any EventLoop) -> HTTPResponder {
        guard let dispatcher = dispatchers.first(where: { $0.eventLoop === eventLoop }) else {
            preconditionFailure("the event loop is not one of this application's")
        }
        return { (request: consuming HTTPRequest) in dispatcher.answer(to: request) }
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

    /// Adds the server's own numbers to `/metrics`; the server is made after this object and needs it, so it cannot be passed to `init`.
    package func reportStatistics(of server: HTTPListener) { metrics.reportStatistics(of: server) }

    /// The server's own numbers; nil before ``reportStatistics(of:)`` and once the server is gone.
    var serverStatistics: HTTPServerStatistics? { metrics.serverStatistics }
}
