import Commerce
import HTTPServer
import NIOCore

/// The keys and the known tokens of one event loop.
///
/// An object of its own, which the keys retain, so that they can hand over later keys. It retains neither them nor the request dispatcher;
/// so there is no cycle, and no weak reference, which would make each retain and release of its object slow.
///
/// Safety of `@unchecked Sendable`: every `private var` is touched on the event loop alone, which every access checks.
final class LoopTokens: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private var verifier = TokenVerifier(localKeys: [])
    private var tokens: TokenCache
    private var headers = RecentHeaders()

    /// Begins to follow the keys. No request may come before this returns.
    init(of keys: TokenKeys, on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        tokens = keys.issuer == nil ? TokenCache() : TokenCache(maximumBytes: TokenCache.maximumBytesForIssuer)
        verifier = keys.follow { [self] change in eventLoop.execute { self.install(change) } }
    }

    /// Takes the keys of now, and drops the tokens of those that have left.
    private func install(_ change: TokenKeys.Change) {
        eventLoop.assertInEventLoop()
        verifier = change.verifier
        headers.removeAll()
        tokens.removeTokens(of: change.removed)
    }

    /// Checks a token: only its times where it is known.
    ///
    /// - Parameter field: the value of `Authorization`.
    @inline(__always)
    func authenticate(_ field: UnsafeRawBufferPointer, at now: Instant) -> Authentication {
        eventLoop.assertInEventLoop()
        // Most tokens are known, and then the keys are not even read.
        if let token = BearerToken(field: field), let known = tokens.find(token) { return known.judged(at: now) }
        return authenticate(unknown: field, at: now)
    }

    @inline(never)
    private func authenticate(unknown field: UnsafeRawBufferPointer, at now: Instant) -> Authentication {
        verifier.authenticate(field, at: now, cache: &tokens)
    }

    /// Examines a token whose authentication is `unchecked`.
    func examine(_ field: UnsafeRawBufferPointer, from source: IPAddress, _ checked: CheckedTokens) -> IssuerTokens.Examination {
        eventLoop.assertInEventLoop()
        guard let issuer = verifier.issuer, let token = BearerToken(field: field, takesIssuer: true) else { return .refused(.unknownKey) }
        let outcome = issuer.examine(token, from: source, headers: headers, checked: checked)
        if case .known(let verified) = outcome { tokens.insert(verified, for: token) }
        return outcome
    }

    /// Whether other keys are on their way to this loop.
    func awaits(_ keys: TokenKeys) -> Bool {
        eventLoop.assertInEventLoop()
        return keys.hasOther(than: verifier.issuer)
    }

    /// Adds a token whose signature was checked elsewhere; false where its key has left meanwhile.
    func remember(_ verified: VerifiedToken, as token: UncheckedToken) -> Bool {
        eventLoop.assertInEventLoop()
        guard let issuer = verifier.issuer, issuer.isInUse(token.key) else { return false }
        token.withToken { token in
            // The same token may have come twice.
            if tokens.find(token) == nil { tokens.insert(verified, for: token) }
        }
        token.withHeader { header in
            if headers.find(header) == nil { headers.insert(header, token.key) }
        }
        return true
    }
}
