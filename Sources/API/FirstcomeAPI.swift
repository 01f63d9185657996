import Commerce
package import HTTPServer
package import Logging
package import NIOCore
package import Services
import Store
import Synchronization

/// The whole application between an HTTP server and the services, built by one function for the executable and for tests.
package final class FirstcomeAPI: Sendable {
    let services: CommerceServices
    let loops: [LoopState]
    private let server = Mutex(WeakServer())
    private let prepared = PreparedAnswers()

    /// - Parameters:
    ///   - services: made with the same event loops.
    ///   - tokenKey: verifies the tokens of requests.
    ///   - eventLoopGroup: the loops of the server whose requests come here.
    ///   - logger: at debug level one line for each request; at any level what went wrong here. Never a token or a body.
    package init(services: CommerceServices, tokenKey: TokenKey, eventLoopGroup: any EventLoopGroup, logger: Logger) {
        self.services = services
        let inFlightKeys = InFlightKeys()
        var loops: [LoopState] = []
        for eventLoop in eventLoopGroup.makeIterator() {
            loops.append(
                LoopState(
                    eventLoop: eventLoop, services: services, verifier: tokenKey.verifier(), inFlightKeys: inFlightKeys,
                    logger: logger))
        }
        self.loops = loops
        for loop in loops { loop.application = self }
    }

    /// Answers the requests of one event loop; give it to the HTTP server.
    package func responder(on eventLoop: any EventLoop) -> HTTPResponder {
        guard let loop = loops.first(where: { $0.eventLoop === eventLoop }) else {
            preconditionFailure("the event loop is not one of this application's")
        }
        return { [self] (request: consuming HTTPRequest) in
            // The responder keeps the application, which the loop only knows.
            defer { withExtendedLifetime(self) {} }
            return loop.answer(to: request)
        }
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

    /// Renders the answers the HTTP server gives by itself as the contract's problems.
    package var refusalResponse: @Sendable (HTTPRefusal) -> HTTPResponse {
        { [prepared] in prepared.response(to: $0) }
    }

    /// Adds the server's own numbers to `/metrics`; the server is made after this application, so it is told later.
    package func reportStatistics(of server: HTTPListener) {
        self.server.withLock { $0.value = server }
    }

    /// Nil before `reportStatistics` and once the server is gone.
    var serverStatistics: HTTPServerStatistics? { server.withLock { $0.value }?.statistics }

    /// The server keeps the application, not the other way round.
    private struct WeakServer {
        weak var value: HTTPListener?
    }
}
