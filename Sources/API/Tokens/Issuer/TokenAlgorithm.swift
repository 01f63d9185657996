/// The signature algorithms of an issuer's tokens (RFC 7518 section 3.1, RFC 8037 section 3.1).
package enum TokenAlgorithm: String, CaseIterable, Sendable {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    case rs256 = "RS256"
    /// ECDSA over P-256 with SHA-256.
    case es256 = "ES256"
    /// Ed25519; RFC 9864 names it `Ed25519`, which is taken too.
    case edDSA = "EdDSA"

    /// Reads `alg` of a header or a key; nil for every other algorithm, `none` and HS256 among them.
    init?(name: String) {
        switch name {
        case "RS256": self = .rs256
        case "ES256": self = .es256
        case "EdDSA", "Ed25519": self = .edDSA
        default: return nil
        }
    }
}
