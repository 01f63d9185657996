import Commerce
import Foundation
import JWTKit

/// Checks bearer tokens: HS256 with the folder's key, `sub`, `role` and `exp` present and meaningful.
///
/// Synchronous on purpose: JWTKit's key collection is an actor, which the request's path would have to enter and leave. Tokens as
/// the service itself makes them are read by ``PlainTokenReader``, which costs a tenth; JWTKit judges all others.
package struct TokenVerifier: Sendable {
    /// Bytes of a token beyond which none is looked at; real ones have about 170.
    static let longestToken = 4096

    private let algorithm: any JWTAlgorithm
    private let parser = DefaultJWTParser()
    private let plain: PlainTokenReader

    init(algorithm: any JWTAlgorithm, plain: PlainTokenReader) {
        (self.algorithm, self.plain) = (algorithm, plain)
    }

    /// The identity and validity of a token; `nil` for anything this service did not sign or cannot understand.
    func verify(_ token: some StringProtocol) -> VerifiedToken? {
        guard token.utf8.count <= TokenVerifier.longestToken else { return nil }
        return plain.read(token) ?? verifyByLibrary(token)
    }

    /// The same for any token.
    func verifyByLibrary(_ token: some StringProtocol) -> VerifiedToken? {
        do {
            let bytes = Array(token.utf8)
            let parts = try parser.getTokenParts(bytes)
            let parsed = try parser.parse(bytes, as: TokenClaims.self)
            // The key decides the algorithm, never the token: `none` and the asymmetric ones end here. An extension marked
            // critical must be understood (RFC 7515 section 4.1.11), and none is.
            guard parsed.header.alg == algorithm.name, parsed.header.fields["crit"] == nil else { return nil }
            let signed = bytes[..<parts.payload.endIndex]
            guard try algorithm.verify(parsed.signature, signs: signed) else { return nil }
            return VerifiedToken(parsed.payload)
        } catch {
            // Whatever JWTKit found wrong, the answer is the same 401, and nothing of the token belongs in a log.
            return nil
        }
    }
}

/// What a token says, once its signature has been found good.
struct VerifiedToken: Equatable, Sendable {
    let identity: Identity
    /// The first instant, in milliseconds since 1970, at which the token is no longer valid.
    let expiresAt: Int64
    /// The first instant, in milliseconds since 1970, at which the token is valid.
    let validFrom: Int64

    init(identity: Identity, expiresAt: Int64, validFrom: Int64) {
        (self.identity, self.expiresAt, self.validFrom) = (identity, expiresAt, validFrom)
    }

    init?(_ claims: TokenClaims) {
        guard let identity = Identity(role: claims.role, subject: claims.sub.value),
            let expiresAt = VerifiedToken.milliseconds(claims.exp.value),
            let validFrom = VerifiedToken.milliseconds(claims.nbf?.value ?? .distantPast)
        else { return nil }
        (self.identity, self.expiresAt, self.validFrom) = (identity, expiresAt, validFrom)
    }

    /// A date beyond the clock's range, which a signed claim may still name, is cut to it; `nil` for what is no number.
    private static func milliseconds(_ date: Date) -> Int64? {
        let value = date.timeIntervalSince1970 * 1000
        guard !value.isNaN else { return nil }
        return Int64(min(max(value.rounded(.down), 0), Double(Instant.representable.upperBound)))
    }
}
