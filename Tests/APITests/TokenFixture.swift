import Commerce
import Crypto
import Foundation

@testable import API

/// What the tests of tokens share: one key, one moment, and tokens that no library would make.
enum TokenFixture {
    static let keyBytes = Array("0123456789abcdef0123456789abcdef".utf8)
    static let key = SymmetricKey(data: keyBytes)
    static let verifier = TokenVerifier(key: key)
    static let now = Instant(milliseconds: 1_795_000_000_000)
    static let later = Instant(milliseconds: now.milliseconds + 60_000)

    static let goodHeader = #"{"alg":"HS256","typ":"JWT"}"#
    static let goodPayload = #"{"sub":"7","role":"user","exp":4102444800}"#

    /// A token with any header and payload, signed as HS256 with any key.
    static func token(header: String = goodHeader, payload: String = goodPayload, key: SymmetricKey = key) -> String {
        token(header: Data(header.utf8), payload: Data(payload.utf8), key: key)
    }

    static func token(header: Data, payload: Data, key: SymmetricKey = key) -> String {
        signed(base64URL(header) + "." + base64URL(payload), key: key)
    }

    /// Any text with the signature that it needs.
    static func signed(_ text: String, key: SymmetricKey = key) -> String {
        text + "." + base64URL(Data(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key)))
    }

    /// The first two parts of a good token with a good token's length behind it, but the signature of another key.
    static func forged(header: String = goodHeader, payload: String = goodPayload) -> String {
        token(header: header, payload: payload, key: SymmetricKey(data: Array(repeating: 1 as UInt8, count: 32)))
    }

    static func base64URL(_ data: some Sequence<UInt8>) -> String {
        Data(data).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    static func authenticate(_ field: String?, at instant: Instant = now) -> Authentication {
        var cache = TokenCache()
        return authenticate(field, at: instant, cache: &cache)
    }

    static func authenticate(_ field: String?, at instant: Instant = now, cache: inout TokenCache) -> Authentication {
        guard var field else { return verifier.authenticate(nil, at: instant, cache: &cache) }
        return field.withUTF8 { verifier.authenticate(UnsafeRawBufferPointer($0), at: instant, cache: &cache) }
    }

    /// The verdict on a token; `nil` when the field that holds it is refused before.
    static func verdict(_ token: String) -> TokenVerdict? { withToken(token) { verifier.verify($0) } }

    /// Calls `body` with a token as it is read from a field; `nil` when the field is refused.
    static func withToken<Result>(_ token: String, _ body: (BearerToken) throws -> Result) rethrows -> Result? {
        var field = "Bearer " + token
        return try field.withUTF8 { try BearerToken(field: UnsafeRawBufferPointer($0)).map(body) }
    }
}

extension Authentication {
    /// Whether the token is refused for another reason than its times.
    var isInvalid: Bool {
        switch self {
        case .refused(.malformed), .refused(.algorithm), .refused(.unknownKey), .refused(.signature), .refused(.claims), .refused(.issuer),
            .refused(.audience):
            true
        case .authenticated, .unchecked, .refused(.missing), .refused(.expired), .refused(.premature), .refused(.busy): false
        }
    }
}
