import Crypto
import Foundation
import TestSupport

/// Makes tokens at random: good ones, and others that are wrong in any of the ways that tokens are known to be.
struct TokenGenerator {
    var random: SeededGenerator

    mutating func next() -> String {
        var header = Data(chance(0.7) ? Self.ownHeader(chance(0.5)).utf8 : pick(Self.headers).utf8)
        var payload = payload()
        if chance(0.03) { change(&header) }
        if chance(0.1) { change(&payload) }
        var token = sign(header, payload)
        if chance(0.15) { disturb(&token) }
        return token
    }

    private static func ownHeader(_ isTypeFirst: Bool) -> String {
        isTypeFirst ? #"{"typ":"JWT","alg":"HS256"}"# : #"{"alg":"HS256","typ":"JWT"}"#
    }

    /// Numbers have three digits at most: no two changes make one of them over which JWTKit ends the process.
    private static let headers: [String] =
        [
            #"{"alg":"HS256"}"#, #"{"alg":"HS256","kid":"k"}"#, #" {"alg" :"HS256"} "#, "{\n\t\"alg\":\"HS256\"}\r\n",
            #"{"\u0061lg":"HS256"}"#,
            #"{"alg":"\u0048S256"}"#, #"{"alg":"HS256","typ":"jwt"}"#, #"{"alg":"HS256","typ":"JOSE"}"#, #"{"alg":"HS256","typ":"at+jwt"}"#,
            #"{"alg":"HS256","typ":null}"#, #"{"alg":"HS256","typ":1}"#, #"{"alg":"HS256","cty":"JWT","x5t":"","운영":"자"}"#,
            #"{"alg":"none"}"#, #"{"alg":"None","typ":"JWT"}"#, #"{"alg":""}"#, #"{"alg":null}"#, #"{"alg":256}"#, #"{"alg":["HS256"]}"#,
            #"{"alg":"hs256"}"#, #"{"alg":"HS256 "}"#, #"{"alg":"HS256\u0000"}"#, #"{"ALG":"HS256"}"#, #"{"typ":"JWT"}"#, "{}",
            #"{"alg":"HS256","alg":"none"}"#, #"{"alg":"none","alg":"HS256"}"#, #"{"alg":"HS256","alg":"HS256"}"#,
            #"{"alg":"HS256","crit":["exp"]}"#, #"{"alg":"HS256","crit":[]}"#, #"{"alg":"HS256","crit":null}"#,
            #"{"alg":"HS256","crit":"exp"}"#,
            #"{"alg":"HS256","crit":{}}"#, #"{"alg":"HS256","\u0063rit":["b64"],"b64":false}"#, #"{"alg":"HS256","b64":false}"#,
            #"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#, #"{"alg":"HS256","x5c":["AAAA"]}"#, #"{"alg":"HS256","x":[1,22,333,true]}"#,
            #"{"alg":"HS256","x":{"alg":"none"}}"#, #"{"alg":"HS256","x":1.5}"#, #"{"alg":"HS256",}"#, #"{"alg":"HS256"}}"#,
            #"{"alg":"HS256""#,
            #"{'alg':'HS256'}"#, #"{"alg":"HS256"} {}"#, #"/**/{"alg":"HS256"}"#, #"{"alg":"HS256","x":NaN}"#, #"{"alg":"HS256","x":01}"#,
            #"{"alg":"HS256","x":"\ud800"}"#, #"{"alg":"HS256","x":"\ud83d\ude00"}"#, "\u{FEFF}" + #"{"alg":"HS256"}"#, #"["alg","HS256"]"#,
            #""HS256""#, "HS256", "null", "", " ", "{\"alg\":\"HS256\",\"x\":\"a\tb\"}",
        ]
        + ["HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES512", "EdDSA", "ML-DSA-65", "HS257", "HS2561"].map {
            #"{"alg":"\#($0)"}"#
        }
        + [31, 32, 40, 300].map { #"{"alg":"HS256","x":\#(String(repeating: "[", count: $0) + String(repeating: "]", count: $0))}"# }

    private static let times = [
        "4102444800", "4102444800", "4102444800", "1795000060", "4102444800.5", "4102444800.0", "4102444800.9999", "4102444800.0005",
        "4.1024448e9",
        "41024448E2", "4102444800e0", "1e9", "1e300", "-1e300", "1e999", "-1e999", "1e-999", "-1", "-0", "0", "-0.5", "1.5", "253402300799",
        "253402300799.999", "253402300800", "9007199254740993", "9223372036854775", "9223372036854776", "9223372036854775807",
        "9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" + String(repeating: "0", count: 400),
        "1." + String(repeating: "3", count: 50), #""4102444800""#, "null", "true", "[]", "{}", "[4102444800]", "4102444800 ",
        "04102444800",
        "+4102444800", "4102444800.", ".5", "0x10", "Infinity", "NaN", "1e", "1e+", "1e+9", "1E-2", "-", "",
    ]
    private static let subjects = [
        #""7""#, #""7""#, #""9223372036854775807""#, #""9223372036854775808""#, #""0""#, #""07""#, #""+7""#, #""-7""#, #""7 ""#, #"" 7""#,
        #""٧""#,
        #""７""#, #""\u0037""#, #""admin""#, #""운영자""#, #""a\"b\\c\/d\n""#, #""\ud83d\ude00""#, #""\ud800""#, #""\udc00x""#, #""7\u0000""#,
        #""""#, #""e\u0301""#, "\"\(String(repeating: "s", count: 255))\"", "\"\(String(repeating: "s", count: 256))\"",
        "\"\(String(repeating: "é", count: 128))\"", "7", "null", "true", #"["7"]"#, "{}", #""7"#, #"'7'"#, "\"7\t\"",
    ]
    private static let roles = [
        #""user""#, #""user""#, #""user""#, #""admin""#, #""admin""#, #""\u0075ser""#, #""User""#, #""root""#, #""""#, "null", "1",
        #"["user"]"#, #""user\u0000""#, #""user ""#,
    ]
    private static let others = [
        #""x":1"#, #""x":null"#, #""x":[{"x":{}}]"#, #""x":1,"x":2"#, #""":"""#, #""sub":"8""#, #""role":"admin""#, #""exp":1"#,
        #""\u0073ub":"9""#,
        #""SUB":"9""#, #""x":"\ud800""#, #""x":1e999"#, #""x":01"#, #""x":tru"#, #""x":"#, #""x""#, "", #""x":"\x""#, #""é":1,"e\u0301":2"#,
        "\"x\":" + String(repeating: "[", count: 31) + String(repeating: "]", count: 31),
        "\"x\":" + String(repeating: "{\"x\":", count: 40) + "1" + String(repeating: "}", count: 40),
        "\"x\":" + String(repeating: "[", count: 700), "\"x\":" + String(repeating: "1,", count: 20) + "1",
    ]
    private static let documents = ["", " ", "{}", "[]", "null", "7", #""7""#, "{", "}", "[{}]", "\u{FEFF}{}", "{}{}"]

    /// Mostly complete claims, each of which may be unusual.
    private mutating func payload() -> Data {
        if chance(0.02) { return Data(pick(Self.documents).utf8) }
        var members = [
            #""sub":"# + usual(#""7""#, Self.subjects), #""role":"# + usual(#""user""#, Self.roles),
            #""exp":"# + usual("4102444800", Self.times),
        ]
        if chance(0.4) { members.append(#""iat":"# + usual("1795000000", Self.times)) }
        if chance(0.4) { members.append(#""nbf":"# + usual("1795000000", Self.times)) }
        if chance(0.2) { members.append(pick(Self.others)) }
        if chance(0.1) { members.remove(at: Int.random(in: 0..<members.count, using: &random)) }
        members.shuffle(using: &random)
        let space = chance(0.1) ? pick([" ", "\n", "\r\n", "\t", "\u{0B}", "\u{A0}"]) : ""
        return Data(("{" + space + members.joined(separator: space + "," + space) + space + "}" + space).utf8)
    }

    private mutating func usual(_ common: String, _ all: [String]) -> String { chance(0.85) ? common : pick(all) }

    /// Signs with the right key nearly always, so that what lies behind the signature is reached.
    private mutating func sign(_ header: Data, _ payload: Data) -> String {
        let signed = TokenFixture.base64URL(header) + "." + TokenFixture.base64URL(payload)
        let data = Data(signed.utf8)
        switch Int.random(in: 0..<80, using: &random) {
        case 0: return TokenFixture.signed(signed, key: SymmetricKey(data: Array(repeating: 1 as UInt8, count: 32)))
        case 1: return TokenFixture.signed(signed, key: SymmetricKey(data: [UInt8]()))
        case 2: return signed + "." + TokenFixture.base64URL(HMAC<SHA384>.authenticationCode(for: data, using: TokenFixture.key))
        case 3: return signed + "." + TokenFixture.base64URL(HMAC<SHA512>.authenticationCode(for: data, using: TokenFixture.key))
        case 4: return signed + "." + TokenFixture.base64URL(SHA256.hash(data: data))
        case 5: return signed + "."
        case 6: return TokenFixture.signed(TokenFixture.base64URL(header) + ".") + TokenFixture.base64URL(payload)
        case 7: return TokenFixture.signed(signed + "." + TokenFixture.base64URL(header))
        case 8: return TokenFixture.signed(TokenFixture.base64URL(header))
        case 9: return TokenFixture.signed(spelledOtherwise(TokenFixture.base64URL(header), payload))
        default: return TokenFixture.signed(signed)
        }
    }

    /// The same bytes as other encoders write them, or as none does; signed as they are.
    private mutating func spelledOtherwise(_ header: String, _ payload: Data) -> String {
        let standard = payload.base64EncodedString()
        return header + "."
            + pick([
                standard, TokenFixture.base64URL(payload) + "=", standard.replacing("=", with: ""), TokenFixture.base64URL(payload) + "A",
                TokenFixture.base64URL(payload) + "\n", " " + TokenFixture.base64URL(payload),
            ])
    }

    /// Changes bytes of a document before it is signed.
    private mutating func change(_ document: inout Data) {
        for _ in 0...Int.random(in: 0...1, using: &random) {
            guard !document.isEmpty else { return }
            let index = Int.random(in: 0..<document.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: document[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: document[index] = UInt8.random(in: 0...255, using: &random)
            case 2: document.remove(at: index)
            case 3: document.insert(document[Int.random(in: 0..<document.count, using: &random)], at: index)
            default: document = document.prefix(index)
            }
        }
    }

    /// Changes the text of a signed token.
    private mutating func disturb(_ token: inout String) {
        var bytes = Array(token.utf8)
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<12, using: &random) {
        case 0: bytes[index] = UInt8.random(in: 33...126, using: &random)
        case 1: bytes[index] ^= 0x20
        case 2: bytes = Array(bytes.prefix(index))
        case 3: bytes = Array(bytes.suffix(index))
        case 4: bytes.insert(UInt8(ascii: "."), at: index)
        case 5: bytes += Array("=".utf8)
        case 6: bytes += Array(pick(["A", ".", "..", "AAAA", ".AAAA", "\n", "\0", ",", "\u{212A}"]).utf8)
        case 7: bytes = Array(pick([" ", "  ", "\t", ".", "\"", "\u{FEFF}"]).utf8) + bytes
        case 8: bytes[bytes.count - 1] = pick(Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8))
        case 9: bytes = Array(String(decoding: bytes, as: UTF8.self).replacing("-", with: "+").replacing("_", with: "/").utf8)
        case 10: bytes = Array(String(decoding: bytes, as: UTF8.self).split(separator: ".").reversed().joined(separator: ".").utf8)
        default: bytes.swapAt(index, Int.random(in: 0..<bytes.count, using: &random))
        }
        token = String(decoding: bytes, as: UTF8.self)
    }

    private mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &random) < probability }

    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements[Int.random(in: 0..<elements.count, using: &random)] }
}
