import JWTKit

/// The claims of this service's tokens (RFC 7519) as JWTKit signs them. ``TokenVerifier`` reads them with its own code.
struct TokenClaims: JWTPayload {
    var sub: SubjectClaim
    var role: String
    var exp: ExpirationClaim
    var iat: IssuedAtClaim?

    /// Required by JWTKit and called by none: it verifies no token here.
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}
