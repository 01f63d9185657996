import Commerce
import FaultPoints
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
    private let server = Mutex(WeakServer())

    private let router: Router
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
        verifier = tokenKey.verifier()
        router = Router(routes: routes.map { ($0.method, $0.template) })
        let routeCount = routes.count
        loops = eventLoopGroup.makeIterator().map {
            LoopState(eventLoop: $0, context: services.context(for: $0), routeCount: routeCount)
        }
    }

    /// Answers one request; give it to the HTTP server.
    package var answering: @Sendable (HTTPRequest) -> HTTPAnswer {
        { [self] request in answer(to: request) }
    }

    /// The same with one asynchronous face, for callers that have no server. Call it on the request's loop.
    package var handler: HTTPHandler {
        { [self] request in
            switch answer(to: request) {
            case .now(let response): return response
            case .task(let work): return await work()
            case .later(let begin): return await withCheckedContinuation { continuation in begin { continuation.resume(returning: $0) } }
            }
        }
    }

    /// Renders the answers the HTTP server gives by itself as the contract's problems.
    package var refusalResponse: @Sendable (HTTPRefusal) -> HTTPResponse {
        { PreparedAnswers.response(to: $0) }
    }

    /// Adds the server's own numbers to `/metrics`; the server is made after this application, so it is told later.
    package func reportStatistics(of server: HTTPServer) {
        self.server.withLock { $0.value = server }
    }

    /// Nil before `reportStatistics` and once the server is gone.
    var serverStatistics: HTTPServerStatistics? { server.withLock { $0.value }?.statistics }

    /// The server keeps the application, not the other way round.
    private struct WeakServer {
        weak var value: HTTPServer?
    }

    private func answer(to request: HTTPRequest) -> HTTPAnswer {
        let loop = loop(of: request)
        switch router.match(method: request.method, path: request.path) {
        case .found(let index, let parameters):
            let call = Call(
                route: routes[index], request: request, parameters: parameters, application: self, loop: loop, now: clock.now)
            do {
                return answer(try reply(to: call), to: call, counter: index)
            } catch {
                return .now(finish(request, loop, index, response(to: error, of: call)))
            }
        case .notFound:
            return .now(finish(request, loop, routes.count, PreparedAnswers.notFound))
        case .methodNotAllowed(let allowed):
            return .now(finish(request, loop, routes.count, Problem.methodNotAllowed(allowed).response))
        case .malformedPath:
            return .now(finish(request, loop, routes.count, Problem.invalid("The path is not percent-encoded UTF-8.").response))
        }
    }

    /// Has the server's form of a reply count the answer when it is there.
    private func answer(_ reply: Reply, to call: Call, counter: Int) -> HTTPAnswer {
        switch reply {
        case .now(let response):
            return .now(finish(call.request, call.loop, counter, response))
        case .callback(let begin):
            return .later { [self] respond in
                begin { [self] result in respond(finish(call.request, call.loop, counter, response(to: result, of: call))) }
            }
        case .task(let work):
            return .task { [self] in
                let result: Result<HTTPResponse, any Error>
                do { result = .success(try await work()) } catch { result = .failure(error) }
                return finish(call.request, call.loop, counter, response(to: result, of: call))
            }
        }
    }

    private func finish(_ request: HTTPRequest, _ loop: LoopState, _ counter: Int, _ response: HTTPResponse) -> HTTPResponse {
        if response.status == 201 { FaultPoint.beforeAnswer.reached() }
        let nanoseconds = (NIODeadline.now() - request.receivedAt).nanoseconds
        loop.counters[counter].count(status: response.status, nanoseconds: nanoseconds)
        if logsRequests { log(request, response, nanoseconds) }
        return response
    }

    private func loop(of request: HTTPRequest) -> LoopState {
        // A machine has few loops: looking along them costs less than hashing.
        for loop in loops where loop.eventLoop === request.eventLoop { return loop }
        preconditionFailure("the event loop is not one of this application's")
    }

    private func response(to result: Result<HTTPResponse, any Error>, of call: Call) -> HTTPResponse {
        switch result {
        case .success(let response): response
        case .failure(let error): response(to: error, of: call)
        }
    }

    private func response(to error: any Error, of call: Call) -> HTTPResponse {
        let failure = Failure(error)
        let metadata: Logger.Metadata = ["route": "\(call.route.operationID)", "error": "\(error)"]
        switch failure {
        case .refused(let problem): return problem.response
        case .unavailable: logger.debug("request not served", metadata: metadata)
        case .broken: logger.error("request failed", metadata: metadata)
        }
        return failure.problem.response
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
    private func reply(to call: Call) throws -> Reply {
        if case .open(let handler) = call.route.access { return try handler(call) }
        let identity: Identity
        switch call.loop.authenticate(call.request.authorization, at: call.now, with: verifier) {
        case .authenticated(let known): identity = known
        case .refused(let fault): return .now(PreparedAnswers.response(to: fault))
        }
        let admission = Admission(
            call.route.access, identity, pathUser: try call.pathUser(), userExists: services.store.userExists)
        if case .refused(let response) = admission { return .now(response) }
        guard call.route.honoursIdempotencyKey, let key = try AnswerKey(call.request, of: identity) else {
            return try admission.reply(to: call)
        }
        return try once(call, key, admission)
    }

    /// Answers a request whose key is known from memory; keeps others with the same key out while the first one runs.
    private func once(_ call: Call, _ key: AnswerKey, _ admission: Admission) throws -> Reply {
        guard runningKeys.take(key) else { return .now(call.refusal(.idempotencyKeyInUse)) }
        do {
            switch try call.reader.answer(for: key, at: call.now) {
            case .remembered(let answer):
                runningKeys.release(key)
                return .now(call.replay(answer))
            case .reused:
                runningKeys.release(key)
                return .now(call.refusal(.idempotencyKeyReused))
            case .absent:
                let reply = try admission.reply(to: call.remembered(under: key))
                return .task { [runningKeys] in
                    defer { runningKeys.release(key) }
                    return try await reply.response()
                }
            }
        } catch {
            runningKeys.release(key)
            throw error
        }
    }
}
