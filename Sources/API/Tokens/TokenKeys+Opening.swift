package import Commerce
package import Logging
package import Services

/// Which tokens a service takes.
package struct TokenConfiguration: Sendable {
    /// The issuer's public keys; nil without an issuer.
    package var keySet: KeySetSource?
    /// How often the key set is read again when nothing seems to have changed.
    package var keySetInterval: Duration = .seconds(600)
    package var rules = IssuerRules()
    /// Whether tokens of the service's own keys are taken, those of the data folder or of the store.
    package var takesLocalTokens = true

    package init() {}
}

extension TokenKeys {
    /// Reads the keys that a service starts with.
    ///
    /// - Parameters:
    ///   - own: the service's own keys; none where their tokens are not taken.
    ///   - reader: reads the configuration's key set; nil without one.
    /// - Throws: `KeySetError`, where the key set cannot be used.
    package static func open(
        _ configuration: TokenConfiguration, own: [PlacedTokenKey], reader: KeySetReader?, clock: WallClock, logger: Logger
    ) async throws -> TokenKeys {
        let issuer = reader.map { reader in
            IssuerKeyReader(place: reader.source.description, interval: configuration.keySetInterval, logger: logger, clock: clock) {
                () async throws(KeySetError) in try await reader.read()
            }
        }
        let keys = TokenKeys(local: own.map { $0.local() }, rules: configuration.rules, issuer: issuer)
        try await keys.rereadIssuer()
        return keys
    }

    /// Reads the service's own keys again, after a rotation.
    package func rereadLocal(from place: any TokenKeyPlace, at now: Instant) throws { replace(local: try place.localKeys(at: now)) }

    /// Reads the issuer's keys again; nothing without an issuer.
    package func rereadIssuer() async throws(KeySetError) { try await issuer?.reread(into: self) }

    /// Reads the issuer's keys at their interval, until the task is cancelled.
    package func rereadIssuerRegularly() async { await issuer?.rereadRegularly(into: self) }
}
