import Commerce
import Crypto
import Foundation
import JWTKit
import NIOCore
import TestSupport
import Testing

@testable import API

/// Tokens of an issuer held against JWTKit: what JWTKit refuses is refused, and what both accept they read alike.
@Suite("An issuer's tokens as JWTKit reads them")
struct IssuerAgreementTests {
    private typealias Fixture = IssuerFixture

    @Test("whatever JWTKit refuses is refused, over tokens of every algorithm with bytes and parts changed at random")
    func fuzz() async throws {
        let rounds = TestSettings.number("ROUNDS") ?? 1_500
        let fixture = try Fixture.shared()
        let set = try fixture.keySet()
        let oracle = try await IssuerOracle(
            set: Fixture.document(try TokenAlgorithm.allCases.map { try fixture.jwk($0, #","alg":"\#($0.rawValue)""#) }))
        var generator = IssuerTokenGenerator(fixture: fixture, random: SeededGenerator(seed: TestSettings.seed))
        let seed = "SEED=\(generator.random.seed)"
        print("an issuer's tokens as JWTKit reads them: \(seed)")
        var (accepted, refused, stricter) = (0, 0, 0)
        var reasons: [String: Int] = [:]
        for round in 0..<rounds {
            let (token, isPlain) = try generator.next()
            let ours = Fixture.judge(token, set)
            let theirs = oracle.verdict(on: token)
            if case .refused(let reason) = ours { reasons[reason.label, default: 0] += 1 }
            switch (theirs, ours) {
            case (let identity?, .authenticated(let taken)):
                accepted += 1
                #expect(identity == taken, "\(seed) round \(round): \(token)")
            case (nil, .authenticated):
                Issue.record("\(seed) round \(round): JWTKit refuses \(token)")
            case (_?, _):
                // JWTKit reads two alphabets and lenient JSON; what no library writes may be refused.
                stricter += 1
                #expect(!isPlain, "\(seed) round \(round): only JWTKit accepts \(token)")
            case (nil, _):
                refused += 1
            }
        }
        // Else the generator has lost its way, and agreement says nothing.
        #expect(
            accepted > rounds / 8 && refused > rounds / 4 && stricter < rounds / 8,
            "\(seed): \(accepted) accepted, \(refused) refused, \(stricter) by us alone")
        for reason in ["malformed", "algorithm", "unknown_key", "signature", "claims", "issuer", "audience", "expired", "not_yet_valid"] {
            #expect(reasons[reason, default: 0] > rounds / 500, "\(seed): \(reason) in \(reasons)")
        }
    }
}

/// JWTKit's verdict on a token of an issuer, with the checks that it leaves to its user.
private struct IssuerOracle {
    private struct Claims: JWTPayload {
        var sub: String
        var role: String
        var iss: String
        var aud: Audience
        var exp: ExpirationClaim
        var nbf: NotBeforeClaim?
        var iat: IssuedAtClaim?

        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    /// JWTKit's own claim ends the process over an empty list.
    private struct Audience: Codable {
        let names: [String]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            names = try (try? container.decode(String.self)).map { [$0] } ?? container.decode([String].self)
        }

        func encode(to encoder: any Encoder) throws {}
    }

    private var algorithms: [String: any JWTAlgorithm] = [:]
    private let parser = DefaultJWTParser()

    init(set: ByteBuffer) async throws {
        let keys = JWTKeyCollection()
        try await keys.add(jwksJSON: String(buffer: set))
        for algorithm in TokenAlgorithm.allCases {
            let id = IssuerFixture.keyID(algorithm)
            algorithms[id] = try await keys.getKey(for: JWKIdentifier(string: id))
        }
    }

    /// Who the token speaks for; nil where it is refused.
    func verdict(on token: String) -> Identity? {
        let bytes = Array(token.utf8)
        guard bytes.count <= BearerToken.longestOfIssuer else { return nil }
        do {
            let parts = try parser.getTokenParts(bytes)
            // JWTKit ends the process over such numbers in a header.
            if String(decoding: TokenOracle.decoded(parts.header), as: UTF8.self).contains(/[0-9][eE]|[0-9]{19}/) { return nil }
            let parsed = try parser.parse(bytes, as: Claims.self)
            let algorithm: any JWTAlgorithm
            if let id = parsed.header.kid {
                guard let known = algorithms[id] else { return nil }
                algorithm = known
            } else {
                guard let known = algorithms.values.first(where: { $0.name == parsed.header.alg }) else { return nil }
                algorithm = known
            }
            let claims = parsed.payload
            guard parsed.header.alg == algorithm.name, parsed.header.fields["crit"] == nil,
                try algorithm.verify(parsed.signature, signs: bytes[..<parts.payload.endIndex]),
                claims.iss == IssuerFixture.issuer, claims.aud.names.contains(IssuerFixture.audience)
            else { return nil }
            let now = Date(timeIntervalSince1970: Double(IssuerFixture.now.milliseconds) / 1000)
            guard claims.exp.value > now, (claims.nbf?.value ?? .distantPast) <= now else { return nil }
            return Identity(role: claims.role, subject: claims.sub)
        } catch {
            return nil
        }
    }
}

/// Makes tokens of an issuer at random: good ones, and others that are wrong in any of the ways that tokens are known to be.
private struct IssuerTokenGenerator {
    let fixture: IssuerFixture
    var random: SeededGenerator

    /// A token, and whether it is written as a library writes one: then both readers have to agree on it.
    mutating func next() throws -> (token: String, isPlain: Bool) {
        var isPlain = true
        let signer = pick(TokenAlgorithm.allCases)
        let (alg, kid) = (usual(signer, TokenAlgorithm.allCases), usual(signer, TokenAlgorithm.allCases))
        var header = #"{"alg":"\#(alg.rawValue)","typ":"JWT","kid":"\#(IssuerFixture.keyID(kid))"}"#
        if chance(0.15) {
            isPlain = false
            header = pick(Self.headers).replacing("$", with: alg.rawValue).replacing("#", with: IssuerFixture.keyID(kid))
        }
        var members = [
            #""sub":"# + usual(#""7""#, Self.subjects), #""role":"# + usual(#""user""#, Self.roles),
            #""iss":"# + usual(#""https://id.example""#, Self.issuers), #""aud":"# + usual(#""shop""#, Self.audiences),
            #""exp":"# + usual("4102444800", Self.times),
        ]
        if chance(0.5) { members.append(#""nbf":"# + (chance(0.8) ? "1795000000" : pick(Self.times))) }
        if chance(0.05) { members.remove(at: Int.random(in: 0..<members.count, using: &random)) }
        members.shuffle(using: &random)
        var payload = "{\(members.joined(separator: ","))}"
        if chance(0.05) {
            isPlain = false
            payload = pick([
                payload + " ", "\u{FEFF}" + payload, String(payload.dropLast()) + ",}", String(payload.dropLast()) + #","x":1,"x":2}"#,
                "[]", "",
            ])
        }
        var token = try IssuerFixture.token(header: header, payload: payload) { try signature(signer, $0) }
        if chance(0.15) {
            isPlain = false
            disturb(&token)
        }
        return (token, isPlain)
    }

    private mutating func signature(_ algorithm: TokenAlgorithm, _ signed: Data) throws -> Data {
        var signature = try fixture.signature(algorithm, of: signed)
        switch Int.random(in: 0..<30, using: &random) {
        case 0: signature[Int.random(in: 0..<signature.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: signature = signature.dropLast()
        case 2: signature.append(0)
        case 3: signature = Data(count: signature.count)
        case 4: signature = try fixture.signature(pick(TokenAlgorithm.allCases), of: signed)
        case 5: signature = try fixture.p256.signature(for: signed).derRepresentation
        default: break
        }
        return signature
    }

    private mutating func disturb(_ token: inout String) {
        var bytes = Array(token.utf8)
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 33...126, using: &random)
        case 1: bytes = Array(bytes.prefix(index))
        case 2: bytes.insert(UInt8(ascii: "."), at: index)
        case 3: bytes += Array("=".utf8)
        case 4: bytes[bytes.count - 1] ^= 1
        case 5: bytes = Array(String(decoding: bytes, as: UTF8.self).replacing("-", with: "+").replacing("_", with: "/").utf8)
        default: bytes.swapAt(index, Int.random(in: 0..<bytes.count, using: &random))
        }
        token = String(decoding: bytes, as: UTF8.self)
    }

    private static let headers = [
        ##"{"alg":"$"}"##, ##"{"alg":"$","kid":"x"}"##, ##"{"alg":"$","kid":""}"##, ##"{"kid":"y","alg":"$"}"##,
        ##"{"alg":"$","kid":"# "}"##, ##"{"alg":"$","kid":1}"##, ##"{"alg":"$","kid":null}"##,
        ##"{"alg":"none","kid":"#"}"##, ##"{"alg":"HS256","kid":"#"}"##, ##"{"alg":"RS512","kid":"#"}"##, ##"{"kid":"#"}"##,
        ##"{"alg":"$","kid":"#","crit":["exp"]}"##, ##"{"alg":"$","kid":"#","crit":[]}"##, ##"{"alg":"$","kid":"#","b64":false}"##,
        ##"{"alg":"$","kid":"#","typ":"logout+jwt"}"##, ##"{"alg":"$","kid":"#","kid":"x"}"##, ##"{"alg":"$","alg":"none","kid":"#"}"##,
        ##" { "alg" : "$" , "kid" : "#" } "##, ##"{"alg":"$","kid":"#","x":[[[[[[]]]]]]}"##, ##"{"alg":"$","kid":"#"}}"##, "", "[]", "null",
    ]
    private static let subjects = [#""0""#, #""07""#, #""x""#, "null", #""9223372036854775808""#, #""""#, #""\u0037""#, #""٧""#]
    private static let roles = [#""admin""#, #""root""#, #""""#, "null", "1", #""User""#]
    private static let issuers = [#""https://id.example/""#, #""""#, "null", "1", #"["https://id.example"]"#, #""HTTPS://id.example""#]
    private static let audiences = [#"["shop"]"#, #"["a","shop"]"#, #"["a"]"#, "[]", #""a""#, "null", "1", #""shop ""#]
    private static let times = [
        "1794999999", "1795000000", "1795000001", "0", "-1", "4102444800.5", "1e10", "null", #""4102444800""#, "true", "[]",
    ]

    private mutating func usual<Value>(_ common: Value, _ all: [Value]) -> Value { chance(0.92) ? common : pick(all) }
    private mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &random) < probability }
    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements[Int.random(in: 0..<elements.count, using: &random)] }
}
