import HTTPServer
import NIOCore
import Services

extension RequestDispatcher {
    /// Answers a request within the limits of its client. The address pays before the token is looked at, so that forged tokens are
    /// limited too; the user pays after that.
    func answer(_ call: Call, _ place: Int, within limiter: RequestLimiter) -> HTTPAnswer {
        let now = call.request.receivedAt
        let network = limiter.network(of: call.request)
        var standing = RateLimitStanding()
        if let refusal = limiter.charge(network, at: now, &standing) { return .now(count(refusal, to: call.request, place)) }
        var authentication: Authentication?
        if call.endpoint.rule != .open {
            let outcome = authenticate(call.request, at: call.now)
            authentication = outcome
            if case .authenticated(let identity) = outcome, let refusal = limiter.charge(identity, at: now, &standing) {
                return .now(count(refusal, to: call.request, place))
            }
        }
        guard let shared = limiter.shared, shared.isUsable(at: now) else {
            return adding(standing, of: limiter, to: answer(call, place, authentication))
        }
        let request = SharedTokenBuckets.Request(network: limiter.sharedName(of: network), user: limiter.sharedUser(authentication))
        guard request.isCharged else { return answer(call, place, authentication) }
        return .deferred { [standing, authentication] resume in
            shared.take(request) { decision in
                let standing = decision.map { RateLimitStanding(address: $0.address, user: $0.user) } ?? standing
                if let refusal = limiter.refusal(standing) { return resume(.now(self.count(refusal, to: call.request, place))) }
                resume(self.adding(standing, of: limiter, to: self.answer(call, place, authentication)))
            }
        }
    }

    /// Answers a request whose user became known only after ``answer(_:_:within:)``, and has not paid yet. The user pays in memory alone.
    func replyCharging(to call: Call, by access: Route.Access, as identity: Identity) throws -> HTTPAnswer {
        if let limiter, call.endpoint.isLimited, let refusal = limiter.chargeLate(identity, at: call.request.receivedAt) {
            return .now(refusal)
        }
        return try reply(to: call, by: access, as: identity)
    }

    /// Answers a request that has no route. It is charged to its address in memory alone, so that it costs no call of Redis.
    func unrouted(_ request: HTTPRequest, _ response: HTTPResponse) -> HTTPAnswer {
        guard let limiter else { return .now(count(response, to: request, endpoints.count)) }
        var standing = RateLimitStanding()
        let refusal = limiter.charge(limiter.network(of: request), at: request.receivedAt, &standing)
        return .now(count(refusal ?? limiter.adding(standing, to: response), to: request, endpoints.count))
    }

    private func adding(_ standing: RateLimitStanding, of limiter: RequestLimiter, to answer: HTTPAnswer) -> HTTPAnswer {
        switch answer {
        case .now(let response): .now(limiter.adding(standing, to: response))
        case .callback(let begin):
            .callback { done in begin { result in done(result.map { limiter.adding(standing, to: $0) }) } }
        case .task(let work): .task { limiter.adding(standing, to: try await work()) }
        case .cancellableTask(let work): .cancellableTask { limiter.adding(standing, to: try await work()) }
        case .deferred(let begin):
            .deferred { resume in begin { resume(self.adding(standing, of: limiter, to: $0)) } }
        case .deferredTask(let work): .deferredTask { self.adding(standing, of: limiter, to: try await work()) }
        case .stream(let stream): .stream(stream.with(head: limiter.adding(standing, to: stream.head)))
        }
    }
}
