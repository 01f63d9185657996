import Commerce

/// The outcome of looking at a request's `Authorization`.
enum Authentication: Equatable, Sendable {
    case authenticated(Identity)
    case refused(Fault)

    /// Why a request has no identity.
    enum Fault: Equatable, Sendable {
        /// No credentials at all.
        case missing
        /// Credentials that are not a token this service signed.
        case invalid
        /// A token whose time is over.
        case expired
        /// A token whose time has not come.
        case premature
    }
}

extension TokenVerifier {
    /// Judges the value of `Authorization`, white space around it removed; `nil` when the request has none. Time is judged on every
    /// request, the token itself only where the cache does not know it.
    func authenticate(_ field: UnsafeRawBufferPointer?, at now: Instant, cache: inout TokenCache) -> Authentication {
        guard let field else { return .refused(.missing) }
        guard let token = BearerToken(field: field) else { return .refused(.invalid) }
        if let known = cache.find(token) { return known.judged(at: now) }
        guard case .verified(let verified) = verify(token) else { return .refused(.invalid) }
        let outcome = verified.judged(at: now)
        if case .authenticated = outcome { cache.insert(verified, for: token) }
        return outcome
    }
}

extension VerifiedToken {
    fileprivate func judged(at now: Instant) -> Authentication {
        if now.milliseconds >= expiresAt { return .refused(.expired) }
        return now.milliseconds >= validFrom ? .authenticated(identity) : .refused(.premature)
    }
}
