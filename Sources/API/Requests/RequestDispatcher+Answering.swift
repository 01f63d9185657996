import Commerce
import FaultPoints
import HTTPServer
import Logging
import NIOCore
import Services
import Store
import TraceContext

extension RequestDispatcher {
    /// Answers one request at once, by callback or in a task. Runs on the event loop.
    func answer(to request: consuming HTTPRequest) -> HTTPAnswer {
        resources.shedding.noteRequest(waitedMilliseconds: request.waited)
        if notesClients { noteClient(of: request) }
        switch match(request) {
        case .found(let place, let parameters):
            notes.route = places[place]
            let call = Call(endpoint: endpoints[place], request: request, parameters: parameters, loop: resources, now: clock.now)
            if let limiter, call.endpoint.isLimited { return answer(call, place, within: limiter) }
            return answer(call, place, nil)
        case .notFound where request.method == .options && request.path == "*":
            return unrouted(request, serverOptions)
        case .notFound:
            return unrouted(request, resources.prepared.notFound)
        case .methodNotAllowed(let allowed) where crossOrigin?.isPreflight(request) == true:
            return .now(count(.preflight(allowed), to: request, endpoints.count))
        case .methodNotAllowed(let allowed):
            return unrouted(request, Problem.methodNotAllowed(allowed).response)
        case .malformedPath:
            return unrouted(request, Problem.invalid("The path is not percent-encoded UTF-8.").response)
        }
    }

    private func noteClient(of request: HTTPRequest) {
        let client = trustedProxies.client(of: request)
        if client != request.peer { notes.client = client }
    }

    /// Answers a request that is within the limits of its client.
    ///
    /// - Parameter authentication: nil where the token was not looked at.
    func answer(_ call: Call, _ place: Int, _ authentication: Authentication?) -> HTTPAnswer {
        do {
            return counted(try reply(to: call, by: accesses[place], authentication), to: call, place)
        } catch {
            return .now(count(response(to: error, of: call.endpoint, call.request.id), to: call.request, place))
        }
    }

    /// The same answer, counted when it is ready, with errors turned into problems.
    private func counted(_ answer: HTTPAnswer, to call: Call, _ place: Int) -> HTTPAnswer {
        if case .now(let response) = answer { return .now(count(response, to: call.request, place)) }
        // Closures capture these instead of the whole call, which is larger.
        let (endpoint, receivedAt, id) = (call.endpoint, call.request.receivedAt, call.request.id)
        let logged = logsRequests ? LoggedRequest(call.request) : nil
        switch answer {
        case .now: return answer
        case .callback(let begin):
            return .callback { done in
                begin { result in done(.success(self.count(self.response(to: result, of: endpoint, id), receivedAt, logged, place))) }
            }
        case .task(let work):
            return .task(counting(work, of: endpoint, id, receivedAt, logged, place))
        case .cancellableTask(let work):
            return .cancellableTask(counting(work, of: endpoint, id, receivedAt, logged, place))
        case .deferredTask(let work):
            return .deferredTask {
                do {
                    return self.counted(try await work(), to: call, place)
                } catch {
                    return .now(self.count(self.response(to: error, of: endpoint, id), receivedAt, logged, place))
                }
            }
        case .stream(let stream):
            // Counted when it begins: how long it lasts is up to its reader.
            _ = count(stream.head, receivedAt, logged, place)
            return .stream(logging(stream, of: endpoint, id))
        case .deferred:
            preconditionFailure("handlers defer no answers")
        }
    }

    /// The same stream, whose failure is logged. Its status is sent already, so nothing else tells an operator of it.
    private func logging(_ stream: HTTPStream, of endpoint: Endpoint, _ id: RequestID) -> HTTPStream {
        let body = stream.body
        return stream.with(body: { [logger] writer in
            do {
                try await body(writer)
            } catch {
                if !(error is HTTPStreamIsOver || error is CancellationError) {
                    let metadata: Logger.Metadata = ["request": "\(id)", "route": "\(endpoint.operationID)", "error": "\(error)"]
                    logger.error("stream cut", metadata: metadata)
                }
                throw error
            }
        })
    }

