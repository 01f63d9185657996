import Commerce

/// The outcome of checking a request's `Authorization`.
enum Authentication: Equatable, Sendable {
    case authenticated(Identity)
    case refused(Fault)

    /// Why a request has no identity.
    enum Fault: Equatable, Sendable {
        /// No credentials at all.
        case missing
        /// Credentials that are not a token this service signed.
        case invalid
        /// A token that has expired (`exp`).
        case expired
        /// A token that is not valid yet (`nbf`).
        case premature
    }
}

extension TokenVerifier {
    /// Checks the token of a request: its times each time, its signature and claims only where the cache does not have it.
    ///
    /// - Parameter field: the value of `Authorization` without the white space around it; nil where the request has no such field.
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
