import Commerce
import Crypto
import Foundation
import NIOCore
import Testing

@testable import API

@Suite("Tokens")
struct TokenTests {
    private typealias Fixture = TokenFixture

    @Test("a token speaks for the identity it was signed for", arguments: [Identity.user(UserID(17)), .anyAdmin, .admin(subject: "운영자")])
    func roundTrip(identity: Identity) {
        let token = TokenKey(bytes: Fixture.keyBytes).sign(identity, issuedAt: Fixture.now, expiresAt: Fixture.later)
        #expect(Fixture.authenticate("Bearer \(token)") == .authenticated(identity))
        #expect(Fixture.authenticate("bEARER  \(token)") == .authenticated(identity))
    }

    @Test("a token is valid until the millisecond before it expires, also when it is cached")
    func expiry() {
        let key = TokenKey(bytes: Fixture.keyBytes)
        let value = "Bearer " + key.sign(.user(UserID(1)), issuedAt: Fixture.now, expiresAt: Fixture.later)
        var cache = TokenCache()
        let justBefore = Instant(milliseconds: Fixture.later.milliseconds - 1)
        #expect(Fixture.authenticate(value, at: justBefore, cache: &cache) == .authenticated(.user(UserID(1))))
        #expect(cache.count == 1)
        #expect(Fixture.authenticate(value, at: Fixture.later, cache: &cache) == .refused(.expired))
    }

    @Test("the header and claims written by hand below are those of a good token")
    func handMadeTokenIsGood() {
        for header in [Fixture.goodHeader, #"{"typ":"JWT","alg":"HS256"}"#, #"{"alg":"HS256"}"#, #" { "alg" : "HS256" , "kid" : "1" } "#] {
            #expect(Fixture.authenticate("Bearer \(Fixture.token(header: header))") == .authenticated(.user(UserID(7))), "\(header)")
        }
    }

    @Test(
        "a token whose header asks for another algorithm or an unknown extension is refused",
        arguments: [
            #"{"alg":"none"}"#, #"{"alg":"RS256"}"#, #"{"alg":"HS512"}"#, #"{"alg":"hs256"}"#, #"{"typ":"JWT"}"#, "{}", "not json", "",
            #"{"alg":"HS256","crit":["exp"]}"#, #"{"alg":"HS256","crit":"exp"}"#, #"{"alg":"HS256","crit":null}"#,
            #"{"alg":"HS256","b64":false,"crit":["b64"]}"#, #"{"alg":"HS256","b64":false}"#, #"{"alg":"HS256","alg":"none"}"#, #""HS256""#,
            #"["HS256"]"#,
        ])
    func foreignHeader(header: String) {
        let token = Fixture.token(header: header)
        #expect(Fixture.authenticate("Bearer \(token)").isInvalid)
        #expect(Fixture.verdict(token) == .refused(.header))
    }

    @Test(
        "a token with a claim missing or without meaning is refused",
        arguments: [
            #"{"role":"user","exp":4102444800}"#, #"{"sub":"7","exp":4102444800}"#, #"{"sub":"7","role":"user"}"#,
            #"{"sub":7,"role":"user","exp":4102444800}"#, #"{"sub":"7","role":"user","exp":"4102444800"}"#,
            #"{"sub":"7","role":"user","exp":null}"#, #"{"sub":"7","role":"root","exp":4102444800}"#,
            #"{"sub":"7","role":"USER","exp":4102444800}"#, #"{"sub":"","role":"user","exp":4102444800}"#,
            #"{"sub":"0","role":"user","exp":4102444800}"#, #"{"sub":"-7","role":"user","exp":4102444800}"#,
            #"{"sub":"+7","role":"user","exp":4102444800}"#, #"{"sub":"07","role":"user","exp":4102444800}"#,
            #"{"sub":"7 ","role":"user","exp":4102444800}"#, #"{"sub":"٧","role":"user","exp":4102444800}"#,
            #"{"sub":"9223372036854775808","role":"user","exp":4102444800}"#, #"{"sub":"","role":"admin","exp":4102444800}"#,
            #"{"sub":"admin","role":"user","exp":4102444800}"#, #"{"sub":"7","role":"user","exp":true}"#,
            #"{"sub":"7","role":"user","exp":1e999}"#, #"{"sub":"7","role":"user","exp":4102444800,"nbf":"1"}"#,
            #"{"sub":"7","role":"user","exp":4102444800,"iat":[]}"#, "[]", "{", "",
        ])
    func badClaims(payload: String) {
        let token = Fixture.token(payload: payload)
        #expect(Fixture.authenticate("Bearer \(token)").isInvalid)
        #expect(Fixture.verdict(token) == .refused(.claims))
    }

