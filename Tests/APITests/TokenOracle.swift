import Commerce
import Crypto
import Foundation
import JWTKit

@testable import API

/// JWTKit's verdict on a token, with the two checks that it leaves to its user: the algorithm, and that no extension is critical.
struct TokenOracle {
    enum Verdict: Equatable {
        case accepted(VerifiedToken)
        case refused
        /// JWTKit 5.7 ends the process over a header with a whole number beyond Int, signed or not.
        case wouldTrap
    }

    private struct Claims: JWTPayload {
        var sub: SubjectClaim
        var role: String
        var exp: ExpirationClaim
        var nbf: NotBeforeClaim?
        var iat: IssuedAtClaim?

        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    private let algorithm: any JWTAlgorithm
    private let parser = DefaultJWTParser()

    init(key: SymmetricKey) async throws {
        let keys = JWTKeyCollection()
        await keys.add(hmac: HMACKey(key: key), digestAlgorithm: .sha256)
        algorithm = try await keys.getKey()
    }

    func verdict(on token: String) -> Verdict {
        let bytes = Array(token.utf8)
        guard bytes.count <= BearerToken.longest else { return .refused }
        do {
            let parts = try parser.getTokenParts(bytes)
            if Self.mayTrap(header: Self.decoded(parts.header)) { return .wouldTrap }
            let parsed = try parser.parse(bytes, as: Claims.self)
            guard parsed.header.alg == algorithm.name, parsed.header.fields["crit"] == nil,
                try algorithm.verify(parsed.signature, signs: bytes[..<parts.payload.endIndex]),
                let identity = Identity(role: parsed.payload.role, subject: parsed.payload.sub.value)
            else { return .refused }
            return .accepted(
                VerifiedToken(
                    identity: identity, expiresAt: Self.milliseconds(parsed.payload.exp.value),
                    validFrom: Self.milliseconds(parsed.payload.nbf?.value ?? .distantPast)))
        } catch {
            return .refused
        }
    }

    private static func milliseconds(_ date: Date) -> Int64 {
        Int64(min(max((date.timeIntervalSince1970 * 1000).rounded(.down), 0), Double(Instant.representable.upperBound)))
    }

    /// Header bytes as JWTKit decodes them: it takes both alphabets.
    static func decoded(_ part: some Sequence<UInt8>) -> [UInt8] {
        let text = String(decoding: Array(part), as: UTF8.self).replacing("-", with: "+").replacing("_", with: "/")
        return Array(Data(base64Encoded: text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)) ?? Data())
    }

    /// A number with an exponent, or one of 19 digits: more than those that end the process, and all of them.
    private static func mayTrap(header: [UInt8]) -> Bool {
        String(decoding: header, as: UTF8.self).contains(/[0-9][eE]|[0-9]{19}/)
    }
}
