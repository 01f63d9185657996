import Crypto
import CryptoExtras
import Foundation
import JSON
import NIOCore
import Services
import Testing

@testable import API

@Suite("The key set of an issuer")
struct IssuerKeySetTests {
    private typealias Fixture = IssuerFixture

    private func read(_ keys: [String]) throws -> (set: IssuerKeySet, ignored: [IssuerKeySet.Ignored]) {
        try IssuerKeySet.read(Fixture.document(keys))
    }

    @Test("keys of the three algorithms are read, with and without the members that say what they are for")
    func good() throws {
        let fixture = try Fixture.shared()
        for extra in ["", #","use":"sig""#, #","key_ops":["verify"]"#, #","key_ops":["sign","verify"],"x5t":"a","x5c":[]"#] {
            for algorithm in TokenAlgorithm.allCases {
                for extra in [extra, extra + #","alg":"\#(algorithm.rawValue)""#] {
                    let (set, ignored) = try read([try fixture.jwk(algorithm, extra)])
                    #expect(set.keys.map(\.algorithm) == [algorithm] && ignored.isEmpty)
                }
            }
        }
        let set = try fixture.keySet()
        #expect(set.keys.map(\.id) == ["rs256", "es256", "eddsa"])
        #expect(set.keys.map(\.signatureLength) == [342, 86, 86])
    }

    @Test(
        "a key for another purpose, or with a secret, is left out",
        arguments: [
            #","use":"enc""#, #","use":["sig"]"#, #","use":null"#, #","key_ops":["encrypt"]"#, #","key_ops":"verify""#, #","alg":"RS512""#,
            #","alg":"PS256""#, #","alg":"none""#, #","alg":"HS256""#, #","alg":5"#, #","d":"AAAA""#, #","k":"AAAA""#,
        ])
    func otherPurpose(extra: String) throws {
        let fixture = try Fixture.shared()
        for algorithm in TokenAlgorithm.allCases {
            let (set, ignored) = try read([try fixture.jwk(algorithm, extra), try fixture.jwk(.es256, id: "good")])
            #expect(set.keys.map(\.id) == ["good"] && ignored.map(\.place) == [1], "\(algorithm)")
        }
    }

