package import Commerce
import Crypto
import Foundation
import JSON
import NIOCore

/// The secret that signs and verifies the tokens of one data folder (HMAC with SHA-256, `HS256`).
package struct TokenKey: Sendable {
    /// As long as the hash, the least RFC 7518 section 3.2 allows for HS256.
    package static let length = 32

    private let key: SymmetricKey

    /// Takes a key of ``length`` bytes.
    package init(bytes: [UInt8]) {
        precondition(bytes.count == TokenKey.length, "an HS256 key has 32 bytes")
        key = SymmetricKey(data: bytes)
    }

    /// Makes a token for somebody, valid until an instant (cut to seconds): a JSON Web Signature in compact form (RFC 7515 section 7.1).
    package func sign(_ identity: Identity, issuedAt: Instant, expiresAt: Instant) -> String {
        let claims = JSONWriter.document { json in
            json.member("sub", identity.subject)
            json.member("role", identity.role)
            json.member("iat", issuedAt.milliseconds / 1000)
            json.member("exp", expiresAt.milliseconds / 1000)
        }
        let signed = TokenVerifier.header + "." + Base64URL.encode(claims.readableBytesView)
        let signature = HMAC<SHA256>.authenticationCode(for: Data(signed.utf8), using: key)
        return signed + "." + Base64URL.encode(signature)
    }

    /// The key's bytes, to be kept where only its services read them.
    package var bytes: [UInt8] { key.withUnsafeBytes { Array($0) } }

    /// The bytes of a new key.
    package static func newBytes() -> [UInt8] { SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) } }

    /// The first digits of the key's SHA-256, which tell keys apart.
    package var fingerprint: String { local().fingerprint.prefix(6).map { String(format: "%02x", $0) }.joined() }

    /// The key as it verifies.
    func local(endsAt: Int64 = .max) -> LocalKey { LocalKey(key, endsAt: endsAt) }
}
