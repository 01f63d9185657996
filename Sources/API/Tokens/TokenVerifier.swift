import Crypto
import Foundation
import JSON

/// Checks bearer tokens with the keys of one moment. A value that never changes: when the keys change, each event loop gets a new one.
///
/// Tokens of the data folder's keys are HS256 with valid claims `sub`, `role` and `exp`. The steps of ``TokenVerdict/Step`` run in their
/// order, and the first one that fails ends the check. Nothing that a client without the key has written is read as JSON, so a forged
/// token costs at most one HMAC for each key over ``BearerToken/longest`` bytes.
///
/// Tokens of an issuer are examined by ``IssuerTokens``.
package struct TokenVerifier: Sendable {
    /// The present one first; empty where no local tokens are taken.
    let localKeys: [LocalKey]
    let issuer: IssuerTokens?

    init(localKeys: [LocalKey], issuer: IssuerTokens? = nil) { (self.localKeys, self.issuer) = (localKeys, issuer) }

    init(key: SymmetricKey) { self.init(localKeys: [LocalKey(key)]) }

    func verify(_ token: BearerToken) -> TokenVerdict {
        guard let parts = token.parts else { return .refused(.shape) }
        guard let key = signer(of: token) else { return .refused(.signature) }
        guard Self.isHS256(header: parts.header) else { return .refused(.header) }
        guard let payload = Base64URL.decode(parts.payload), let claims = try? JSONParser.parse(payload),
            let verified = VerifiedToken(claims: claims)
        else { return .refused(.claims) }
        return .verified(
            VerifiedToken(
                identity: verified.identity, expiresAt: min(verified.expiresAt, key.endsAt), validFrom: verified.validFrom,
                keyNumber: key.number))
    }

    /// The key that signed a token; nil for a forged one.
    private func signer(of token: BearerToken) -> LocalKey? {
        withUnsafeTemporaryAllocation(byteCount: SHA256.byteCount, alignment: 1) { signature in
            guard Base64URL.decode(token.signature, into: signature) else { return nil }
            return localKeys.first { key in
                var code = key.authenticator
                code.update(data: token.signed)
                // swift-crypto compares in a time that does not depend on the bytes.
                return code.finalize() == UnsafeRawBufferPointer(signature)
            }
        }
    }

    /// The header of the service's own tokens, encoded: {"alg":"HS256","typ":"JWT"}.
    static let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

    /// The encoded headers that need not be read as JSON: libraries write the two members in either order.
    private static let commonHeaders = [Array(header.utf8), Array("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9".utf8)]

    /// Whether the header of a token with a valid signature names the algorithm by which the signature was checked.
    ///
    /// The key decides the algorithm, never the token: `none` and all others are refused here. An extension marked critical must be
    /// understood (RFC 7515 section 4.1.11), and none is. Other members, such as `kid`, are ignored if they are strings; this refuses
    /// those that change how a token is read (`b64` of RFC 7797, `crit`), which are not strings.
    private static func isHS256(header: UnsafeRawBufferPointer) -> Bool {
        if commonHeaders.contains(where: { isEqual($0, header) }) { return true }
        guard let bytes = Base64URL.decode(header), case .object(let object) = try? JSONParser.parse(bytes),
            case .string("HS256") = object["alg"], object["crit"] == nil
        else { return false }
        return object.members.allSatisfy { member in
            guard case .string(let value) = member.value else { return false }
            return member.name != "typ" || value.lowercased() == "jwt"
        }
    }

    private static func isEqual(_ known: [UInt8], _ header: UnsafeRawBufferPointer) -> Bool {
        guard known.count == header.count, let base = header.baseAddress else { return false }
        return memcmp(known, base, known.count) == 0
    }
}

/// The outcome of a token check.
enum TokenVerdict: Equatable, Sendable {
    case verified(VerifiedToken)
    case refused(Step)

    /// The steps of a check, in their order.
    enum Step: Sendable, CaseIterable {
        /// Three parts, the last one as long as a signature. Costs a search for dots.
        case shape
        /// The HMAC with the folder's key. What follows reads only what was signed with the key.
        case signature
        /// HS256, and nothing in the header that would change how the token is read.
        case header
        /// The claims: an identity and its times.
        case claims
    }
}