    /// An answer whose form is decided in a task. Only routes that stream pay for the longer way.
    func afterwards(_ call: Call, _ work: @escaping @Sendable () async throws -> HTTPAnswer) -> HTTPAnswer {
        if call.endpoint.stream != nil { return .deferredTask(work) }
        return .task { try await work().response() }
    }

    private func counting(
        _ work: @escaping @Sendable () async throws -> HTTPResponse, of endpoint: Endpoint, _ id: RequestID,
        _ receivedAt: NIODeadline, _ logged: LoggedRequest?, _ place: Int
    ) -> @Sendable () async throws -> HTTPResponse {
        {
            let result: Result<HTTPResponse, any Error>
            do { result = .success(try await work()) } catch { result = .failure(error) }
            return self.count(self.response(to: result, of: endpoint, id), receivedAt, logged, place)
        }
    }

    func count(_ response: HTTPResponse, to request: HTTPRequest, _ place: Int) -> HTTPResponse {
        count(response, request.receivedAt, logsRequests ? LoggedRequest(request) : nil, place)
    }

    private func count(_ response: HTTPResponse, _ receivedAt: NIODeadline, _ logged: LoggedRequest?, _ place: Int) -> HTTPResponse {
        if response.status == 201 { FaultPoint.beforeAnswer.reached() }
        let nanoseconds = (NIODeadline.now() - receivedAt).nanoseconds
        counters[place].count(status: response.status, nanoseconds: nanoseconds)
        if let logged { log(logged, response, nanoseconds) }
        return response
    }

    /// The parts of a request that its log line names.
    private final class LoggedRequest: Sendable {
        let id: RequestID
        let method: String
        let path: String
        let trace: String?

        init(_ request: HTTPRequest) {
            (id, method, path) = (request.id, request.methodName, request.path)
            trace = request.traceParent?.traceIDText
        }
    }

    private func response(to result: Result<HTTPResponse, any Error>, of endpoint: Endpoint, _ id: RequestID) -> HTTPResponse {
        switch result {
        case .success(let response): response
        case .failure(let error): response(to: error, of: endpoint, id)
        }
    }

    private func response(to error: any Error, of endpoint: Endpoint, _ id: RequestID) -> HTTPResponse {
        let failure = Failure(error)
        // Described only where it is logged, because describing a problem with many faults takes long.
        func metadata() -> Logger.Metadata { ["request": "\(id)", "route": "\(endpoint.operationID)", "error": "\(error)"] }
        switch failure {
        case .refused(let problem): return problem.response
        case .unavailable: logger.debug("request not served", metadata: metadata())
        case .broken: logger.error("request failed", metadata: metadata())
        }
        return failure.problem.response
    }

    private func log(_ request: LoggedRequest, _ response: HTTPResponse, _ nanoseconds: Int64) {
        var metadata: Logger.Metadata = [
            "request": "\(request.id)", "method": "\(request.method)", "path": "\(request.path)", "status": "\(response.status)",
            "microseconds": "\(nanoseconds / 1000)",
        ]
        if let trace = request.trace { metadata["trace"] = "\(trace)" }
        logger.debug("request", metadata: metadata)
    }

    /// Runs the call's handler if its token permits it; otherwise answers the refusal.
    private func reply(to call: Call, by access: Route.Access, _ authentication: Authentication?) throws -> HTTPAnswer {
        if case .open(let handler) = access {
            if call.endpoint.work == .browsing, let refusal = resources.shedding.refusal(of: .browsing) { return .now(refusal) }
            return try handler(call)
        }
        switch authentication ?? authenticate(call.request, at: call.now) {
        case .authenticated(let identity): return try reply(to: call, by: access, as: identity)
        case .refused(let fault): return .now(refusal(fault))
        case .unchecked: return try replyAfterCheck(to: call, by: access)
        }
    }

    /// Runs the call's handler if the route admits this identity; otherwise answers the refusal.
    @inline(__always)
    func reply(to call: Call, by access: Route.Access, as identity: Identity) throws -> HTTPAnswer {
        let admission = Admission(
            access, identity, pathUser: try call.pathUser(), prepared: resources.prepared,
            userExists: { resources.store.userExists($0) })
        switch admission {
        case .refused(let response): return .now(response)
        case .unknownUser(let id): return try replyToUnknown(id, call, by: access, as: identity)
        case .list: return try replyToList(call, admission, identity)
        case .plain, .user, .acting, .identity: break
        }
        guard call.endpoint.acceptsIdempotencyKey, let key = try IdempotencyKey(call.request, of: identity) else {
            if let refusal = shed(call, identity) { return .now(refusal) }
            return try admission.reply(to: call)
        }
        return try once(call, key, admission, identity)
    }