    @Test("a token signed with another key, or changed in any part, is refused")
    func forged() {
        #expect(Fixture.authenticate("Bearer \(Fixture.forged())").isInvalid)
        let parts = Fixture.token().split(separator: ".").map(String.init)
        let otherUser = Fixture.base64URL(Data(#"{"sub":"8","role":"user","exp":4102444800}"#.utf8))
        let unsigned = [
            "\(parts[0]).\(otherUser).\(parts[2])", "\(parts[0]).\(parts[1]).", "\(parts[0]).\(parts[1])",
            "\(parts[0]).\(parts[1]).\(parts[2]).", "\(parts[0]).\(parts[1]).\(parts[2].dropLast(4))", "..", "", "x",
        ]
        for token in unsigned { #expect(Fixture.authenticate("Bearer \(token)").isInvalid, "\(token)") }
    }

    @Test("a token whose not-before lies ahead is refused until then, and remembered only from then on")
    func notBefore() {
        let start = Fixture.now.milliseconds / 1000 + 10
        let token = Fixture.token(payload: #"{"sub":"7","role":"user","exp":4102444800,"nbf":\#(start)}"#)
        var cache = TokenCache()
        #expect(Fixture.authenticate("Bearer \(token)", cache: &cache) == .refused(.premature))
        #expect(cache.count == 0)
        let begun = Instant(milliseconds: start * 1000)
        #expect(Fixture.authenticate("Bearer \(token)", at: begun, cache: &cache) == .authenticated(.user(UserID(7))))
        #expect(cache.count == 1)
    }

    @Test(
        "an expiry beyond the calendar is no crash", arguments: ["1e300", "9223372036854775807", "-1e300", "1e12", "99999999999999999999"])
    func extremeExpiry(exp: String) {
        let token = Fixture.token(payload: #"{"sub":"7","role":"user","exp":\#(exp)}"#)
        let expected: Authentication = exp.hasPrefix("-") ? .refused(.expired) : .authenticated(.user(UserID(7)))
        #expect(Fixture.authenticate("Bearer \(token)") == expected)
    }

    @Test("no Authorization is missing; another scheme, two values or an endless token are invalid")
    func otherCredentials() {
        #expect(Fixture.authenticate(nil) == .refused(.missing))
        let good = Fixture.token()
        let values = [
            "", "Bearer", "Bearer ", "Basic YTpi", good, "Bearer \(good), Bearer \(good)", "Bearer " + String(repeating: "a", count: 5000),
            "Bearer\t\(good)", "Bearer\(good)", "Bearer \t\(good)", " Bearer \(good)", "Bearers \(good)", "\"earer \(good)",
            "Bearer=\(good)",
            "Bearer \(good) x", "Bearer x \(good)",
        ]
        for value in values { #expect(Fixture.authenticate(value).isInvalid, "\(value.prefix(40))") }
    }
}

/// What is wrong with a token is named by the first step that finds it. So a token that is wrong in several ways shows which step came
/// first, and that the later ones were not taken.
@Suite("The order in which a token is checked")
struct TokenStepTests {
    private typealias Fixture = TokenFixture

    private static let documents = [
        "not json", "", #"{"alg":"none"}"#, #"{"alg":"HS256","x":1e300}"#, #"{"alg":"HS256","alg":"none"}"#,
        #"{"alg":"HS256","x":[\#((0..<700).map(String.init).joined(separator: ","))]}"#, String(repeating: "[", count: 2000),
    ]

    @Test("nothing of a forged token is read as JSON", arguments: documents)
    func forged(json: String) {
        #expect(Fixture.verdict(Fixture.forged(header: json)) == .refused(.signature))
        #expect(Fixture.verdict(Fixture.forged(payload: json)) == .refused(.signature))
    }

    @Test("the same parts with a good signature are refused for what they say", arguments: documents)
    func signed(json: String) {
        #expect(Fixture.verdict(Fixture.token(header: json)) == .refused(.header))
        #expect(Fixture.verdict(Fixture.token(payload: json)) == .refused(.claims))
        #expect(Fixture.verdict(Fixture.token(header: "{}", payload: json)) == .refused(.header))
    }

    @Test(
        "a forged token of more or fewer parts than three is refused before its signature is computed",
        arguments: ["a", "a.b.c", "...", ".."])
    func parts(text: String) {
        #expect(Fixture.verdict(Fixture.signed(text, key: SymmetricKey(size: .bits256))) == .refused(.shape))
        #expect(Fixture.verdict(Fixture.signed(text)) == .refused(.shape))
    }

    @Test("a token is looked at up to 4 KiB, and no further, however many spaces come before it")
    func length() throws {
        let longest = try #require(good(length: 4096))
        #expect(Fixture.authenticate("Bearer " + longest) == .authenticated(.user(UserID(7))))
        #expect(Fixture.authenticate("Bearer  " + longest).isInvalid)
        #expect(Fixture.authenticate("Bearer " + (try #require(good(length: 4097)))).isInvalid)
        let short = Fixture.token()
        #expect(Fixture.authenticate("Bearer" + String(repeating: " ", count: 1000) + short) == .authenticated(.user(UserID(7))))
        #expect(Fixture.authenticate("Bearer" + String(repeating: " ", count: 14_000) + short).isInvalid)
    }

    /// A good token of a given length; not every payload fits every length, so its header varies too.
    private func good(length: Int) -> String? {
        for kid in ["", "k", "kk"] {
            let header = #"{"alg":"HS256","kid":"\#(kid)"}"#
            for filler in length / 2..<length {
                let payload = #"{"sub":"7","role":"user","exp":4102444800,"x":"\#(String(repeating: "x", count: filler))"}"#
                let encoded = [header, payload].map { ($0.utf8.count * 4 + 2) / 3 }
                guard encoded[0] + encoded[1] + 2 + BearerToken.signatureLength == length else { continue }
                return Fixture.token(header: header, payload: payload)
            }
        }
        return nil
    }
}

@Suite("The alphabet of tokens")
struct Base64URLTests {
    @Test(
        "nothing is decoded that no encoder makes",
        arguments: ["A", "AAAAA", "AB", "AAB", "A=", "AA==", "A+AA", "A/AA", "AA A", "AAA\u{e9}"])
    func notBase64(text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { Base64URL.decode($0) } == nil)
    }

    @Test("what an encoder makes of any bytes is decoded to them", arguments: 0..<70)
    func roundTrip(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 151 + count * 7) }
        let decoded = Array(TokenFixture.base64URL(bytes).utf8).withUnsafeBytes { Base64URL.decode($0) }
        #expect(decoded.map { Array($0.readableBytesView) } == bytes)
    }
}
