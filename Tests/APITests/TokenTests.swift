import Commerce
import Crypto
import Foundation
import JWTKit
import TestSupport
import Testing

@testable import API

@Suite("Tokens")
struct TokenTests {
    static let keyBytes = Array("0123456789abcdef0123456789abcdef".utf8)
    static let now = Instant(milliseconds: 1_795_000_000_000)
    static let later = Instant(milliseconds: now.milliseconds + 60_000)

    private func authenticate(_ authorization: String?, at instant: Instant = now) async throws -> Authentication {
        let verifier = try await TokenKey(bytes: Self.keyBytes).verifier()
        var cache = TokenCache()
        return verifier.authenticate(authorization, at: instant, cache: &cache)
    }

    /// A token with any header and payload, signed as HS256 with any key: what no library would make.
    private func token(header: String, payload: String, key: [UInt8] = keyBytes) -> String {
        let signed = Self.base64URL(Data(header.utf8)) + "." + Self.base64URL(Data(payload.utf8))
        let code = HMAC<SHA256>.authenticationCode(for: Data(signed.utf8), using: SymmetricKey(data: key))
        return signed + "." + Self.base64URL(Data(code))
    }

    private static func base64URL(_ data: Data) -> String {
        data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    @Test("a token speaks for the identity it was signed for", arguments: [Identity.user(UserID(17)), .anyAdmin, .admin(subject: "운영자")])
    func roundTrip(identity: Identity) async throws {
        let token = try await TokenKey(bytes: Self.keyBytes).sign(identity, issuedAt: Self.now, expiresAt: Self.later)
        #expect(try await authenticate("Bearer \(token)") == .authenticated(identity))
        #expect(try await authenticate("bEARER  \(token)") == .authenticated(identity))
    }

    @Test("a token is valid until the millisecond before it expires, also when it is cached")
    func expiry() async throws {
        let key = await TokenKey(bytes: Self.keyBytes)
        let value = "Bearer " + (try await key.sign(.user(UserID(1)), issuedAt: Self.now, expiresAt: Self.later))
        let verifier = try await key.verifier()
        var cache = TokenCache()
        let justBefore = Instant(milliseconds: Self.later.milliseconds - 1)
        #expect(verifier.authenticate(value, at: justBefore, cache: &cache) == .authenticated(.user(UserID(1))))
        #expect(cache.count == 1)
        #expect(verifier.authenticate(value, at: Self.later, cache: &cache) == .refused(.expired))
    }

    @Test("the header and claims written by hand below are those of a good token")
    func handMadeTokenIsGood() async throws {
        let good = token(header: #"{"alg":"HS256","typ":"JWT"}"#, payload: #"{"sub":"7","role":"user","exp":4102444800}"#)
        #expect(try await authenticate("Bearer \(good)") == .authenticated(.user(UserID(7))))
    }

    @Test(
        "a token whose header asks for another algorithm or an unknown extension is refused",
        arguments: [
            #"{"alg":"none"}"#, #"{"alg":"RS256"}"#, #"{"alg":"HS512"}"#, #"{"alg":"hs256"}"#, #"{"typ":"JWT"}"#, "{}", "not json",
            #"{"alg":"HS256","crit":["exp"]}"#, #"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        ])
    func foreignHeader(header: String) async throws {
        let token = token(header: header, payload: #"{"sub":"7","role":"user","exp":4102444800}"#)
        #expect(try await authenticate("Bearer \(token)") == .refused(.invalid))
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
            #"{"sub":"admin","role":"user","exp":4102444800}"#, "[]", "{", "",
        ])
    func badClaims(payload: String) async throws {
        let token = token(header: #"{"alg":"HS256"}"#, payload: payload)
        #expect(try await authenticate("Bearer \(token)") == .refused(.invalid))
    }

    @Test("a token signed with another key, or changed in any part, is refused")
    func forged() async throws {
        let header = #"{"alg":"HS256"}"#
        let payload = #"{"sub":"7","role":"user","exp":4102444800}"#
        let foreign = token(header: header, payload: payload, key: Array(repeating: 1, count: 32))
        #expect(try await authenticate("Bearer \(foreign)") == .refused(.invalid))
        let parts = token(header: header, payload: payload).split(separator: ".").map(String.init)
        let otherUser = Self.base64URL(Data(#"{"sub":"8","role":"user","exp":4102444800}"#.utf8))
        let unsigned = [
            "\(parts[0]).\(otherUser).\(parts[2])", "\(parts[0]).\(parts[1]).", "\(parts[0]).\(parts[1])",
            "\(parts[0]).\(parts[1]).\(parts[2]).", "\(parts[0]).\(parts[1]).\(parts[2].dropLast(4))", "..", "", "x",
        ]
        for token in unsigned { #expect(try await authenticate("Bearer \(token)") == .refused(.invalid), "\(token)") }
    }

    @Test("a token whose not-before lies ahead is refused until then")
    func notBefore() async throws {
        let start = Self.now.milliseconds / 1000 + 10
        let token = token(header: #"{"alg":"HS256"}"#, payload: #"{"sub":"7","role":"user","exp":4102444800,"nbf":\#(start)}"#)
        #expect(try await authenticate("Bearer \(token)") == .refused(.premature))
        #expect(try await authenticate("Bearer \(token)", at: Instant(milliseconds: start * 1000)) == .authenticated(.user(UserID(7))))
    }

    @Test("an expiry beyond the calendar is no crash", arguments: ["1e300", "9223372036854775807", "-1e300", "1e12"])
    func extremeExpiry(exp: String) async throws {
        let token = token(header: #"{"alg":"HS256"}"#, payload: #"{"sub":"7","role":"user","exp":\#(exp)}"#)
        let expected: Authentication = exp.hasPrefix("-") ? .refused(.expired) : .authenticated(.user(UserID(7)))
        #expect(try await authenticate("Bearer \(token)") == expected)
    }

    @Test("no Authorization is missing; another scheme, two values or an endless token are invalid")
    func otherCredentials() async throws {
        #expect(try await authenticate(nil) == .refused(.missing))
        let good = token(header: #"{"alg":"HS256"}"#, payload: #"{"sub":"7","role":"user","exp":4102444800}"#)
        let values = [
            "", "Bearer", "Bearer ", "Basic YTpi", good, "Bearer \(good), Bearer \(good)", "Bearer " + String(repeating: "a", count: 5000),
        ]
        for value in values { #expect(try await authenticate(value) == .refused(.invalid), "\(value.prefix(40))") }
    }
}

@Suite("Tokens read without a decoder")
struct PlainTokenTests {
    private let key = SymmetricKey(data: TokenTests.keyBytes)

    private func signed(_ header: String, _ payload: Data) -> String {
        let signed = header + "." + Self.base64URL(payload)
        return signed + "." + Self.base64URL(Data(HMAC<SHA256>.authenticationCode(for: Data(signed.utf8), using: key)))
    }

    private static func base64URL(_ data: Data) -> String {
        data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    @Test("the tokens that the service signs are read, and say what JWTKit reads in them")
    func own() async throws {
        let tokenKey = await TokenKey(bytes: TokenTests.keyBytes)
        let verifier = try await tokenKey.verifier()
        let plain = PlainTokenReader(key: key)
        for identity in [Identity.user(UserID(1)), .user(UserID(.max)), .anyAdmin, .admin(subject: "운영자"), .admin(subject: "a\"b\\/c")] {
            let token = try await tokenKey.sign(identity, issuedAt: TokenTests.now, expiresAt: TokenTests.later)
            let read = try #require(plain.read(token))
            #expect(read == verifier.verifyByLibrary(token))
            #expect(read.identity == identity)
        }
    }

    @Test("whatever is read without a decoder is what JWTKit makes of it, over claims of every kind and bytes changed at random")
    func agreement() async throws {
        let tokenKey = await TokenKey(bytes: TokenTests.keyBytes)
        let verifier = try await tokenKey.verifier()
        let headers = [#"{"alg":"HS256","typ":"JWT"}"#, #"{"typ":"JWT","alg":"HS256"}"#].map { Self.base64URL(Data($0.utf8)) }
        let plain = PlainTokenReader(key: key)
        var random = Seeded(seed: 20_261_121)
        var taken = 0
        let values = [
            #""1""#, #""7""#, #""user""#, #""admin""#, #""\u0031""#, "1", "4102444800", "4102444800.5", "1e9", "-1", "0", "null", "true",
            "[]", "{}",
            "253402300799", "253402300800", "9223372036854775807", "9223372036854775808", #""""#, #""운영자""#, #""07""#,
        ]
        for round in 0..<4_000 {
            var members = [
                #""sub":"7""#, #""role":"user""#, #""exp":4102444800"#, #""nbf":1700000000"#, #""iat":1700000000"#, #""x":[{}]"#,
            ]
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let index = Int.random(in: 0..<members.count, using: &random)
                guard let name = members[index].split(separator: ":").first, let value = values.randomElement(using: &random) else {
                    continue
                }
                members[index] = Bool.random(using: &random) ? "\(name):\(value)" : "\(name) : \(value)"
            }
            members.shuffle(using: &random)
            var payload = Data(("{" + members.prefix(Int.random(in: 3...6, using: &random)).joined(separator: ",") + "}").utf8)
            if round % 4 == 3 { payload[Int.random(in: 0..<payload.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
            var token = signed(headers[round % 2], payload)
            if round % 7 == 6 {
                var bytes = Array(token.utf8)
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 33...126, using: &random)
                token = String(decoding: bytes, as: UTF8.self)
            }
            guard let read = plain.read(token) else { continue }
            taken += 1
            #expect(read == verifier.verifyByLibrary(token), "\(String(decoding: payload, as: UTF8.self)) in \(token)")
        }
        #expect(taken > 500)
    }

    @Test(
        "nothing is decoded that no encoder makes",
        arguments: ["A", "AAAAA", "AB", "AAB", "A=", "AA==", "A+AA", "A/AA", "AA A", "AAA\u{e9}"])
    func notBase64(text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { Base64URL.decode($0) } == nil)
    }
}

@Suite("The cache of verified tokens")
struct TokenCacheTests {
    private func token(_ id: Int64) throws -> VerifiedToken {
        try #require(VerifiedToken(TokenClaims(sub: .init(value: "\(id)"), role: "user", exp: .init(value: .distantFuture))))
    }

    @Test("it never holds more than two generations and keeps what is asked for")
    func bounded() throws {
        var cache = TokenCache(generationSize: 10)
        let kept = try token(1)
        cache.insert(kept, for: "kept")
        for id in 2...500 {
            cache.insert(try token(Int64(id)), for: "token \(id)")
            if id.isMultiple(of: 5) { #expect(cache.find("kept") == kept) }
            #expect(cache.count <= 20)
        }
        #expect(cache.find("token 2") == nil)
        let last = try token(500)
        #expect(cache.find("token 500") == last)
    }

    @Test(
        "only the very bytes are found again",
        arguments: [
            "Bearer a.b.1234567K", "Bearer a.c.12345678", "Bearer a.b.1234567\u{212A}", "Bearer \u{212A}.b.12345678", "bearer K.b.12345678",
            "12345678", "",
        ])
    func byteEqual(other: String) throws {
        var cache = TokenCache()
        let mine = try token(1)
        cache.insert(mine, for: "Bearer K.b.12345678")
        #expect(cache.find(other) == nil)
        #expect(cache.find("Bearer K.b.12345678") == mine)
    }
}
