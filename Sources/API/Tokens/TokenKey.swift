package import Commerce
import Crypto
import Foundation
import JWTKit

/// The secret that signs and verifies the tokens of one data folder (HMAC with SHA-256, `HS256`).
package struct TokenKey: Sendable {
    /// As long as the hash, the least RFC 7518 section 3.2 allows for HS256.
    package static let length = 32

    private let keys: JWTKeyCollection
    private let key: SymmetricKey

    /// Takes a key of ``length`` bytes.
    package init(bytes: [UInt8]) async {
        precondition(bytes.count == TokenKey.length, "an HS256 key has 32 bytes")
        keys = JWTKeyCollection()
        key = SymmetricKey(data: bytes)
        await keys.add(hmac: HMACKey(key: key), digestAlgorithm: .sha256)
    }

    /// Makes a token for somebody, valid until an instant (cut to seconds).
    package func sign(_ identity: Identity, issuedAt: Instant, expiresAt: Instant) async throws -> String {
        let claims = TokenClaims(
            sub: SubjectClaim(value: identity.subject), role: identity.role, exp: ExpirationClaim(value: expiresAt.wholeSecond),
            iat: IssuedAtClaim(value: issuedAt.wholeSecond)
        )
        return try await keys.sign(claims)
    }

    /// What checks the tokens this key has signed.
    package func verifier() -> TokenVerifier { TokenVerifier(key: key) }
}

extension Instant {
    fileprivate var wholeSecond: Date { Date(timeIntervalSince1970: Double(milliseconds / 1000)) }
}
