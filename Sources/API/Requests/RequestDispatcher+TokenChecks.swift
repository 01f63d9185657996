import HTTPServer
import NIOCore

/// Requests whose tokens the loop does not know and whose signatures take long to check. Only they wait for anything.
extension RequestDispatcher {
    /// Answers a request once its token was checked on another thread; at once where that is not needed, or there are too many.
    func replyAfterCheck(to call: Call, by access: Route.Access) throws -> HTTPAnswer {
        switch examine(call.request) {
        case .known(let token):
            switch token.judged(at: call.now) {
            case .authenticated(let identity):
                notes.sender = identity.sender
                return try replyCharging(to: call, by: access, as: identity)
            case .refused(let fault): return .now(refusal(fault))
            case .unchecked: return .now(refusal(.signature))
            }
        case .refused(let fault):
            return .now(refusal(fault))
        case .check(let token):
            guard !keys.checks.turnsAway(token.source) else { return .now(refusal(.busy)) }
            return afterwards(call) { [self] in try await answer(to: call, by: access, afterCheckOf: token) }
        case .unknownKey:
            guard let issuer = keys.issuer else { return .now(refusal(.unknownKey)) }
            if let reading = issuer.rereadForUnknownKey(into: keys) {
                return afterwards(call) { [self] in
                    await reading.value
                    issuer.endWaiting()
                    return try await answerAfterReading(call, by: access)
                }
            }
            // A reading that has just ended may not have reached this loop yet.
            guard awaitsKeys else { return .now(refusal(.unknownKey)) }
            return afterwards(call) { [self] in
                await withCheckedContinuation { next in eventLoop.execute { next.resume() } }
                return try await answerAfterReading(call, by: access)
            }
        }
    }

    private func answer(to call: Call, by access: Route.Access, afterCheckOf token: UncheckedToken) async throws -> HTTPAnswer {
        switch await keys.checks.outcome(of: token) {
        case .refused(let fault):
            return .now(refusal(fault))
        case .verified(let verified):
            guard remember(verified, as: token) else { return .now(refusal(.unknownKey)) }
            return try await answer(to: call, by: access, with: verified)
        }
    }

    private func answer(to call: Call, by access: Route.Access, with token: VerifiedToken) async throws -> HTTPAnswer {
        switch token.judged(at: call.now) {
        case .authenticated(let identity):
            notes.noteLate(identity.sender, of: call.request.id)
            return try replyCharging(to: call, by: access, as: identity)
        case .refused(let fault): return .now(refusal(fault))
        case .unchecked: return .now(refusal(.signature))
        }
    }

    /// The keys of the loop are the new ones now: they were handed to the loop before this task was resumed on it.
    private func answerAfterReading(_ call: Call, by access: Route.Access) async throws -> HTTPAnswer {
        switch examine(call.request) {
        case .known(let token): try await answer(to: call, by: access, with: token)
        case .refused(let fault): .now(refusal(fault))
        case .check(let token): try await answer(to: call, by: access, afterCheckOf: token)
        case .unknownKey: .now(refusal(.unknownKey))
        }
    }
}
