import Commerce

/// The outcome of checking a request's `Authorization`.
enum Authentication: Equatable, Sendable {
    case authenticated(Identity)
    case refused(Fault)
    /// The token of an issuer that the loop's cache does not have. ``IssuerTokens/examine(_:at:headers:checked:)`` goes on with it.
    case unchecked

    /// Why a request has no identity.
    typealias Fault = TokenRefusals.Reason
}

extension TokenVerifier {
    /// Checks the token of a request: its times each time, its signature and claims only where the cache does not have it.
    ///
    /// - Parameter field: the value of `Authorization` without the white space around it; nil where the request has no such field.
    func authenticate(_ field: UnsafeRawBufferPointer?, at now: Instant, cache: inout TokenCache) -> Authentication {
        guard let field else { return .refused(.missing) }
        guard let token = BearerToken(field: field, takesIssuer: issuer != nil) else { return .refused(.malformed) }
        if let known = cache.find(token) { return known.judged(at: now) }
        guard !token.isOfIssuer else { return .unchecked }
        switch verify(token) {
        case .refused(let step): return .refused(step.fault)
        case .verified(let verified):
            let outcome = verified.judged(at: now)
            if case .authenticated = outcome { cache.insert(verified, for: token) }
            return outcome
        }
    }
}

extension VerifiedToken {
    /// Whether the token is valid at an instant.
    func judged(at now: Instant) -> Authentication {
        if now.milliseconds >= expiresAt { return .refused(.expired) }
        return now.milliseconds >= validFrom ? .authenticated(identity) : .refused(.premature)
    }
}

extension TokenVerdict.Step {
    /// The reason of a refusal at this step.
    fileprivate var fault: Authentication.Fault {
        switch self {
        case .shape: .malformed
        case .signature: .signature
        case .header: .algorithm
        case .claims: .claims
        }
    }
}
