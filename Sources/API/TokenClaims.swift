import Foundation
import JWTKit

/// The claims of this service's tokens (RFC 7519); a token without one of the first three is no token here.
struct TokenClaims: JWTPayload {
    var sub: SubjectClaim
    var role: String
    var exp: ExpirationClaim
    var nbf: NotBeforeClaim?
    var iat: IssuedAtClaim?

    /// Times are judged on every request by the service's own clock, not once by the machine's: see ``TokenVerifier``.
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}
