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
    /// Judges the value of `Authorization`. Time is judged on every request, the signature only where the cache does not know the token.
    func authenticate(_ authorization: String?, at now: Instant, cache: inout TokenCache) -> Authentication {
        guard let authorization else { return .refused(.missing) }
        if let known = cache.find(authorization) { return known.judged(at: now) }
        guard let token = TokenVerifier.bearerToken(in: authorization), let verified = verify(token) else { return .refused(.invalid) }
        let outcome = verified.judged(at: now)
        if case .authenticated = outcome { cache.insert(verified, for: authorization) }
        return outcome
    }

    /// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110 section 11.1).
    private static func bearerToken(in authorization: String) -> Substring? {
        guard let space = authorization.utf8.firstIndex(of: UInt8(ascii: " ")) else { return nil }
        guard authorization[..<space].lowercased() == "bearer" else { return nil }
        return authorization[space...].drop { $0 == " " }
    }
}

extension VerifiedToken {
    fileprivate func judged(at now: Instant) -> Authentication {
        if now.milliseconds >= expiresAt { return .refused(.expired) }
        return now.milliseconds >= validFrom ? .authenticated(identity) : .refused(.premature)
    }
}
