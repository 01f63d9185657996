import Commerce
package import HTTPServer
package import Logging
package import NIOCore
import NIOHTTP1
package import Services
import Store
import Synchronization

/// The whole application between an HTTP server and the services, built by one function for the executable and for tests.
package final class FirstcomeAPI: Sendable {
    let services: Services
    let routes = RouteTable.routes
    let loops: [LoopState]
    let serverStatistics = Mutex<(@Sendable () -> HTTPServerStatistics?)?>(nil)

    private let router: Router<Int>
    private let verifier: TokenVerifier
    private let runningKeys = RunningKeys()
    private let clock: WallClock
    private let logger: Logger
    /// Looked up once: it decides whether a request is described at all.
    private let logsRequests: Bool

    /// - Parameters:
    ///   - services: made with the same event loops.
    ///   - tokenKey: verifies the tokens of requests.
    ///   - eventLoopGroup: the loops of the server whose requests come here.
    ///   - logger: at debug level one line for each request; at any level what went wrong here. Never a token or a body.
    package init(services: Services, tokenKey: TokenKey, eventLoopGroup: any EventLoopGroup, logger: Logger) async throws {
        self.services = services
        self.logger = logger
        logsRequests = logger.logLevel <= .debug
        clock = services.configuration.clock
        verifier = try await tokenKey.verifier()
        router = Router(routes: routes.enumerated().map { ($0.element.method, $0.element.template, $0.offset) })
        let routeCount = routes.count
        loops = eventLoopGroup.makeIterator().map {
            LoopState(eventLoop: $0, context: services.context(for: $0), routeCount: routeCount)
        }
    }

    /// Answers one request; give it to the HTTP server.
    package var handler: HTTPHandler {
        { [self] request in await respond(to: request) }
    }

    /// Renders the answers the HTTP server gives by itself as the contract's problems.
    package var refusalResponse: @Sendable (HTTPRefusal) -> HTTPResponse {
        { PreparedAnswers.response(to: $0) }
    }

    /// Adds the server's own numbers to `/metrics`; the server is made after this application, so it is told later.
    package func reportStatistics(of server: HTTPServer) {
        serverStatistics.withLock { $0 = { [weak server] in server?.statistics } }
    }

    private func respond(to request: HTTPRequest) async -> HTTPResponse {
        let loop = loop(of: request)
        let index: Int
        let response: HTTPResponse
        switch router.match(method: request.method, path: request.path) {
        case .found(let found, let parameters):
            index = found
            response = await answer(request, on: loop, routes[found], parameters)
        case .notFound:
            (index, response) = (routes.count, PreparedAnswers.notFound)
        case .methodNotAllowed(let allowed):
            (index, response) = (routes.count, Problem.methodNotAllowed(allowed).response)
        case .malformedPath:
            (index, response) = (routes.count, Problem.invalid("The path is not percent-encoded UTF-8.").response)
        }
        let nanoseconds = (NIODeadline.now() - request.receivedAt).nanoseconds
        loop.counters[index].count(status: response.status, nanoseconds: nanoseconds)
        if logsRequests { log(request, response, nanoseconds) }
        return response
    }

    private func loop(of request: HTTPRequest) -> LoopState {
        // A machine has few loops: looking along them costs less than hashing.
        for loop in loops where loop.eventLoop === request.eventLoop { return loop }
        preconditionFailure("the event loop is not one of this application's")
    }

    private func answer(
        _ request: HTTPRequest, on loop: LoopState, _ route: Route, _ parameters: RouteParameters
    ) async -> HTTPResponse {
        let call = Call(
            route: route, request: request, parameters: parameters, application: self, loop: loop, now: clock.now, answerKey: nil)
        do {
            return try await admit(call)
        } catch {
            let failure = Failure(error)
            switch failure {
            case .refused(let problem): return problem.response
            case .unavailable: logger.debug("request not served", metadata: ["route": "\(route.operationID)", "error": "\(error)"])
            case .broken: logger.error("request failed", metadata: ["route": "\(route.operationID)", "error": "\(error)"])
            }
            return failure.problem.response
        }
    }

    private func log(_ request: HTTPRequest, _ response: HTTPResponse, _ nanoseconds: Int64) {
        logger.debug(
            "request",
            metadata: [
                "method": "\(request.method)", "path": "\(request.path)", "status": "\(response.status)",
                "microseconds": "\(nanoseconds / 1000)",
            ])
    }

    /// Lets a call through to its handler if its token says so.
    private func admit(_ call: Call) async throws -> HTTPResponse {
        if case .open(let handler) = call.route.access { return try await handler(call) }
        let identity: Identity
        switch call.loop.authenticate(call.request.authorization, at: call.now, with: verifier) {
        case .authenticated(let known): identity = known
        case .refused(let fault): return PreparedAnswers.response(to: fault)
        }
        let admission = Admission(
            call.route.access, identity, pathUser: try call.pathUser(), userExists: services.store.userExists)
        if case .refused(let response) = admission { return response }
        return try await once(call, of: identity, admission)
    }

    /// Answers a request whose key is known from memory; keeps others with the same key out while the first one runs.
    private func once(_ call: Call, of identity: Identity, _ admission: Admission) async throws -> HTTPResponse {
        guard call.route.honoursIdempotencyKey, let key = try AnswerKey(call.request, of: identity) else {
            return try await admission.answer(call)
        }
        guard runningKeys.take(key) else { return call.refusal(.idempotencyKeyInUse) }
        defer { runningKeys.release(key) }
        switch try call.reader.answer(for: key, at: call.now) {
        case .remembered(let answer): return call.replay(answer)
        case .reused: return call.refusal(.idempotencyKeyReused)
        case .absent:
            var call = call
            call.answerKey = key
            return try await admission.answer(call)
        }
    }
}
