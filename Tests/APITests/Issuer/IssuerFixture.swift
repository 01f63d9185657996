import Commerce
import Crypto
import CryptoExtras
import Foundation
import HTTPServer
import JSON
import NIOCore

@testable import API

/// What the tests of an issuer's tokens share: one key of each algorithm, their public set, and tokens that no library would make.
struct IssuerFixture: Sendable {
    let rsa: _RSA.Signing.PrivateKey
    let p256 = P256.Signing.PrivateKey()
    let ed25519 = Curve25519.Signing.PrivateKey()

    static let now = TokenFixture.now
    static let issuer = "https://id.example"
    static let audience = "shop"

    private static let made = Result { IssuerFixture(rsa: try _RSA.Signing.PrivateKey(keySize: .bits2048)) }
    static func shared() throws -> IssuerFixture { try made.get() }

    static var rules: IssuerRules {
        var rules = IssuerRules()
        (rules.issuer, rules.audience) = (issuer, audience)
        return rules
    }

    // MARK: - Tokens

    static let goodClaims = #""sub":"7","role":"user","iss":"https://id.example","aud":"shop","exp":4102444800"#
    static var goodPayload: String { "{\(goodClaims)}" }

    static func keyID(_ algorithm: TokenAlgorithm) -> String { algorithm.rawValue.lowercased() }

    static func goodHeader(_ algorithm: TokenAlgorithm) -> String {
        #"{"alg":"\#(algorithm.rawValue)","typ":"JWT","kid":"\#(keyID(algorithm))"}"#
    }

    /// The signature of some bytes by the key of an algorithm.
    func signature(_ algorithm: TokenAlgorithm, of signed: Data) throws -> Data {
        switch algorithm {
        case .rs256: try rsa.signature(for: SHA256.hash(data: signed), padding: .insecurePKCS1v1_5).rawRepresentation
        case .es256: try p256.signature(for: signed).rawRepresentation
        case .edDSA: try ed25519.signature(for: signed)
        }
    }

    /// A token with any header and payload, signed by the key of an algorithm, whatever the header says.
    func token(_ algorithm: TokenAlgorithm, header: String? = nil, payload: String = goodPayload) throws -> String {
        let header = header ?? Self.goodHeader(algorithm)
        return try Self.token(header: header, payload: payload) { try signature(algorithm, of: $0) }
    }

    static func token(header: String, payload: String = goodPayload, sign: (Data) throws -> Data) rethrows -> String {
        let signed = TokenFixture.base64URL(header.utf8) + "." + TokenFixture.base64URL(payload.utf8)
        return signed + "." + TokenFixture.base64URL(try sign(Data(signed.utf8)))
    }

    // MARK: - Keys

    func jwk(_ algorithm: TokenAlgorithm, id: String? = nil, _ extra: String = "") throws -> String {
        let kid = #""kid":"\#(id ?? Self.keyID(algorithm))""#
        let material: String
        switch algorithm {
        case .rs256: material = try Self.material(rsa.publicKey)
        case .es256: material = Self.material(p256.publicKey)
        case .edDSA: material = Self.material(ed25519.publicKey)
        }
        return "{\(material),\(kid)\(extra)}"
    }

    static func material(_ key: _RSA.Signing.PublicKey) throws -> String {
        let numbers = try key.getKeyPrimitives()
        return
            #""kty":"RSA","n":"\#(TokenFixture.base64URL(numbers.modulus))","e":"\#(TokenFixture.base64URL(numbers.publicExponent))""#
    }

    static func material(_ key: P256.Signing.PublicKey) -> String {
        let point = key.rawRepresentation
        return
            #""kty":"EC","crv":"P-256","x":"\#(TokenFixture.base64URL(point.prefix(32)))","y":"\#(TokenFixture.base64URL(point.suffix(32)))""#
    }

    static func material(_ key: Curve25519.Signing.PublicKey) -> String {
        #""kty":"OKP","crv":"Ed25519","x":"\#(TokenFixture.base64URL(key.rawRepresentation))""#
    }

    static func document(_ keys: [String]) -> ByteBuffer { ByteBuffer(string: #"{"keys":[\#(keys.joined(separator: ","))]}"#) }

    /// The set with the key of each algorithm.
    func document() throws -> ByteBuffer { Self.document(try TokenAlgorithm.allCases.map { try jwk($0) }) }

    func keySet() throws -> IssuerKeySet { try IssuerKeySet.read(try document()).set }

    // MARK: - Verdicts

    /// Checks a token as a request's: its form, its header, its signature, its claims and its times.
    static func judge(
        _ token: String, _ set: IssuerKeySet, rules: IssuerRules = IssuerFixture.rules, at now: Instant = IssuerFixture.now
    ) -> Authentication {
        var (field, cache) = ("Bearer " + token, TokenCache())
        let issuer = IssuerTokens(keys: set, rules: rules)
        let verifier = TokenVerifier(localKeys: [LocalKey(TokenFixture.key)], issuer: issuer)
        return field.withUTF8 { field in
            let field = UnsafeRawBufferPointer(field)
            let outcome = verifier.authenticate(field, at: now, cache: &cache)
            guard outcome == .unchecked, let token = BearerToken(field: field, takesIssuer: true)
            else { return outcome }
            switch issuer.examine(token, from: .unspecified, headers: RecentHeaders(), checked: CheckedTokens()) {
            case .known: return .unchecked
            case .refused(let reason): return .refused(reason)
            case .unknownKey: return .refused(.unknownKey)
            case .check(let token):
                switch token.verdict() {
                case .refused(let reason): return .refused(reason)
                case .verified(let verified): return verified.judged(at: now)
                }
            }
        }
    }
}