    /// Keys that look like one of the kinds and are none.
    private static func unusable() throws -> [(name: String, key: String)] {
        let fixture = try Fixture.shared()
        let point = fixture.p256.publicKey.rawRepresentation
        let (x, y) = (Data(point.prefix(32)), Data(point.suffix(32)))
        let numbers = try fixture.rsa.publicKey.getKeyPrimitives()
        func text(_ data: Data) -> String { TokenFixture.base64URL(data) }
        func ec(_ x: Data, _ y: Data) -> String { #"{"kid":"k","kty":"EC","crv":"P-256","x":"\#(text(x))","y":"\#(text(y))"}"# }
        func okp(_ x: Data) -> String { #"{"kid":"k","kty":"OKP","crv":"Ed25519","x":"\#(text(x))"}"# }
        func rsa(_ n: Data, _ e: Data) -> String { #"{"kid":"k","kty":"RSA","n":"\#(text(n))","e":"\#(text(e))"}"# }
        func changed(_ data: Data, _ index: Int) -> Data {
            var data = data
            data[data.startIndex + index] ^= 1
            return data
        }
        let short = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: 1024)).publicKey.getKeyPrimitives()
        let zeros = Data(count: 32)
        let prime = Data([0xED] + Array(repeating: 0xFF, count: 30) + [0x7F])
        return [
            ("a point beside the curve", ec(x, changed(y, 31))), ("another point beside it", ec(changed(x, 5), y)),
            ("the point 0 0", ec(zeros, zeros)), ("a short coordinate", ec(x.dropFirst(), y)), ("a long coordinate", ec([0] + x, y)),
            ("coordinates beyond the prime", ec(Data(repeating: 255, count: 32), y)), ("exchanged coordinates", ec(y, x)),
            ("no coordinates", #"{"kid":"k","kty":"EC","crv":"P-256"}"#),
            ("a number for x", #"{"kid":"k","kty":"EC","crv":"P-256","x":1,"y":1}"#),
            ("another curve", #"{"kid":"k","kty":"EC","crv":"P-384","x":"\#(text(x))","y":"\#(text(y))"}"#),
            ("no curve", #"{"kid":"k","kty":"EC","x":"\#(text(x))","y":"\#(text(y))"}"#),
            ("1024 bits", rsa(short.modulus, short.publicExponent)), ("the exponent 1", rsa(numbers.modulus, Data([1]))),
            ("the exponent 2", rsa(numbers.modulus, Data([2]))), ("the exponent 0", rsa(numbers.modulus, Data())),
            ("an exponent of 40 bits and more", rsa(numbers.modulus, Data([1, 0, 0, 0, 0, 1]))),
            ("an even modulus", rsa(numbers.modulus.dropLast() + [0], numbers.publicExponent)),
            ("no modulus", rsa(Data(), numbers.publicExponent)),
            ("8200 bits", rsa(Data(repeating: 255, count: 1025), numbers.publicExponent)),
            ("2048 bits by leading zeros", rsa(Data(count: 128) + short.modulus, short.publicExponent)),
            ("a short Ed25519 key", okp(Data(count: 31) + [])), ("a long one", okp(fixture.ed25519.publicKey.rawRepresentation + [0])),
            ("the point of order 1", okp(Data([1]) + Data(count: 31))), ("a point of order 4", okp(zeros)),
            ("its other sign", okp(Data(count: 31) + [0x80])), ("the point of order 2", okp(Data([0xEC]) + prime.dropFirst())),
            ("a coordinate that is the prime", okp(prime)), ("one beyond it", okp(Data([0xEE]) + prime.dropFirst())),
            (
                "a point of order 8",
                okp(
                    Data([
                        0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0, 0xD5, 0xDF, 0xAC,
                        0x05,
                        0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x85,
                    ]))
            ),
            ("Ed448", #"{"kid":"k","kty":"OKP","crv":"Ed448","x":"\#(text(x))"}"#), ("a secret", #"{"kid":"k","kty":"oct","k":"AAAA"}"#),
            ("no type", #"{"kid":"k"}"#), ("no object", "5"), ("an empty kid", try fixture.jwk(.es256, id: "")),
            ("a kid of 257 bytes", try fixture.jwk(.es256, id: String(repeating: "k", count: 257))),
            ("a kid that is a number", #"{\#(Fixture.material(fixture.p256.publicKey)),"kid":1}"#),
            (
                "padding",
                #"{"kid":"k","kty":"OKP","crv":"Ed25519","x":"\#(fixture.ed25519.publicKey.rawRepresentation.base64EncodedString())"}"#
            ),
        ]
    }

    @Test("what is no key is left out, and alone it makes no set")
    func unusableKeys() throws {
        let good = try Fixture.shared().jwk(.es256, id: "good")
        for (name, key) in try Self.unusable() {
            let (set, ignored) = try read([good, key])
            #expect(set.keys.map(\.id) == ["good"] && ignored.map(\.place) == [2], "\(name)")
            #expect(throws: KeySetError.self, "\(name)") { try read([key]) }
        }
    }

    @Test("two keys of one kid are used where their algorithms differ or they are the same, and neither where they do not")
    func duplicates() throws {
        let fixture = try Fixture.shared()
        let other = "{\(Fixture.material(P256.Signing.PrivateKey().publicKey)),\"kid\":\"k\"}"
        let twice = try read([try fixture.jwk(.es256, id: "k"), try fixture.jwk(.es256, id: "k")])
        #expect(twice.set.keys.count == 1 && twice.ignored.isEmpty)
        let differing = try read([try fixture.jwk(.es256, id: "k"), try fixture.jwk(.rs256, id: "k"), try fixture.jwk(.edDSA, id: "k")])
        #expect(differing.set.keys.count == 3)
        let ambiguous = try read([try fixture.jwk(.es256, id: "k"), other, try fixture.jwk(.rs256, id: "k")])
        #expect(ambiguous.set.keys.map(\.algorithm) == [.rs256] && ambiguous.ignored.map(\.place) == [1, 2])
        // A token of either is refused, by whichever key it was signed.
        let token = try fixture.token(.es256, header: #"{"alg":"ES256","kid":"k"}"#)
        let set = try read([try fixture.jwk(.es256, id: "k"), other, try fixture.jwk(.edDSA, id: "k")]).set
        #expect(Fixture.judge(token, set) == .refused(.algorithm))
        #expect(throws: KeySetError.self) { try read([try fixture.jwk(.es256, id: "k"), other]) }
    }

    @Test(
        "what is no key set is an error",
        arguments: [
            "", "[]", "{}", "null", "not json", #"{"keys":{}}"#, #"{"keys":null}"#, #"{"keys":[]}"#, #"{"keys":[1,2]}"#,
            #"{"keys":[],"keys":[]}"#, "{\"keys\":" + String(repeating: "[", count: 100) + String(repeating: "]", count: 100) + "}",
            #"{"keys":[\#(Array(repeating: "{}", count: 25_000).joined(separator: ","))]}"#, "<html></html>",
        ])
    func noSet(text: String) {
        #expect(throws: KeySetError.self) { try IssuerKeySet.read(ByteBuffer(string: text)) }
    }

    @Test("64 keys are taken, and no more")
    func most() throws {
        let keys = (0..<65).map { index in "{\(Fixture.material(Curve25519.Signing.PrivateKey().publicKey)),\"kid\":\"k\(index)\"}" }
        #expect(try read(Array(keys.dropLast())).set.keys.count == 64)
        #expect(throws: KeySetError.self) { try read(keys) }
    }

    @Test(
        "the place of a set is a file or a web address",
        arguments: [
            ("keys.json", true), ("/etc/keys.json", true), ("https://id.example/jwks", true), ("HTTP://id.example:8080/a?b=c", true),
            ("", false),
            ("ftp://id.example/a", false), ("file:///etc/passwd", false), ("https://", false), ("https:///a", false),
            ("https://user@id.example/", false), ("https://user:secret@id.example/", false), ("unix:///a", false),
        ])
    func places(text: String, isGood: Bool) {
        let source = Result { try KeySetSource(text) }
        #expect(((try? source.get()) != nil) == isGood)
    }

    @Test("the log does not show the query of an address, and says when others could replace the keys on their way")
    func description() throws {
        #expect(try KeySetSource("https://id.example/jwks?key=secret#x").description == "https://id.example/jwks")
        #expect(try KeySetSource("http://id.example/jwks").isUnprotected)
        #expect(try !KeySetSource("https://id.example/jwks").isUnprotected && !KeySetSource("http://127.0.0.1:80/").isUnprotected)
        #expect(try !KeySetSource("keys.json").isUnprotected)
    }
}