    /// Answers a request of a user that this service does not know. A store on a server is asked first, because another service may have
    /// made the user.
    private func replyToUnknown(
        _ id: UserID, _ call: Call, by access: Route.Access, as identity: Identity
    ) throws -> HTTPAnswer {
        guard resources.store.isOnServer, case .later(let lookUp) = try call.reader.find(user: id, on: call.loop.context) else {
            return .now(resources.prepared.userNotFound)
        }
        return afterwards(call) { [self] in
            let user = await withUnsafeContinuation { continuation in lookUp { continuation.resume(returning: $0) } }
            // The look-up has also told how many users there are, by which the user is known from now on.
            guard try user.get() != nil, resources.store.userExists(id) else { return .now(resources.prepared.userNotFound) }
            return try reply(to: call, by: access, as: identity)
        }
    }

    /// The refusal of work that would join a queue that stands; nil where it may begin. A claim is looked at later, because most claims are
    /// answered from memory.
    private func shed(_ call: Call, _ identity: Identity) -> HTTPResponse? {
        let work = call.endpoint.work
        guard work != .kept, work != .claim, case .user = identity else { return nil }
        return resources.shedding.refusal(of: work)
    }

    /// Answers a request with the response that is stored under its key. Without one it runs the handler, and meanwhile refuses other
    /// requests with the same key.
    func once(_ call: Call, _ key: IdempotencyKey, _ admission: Admission, _ identity: Identity) throws -> HTTPAnswer {
        guard inFlightKeys.take(key) else { return .now(call.refusal(.idempotencyKeyInUse)) }
        do {
            let found = try call.reader.find(answerFor: key, at: call.now, on: call.loop.context)
            if case .now(let stored) = found { return try reply(to: call, key, stored, admission, identity) }
            return .task { [self] in
                let answer: HTTPAnswer
                do {
                    answer = try reply(to: call, key, try await found.row, admission, identity)
                } catch {
                    inFlightKeys.release(key)
                    throw error
                }
                return try await answer.response()
            }
        } catch {
            inFlightKeys.release(key)
            throw error
        }
    }

    /// Answers a request whose key is taken. The key is released when the answer is ready, but not where this throws.
    private func reply(
        to call: Call, _ key: IdempotencyKey, _ stored: StoredResponseLookup, _ admission: Admission, _ identity: Identity
    ) throws -> HTTPAnswer {
        switch stored {
        case .stored(let answer):
            inFlightKeys.release(key)
            return .now(call.replay(answer))
        case .reused:
            inFlightKeys.release(key)
            return .now(call.refusal(.idempotencyKeyReused))
        case .absent:
            if let refusal = shed(call, identity) {
                inFlightKeys.release(key)
                return .now(refusal)
            }
            return releasing(key, after: try admission.reply(to: call.idempotent(under: key)))
        }
    }

    /// The same answer, which releases its key when it is ready.
    private func releasing(_ key: IdempotencyKey, after answer: HTTPAnswer) -> HTTPAnswer {
        switch answer {
        // The answers of streams are not stored.
        case .now, .stream:
            inFlightKeys.release(key)
            return answer
        case .callback(let begin):
            return .callback { [inFlightKeys] done in
                begin { result in
                    inFlightKeys.release(key)
                    done(result)
                }
            }
        case .task(let work):
            return .task { [inFlightKeys] in
                defer { inFlightKeys.release(key) }
                return try await work()
            }
        case .cancellableTask(let work):
            // Only writes have answers that are stored, and a write is never cancelled.
            return releasing(key, after: .task(work))
        case .deferred, .deferredTask:
            preconditionFailure("handlers defer no answers")
        }
    }
}

extension HTTPAnswer {
    /// The answer of work that does not suspend.
    static func atOnce(_ work: () throws -> HTTPResponse) rethrows -> HTTPAnswer {
        .now(try work())
    }
}
