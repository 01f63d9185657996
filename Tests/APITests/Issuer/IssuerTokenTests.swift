import Commerce
import Crypto
import CryptoExtras
import Foundation
import NIOCore
import Testing

@testable import API

@Suite("Tokens of an issuer")
struct IssuerTokenTests {
    private typealias Fixture = IssuerFixture

    @Test("a good token of each algorithm is taken", arguments: TokenAlgorithm.allCases)
    func good(algorithm: TokenAlgorithm) throws {
        let fixture = try Fixture.shared()
        #expect(Fixture.judge(try fixture.token(algorithm), try fixture.keySet()) == .authenticated(.user(UserID(7))))
    }

    @Test("Ed25519 is another name of EdDSA, in keys and in tokens")
    func otherName() throws {
        let fixture = try Fixture.shared()
        let set = try IssuerKeySet.read(Fixture.document([try fixture.jwk(.edDSA, #","alg":"Ed25519""#)])).set
        let token = try fixture.token(.edDSA, header: #"{"alg":"Ed25519","kid":"eddsa"}"#)
        #expect(Fixture.judge(token, set) == .authenticated(.user(UserID(7))))
    }

    @Test("a token of one key with the algorithm of another is refused, whichever of both its header names")
    func otherAlgorithm() throws {
        let fixture = try Fixture.shared()
        for signer in TokenAlgorithm.allCases {
            for named in TokenAlgorithm.allCases {
                for kid in TokenAlgorithm.allCases where signer != named || named != kid {
                    let header = #"{"alg":"\#(named.rawValue)","kid":"\#(Fixture.keyID(kid))"}"#
                    let verdict = Fixture.judge(try fixture.token(signer, header: header), try fixture.keySet())
                    let expected: Authentication.Fault = named == kid ? .signature : .algorithm
                    #expect(verdict == .refused(expected), "\(signer) \(named) \(kid)")
                }
            }
        }
    }

    @Test(
        "a header without an algorithm of a public key is refused, whatever it is signed with",
        arguments: [
            "none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "EdDSA ", "rs256",
            "Ed448",
        ])
    func foreignAlgorithm(name: String) throws {
        let fixture = try Fixture.shared()
        for algorithm in TokenAlgorithm.allCases {
            let header = #"{"alg":"\#(name)","kid":"\#(Fixture.keyID(algorithm))"}"#
            #expect(Fixture.judge(try fixture.token(algorithm, header: header), try fixture.keySet()) == .refused(.algorithm))
        }
        let header = #"{"alg":"\#(name)","kid":"rs256"}"#
        let unsigned = Fixture.token(header: header) { _ in Data() }
        #expect(Fixture.judge(unsigned, try fixture.keySet()).isInvalid)
        #expect(Fixture.judge(String(unsigned.dropLast()), try fixture.keySet()).isInvalid)
    }

    @Test("no form of a public key is a key for HS256")
    func publicKeyAsSecret() throws {
        let fixture = try Fixture.shared()
        let rsa = fixture.rsa.publicKey
        let forms: [(TokenAlgorithm, Data)] = [
            (.rs256, Data(rsa.pemRepresentation.utf8)), (.rs256, Data((rsa.pemRepresentation + "\n").utf8)),
            (.rs256, rsa.derRepresentation),
            (.rs256, Data(rsa.pkcs1PEMRepresentation.utf8)), (.rs256, rsa.pkcs1DERRepresentation),
            (.rs256, try rsa.getKeyPrimitives().modulus), (.rs256, Data(try fixture.jwk(.rs256).utf8)),
            (.es256, Data(fixture.p256.publicKey.pemRepresentation.utf8)), (.es256, fixture.p256.publicKey.derRepresentation),
            (.es256, fixture.p256.publicKey.rawRepresentation), (.es256, fixture.p256.publicKey.x963Representation),
            (.es256, Data(try fixture.jwk(.es256).utf8)), (.edDSA, fixture.ed25519.publicKey.rawRepresentation),
            (.edDSA, Data(try fixture.jwk(.edDSA).utf8)), (.rs256, Data(try fixture.document().readableBytesView)), (.rs256, Data()),
        ]
        for (algorithm, secret) in forms {
            for header in [
                #"{"alg":"HS256","kid":"\#(Fixture.keyID(algorithm))"}"#, TokenFixture.goodHeader, Fixture.goodHeader(algorithm),
            ] {
                let token = Fixture.token(header: header) { signed in
                    Data(HMAC<SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: secret)))
                }
                #expect(Fixture.judge(token, try fixture.keySet()) == .refused(.signature), "\(algorithm) \(secret.count) bytes")
            }
        }
    }

    @Test("a token of the data folder's key says nothing about the issuer, and is taken by its own rules")
    func localBesideIssuer() throws {
        let set = try Fixture.shared().keySet()
        #expect(Fixture.judge(TokenFixture.token(), set) == .authenticated(.user(UserID(7))))
        // Signed with the folder's key, but said to be of the issuer.
        #expect(Fixture.judge(TokenFixture.token(header: Fixture.goodHeader(.rs256)), set) == .refused(.algorithm))
    }

    @Test("a signature changed in any part, cut, lengthened or spelled otherwise is refused", arguments: TokenAlgorithm.allCases)
    func changedSignature(algorithm: TokenAlgorithm) throws {
        let fixture = try Fixture.shared()
        let set = try fixture.keySet()
        let header = Fixture.goodHeader(algorithm)
        let length = try fixture.signature(algorithm, of: Data()).count
        for bit in [0, 7, length * 4, length * 8 - 1] {
            let token = try Fixture.token(header: header) { signed in
                var signature = try fixture.signature(algorithm, of: signed)
                signature[bit / 8] ^= 1 << (bit % 8)
                return signature
            }
            #expect(Fixture.judge(token, set) == .refused(.signature), "bit \(bit)")
        }
        let others: [(Data) -> Data] = [
            { $0.dropLast() }, { $0.dropFirst() }, { $0 + [0] }, { [0] + $0 }, { _ in Data() }, { Data(repeating: 0, count: $0.count) },
            { Data(repeating: 255, count: $0.count) }, { $0 + $0 },
        ]
        for (index, change) in others.enumerated() {
            let token = try Fixture.token(header: header) { change(try fixture.signature(algorithm, of: $0)) }
            #expect(Fixture.judge(token, set).isInvalid, "change \(index)")
        }
        let good = try fixture.token(algorithm)
        for token in [good + "=", good + ".", good.replacing(".", with: ".."), "." + good, good + ".e30", good.dropLast() + "+"] {
            #expect(Fixture.judge(String(token), set).isInvalid, "\(token.suffix(8))")
        }
    }

    @Test("an ES256 signature in DER, and one whose numbers are out of range, are refused")
    func malformedES256() throws {
        let fixture = try Fixture.shared()
        let set = try fixture.keySet()
        let header = Fixture.goodHeader(.es256)
        // The order of the curve.
        let order =
            Data([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0] + Array(repeating: 0xFF, count: 8))
            + Data([0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51])
        let der = try Fixture.token(header: header) { try fixture.p256.signature(for: $0).derRepresentation }
        #expect(Fixture.judge(der, set).isInvalid)
        // DER that has the length of the other form by chance is no signature either.
        let padded = try Fixture.token(header: header) { (try fixture.p256.signature(for: $0).derRepresentation).prefix(64) }
        #expect(Fixture.judge(padded, set) == .refused(.signature))
        for (r, s) in [(Data(count: 32), nil), (nil, Data(count: 32)), (order, nil), (nil, order)] as [(Data?, Data?)] {
            let token = try Fixture.token(header: header) { signed in
                let signature = try fixture.signature(.es256, of: signed)
                return (r ?? signature.prefix(32)) + (s ?? signature.suffix(32))
            }
            #expect(Fixture.judge(token, set) == .refused(.signature))
        }
    }

    @Test("an Ed25519 signature whose number is not the least one is refused")
    func malleableEdDSA() throws {
        let fixture = try Fixture.shared()
        // The order of the group, least significant byte first: s + order is the same number to a reader that does not compare.
        let order: [UInt8] =
            [0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14]
            + Array(repeating: 0, count: 15) + [0x10]
        let token = try Fixture.token(header: Fixture.goodHeader(.edDSA)) { signed in
            var signature = try fixture.signature(.edDSA, of: signed)
            var carry = 0
            for index in 0..<32 {
                carry += Int(signature[signature.startIndex + 32 + index]) + Int(order[index])
                signature[signature.startIndex + 32 + index] = UInt8(truncatingIfNeeded: carry)
                carry >>= 8
            }
            return signature
        }
        #expect(Fixture.judge(token, try fixture.keySet()) == .refused(.signature))
    }

    @Test("an RSA signature with the padding or the digest of another algorithm is refused")
    func otherRSA() throws {
        let fixture = try Fixture.shared()
        let header = Fixture.goodHeader(.rs256)
        let set = try fixture.keySet()
        let pss = try Fixture.token(header: header) {
            try fixture.rsa.signature(for: SHA256.hash(data: $0), padding: .PSS).rawRepresentation
        }
        let sha512 = try Fixture.token(header: header) {
            try fixture.rsa.signature(for: SHA512.hash(data: $0), padding: .insecurePKCS1v1_5).rawRepresentation
        }
        for token in [pss, sha512] { #expect(Fixture.judge(token, set) == .refused(.signature)) }
    }

    @Test(
        "a header with an extension, another type or no meaning is refused",
        arguments: [
            (#""crit":["exp"]"#, .algorithm), (#""crit":[]"#, .algorithm), (#""crit":null"#, .algorithm),
            (#""crit":["b64"],"b64":false"#, .algorithm),
            (#""b64":false"#, .algorithm), (#""b64":true"#, .algorithm), (#""typ":"logout+jwt""#, .algorithm),
            (#""typ":"JOSE""#, .algorithm),
            (#""typ":null"#, .algorithm), (#""typ":["JWT"]"#, .algorithm), (#""alg":"none""#, .malformed), (#""kid":"es256""#, .malformed),
            (#""x":[[[[[1]]]]]"#, .malformed),
        ] as [(String, Authentication.Fault)])
    func badHeader(extra: String, reason: Authentication.Fault) throws {
        let fixture = try Fixture.shared()
        let header = #"{"alg":"ES256","kid":"es256",\#(extra)}"#
        #expect(Fixture.judge(try fixture.token(.es256, header: header), try fixture.keySet()) == .refused(reason))
    }

    @Test(
        "a header may have the type of an access token, and members of no use here",
        arguments: [
            #""typ":"JWT""#, #""typ":"jwt""#, #""typ":"at+jwt""#, #""typ":"application/at+jwt""#, #""x5t":"abc""#, #""x5c":["AAAA"]"#,
            #""jwk":{"kty":"oct","k":"AAAA"}"#, #""jku":"https://elsewhere.example""#, #""cty":"JWT""#,
        ])
    func goodHeader(extra: String) throws {
        let fixture = try Fixture.shared()
        let header = #"{"alg":"ES256","kid":"es256",\#(extra)}"#
        #expect(Fixture.judge(try fixture.token(.es256, header: header), try fixture.keySet()) == .authenticated(.user(UserID(7))))
    }

    @Test(
        "a kid that is no text, or that is empty or too long, is malformed",
        arguments: ["1", "null", "[]", #"["es256"]"#, #"{"es256":1}"#, #""""#, "\"\(String(repeating: "k", count: 257))\"", "true"])
    func hostileKeyID(kid: String) throws {
        let fixture = try Fixture.shared()
        let token = try fixture.token(.es256, header: #"{"alg":"ES256","kid":\#(kid)}"#)
        #expect(Fixture.judge(token, try fixture.keySet()) == .refused(.malformed))
    }

    @Test(
        "a kid that no key has is unknown, also where it looks like one that a key has",
        arguments: [
            "ES256", "es256 ", " es256", "es256\\u0000", "e\\u0301", "\u{E9}", String(repeating: "k", count: 256), "../es256", "%65s256",
        ])
    func unknownKeyID(kid: String) throws {
        let fixture = try Fixture.shared()
        let set = try IssuerKeySet.read(Fixture.document([try fixture.jwk(.es256), try fixture.jwk(.edDSA, id: "e\u{301}x")])).set
        let token = try fixture.token(.es256, header: #"{"alg":"ES256","kid":"\#(kid)"}"#)
        #expect(Fixture.judge(token, set) == .refused(.unknownKey))
        // The composed letter is another kid than the one of two characters, although both look alike.
        let composed = try fixture.token(.edDSA, header: #"{"alg":"EdDSA","kid":"\u00e9x"}"#)
        #expect(Fixture.judge(composed, set) == .refused(.unknownKey))
    }

    @Test("a token without a kid is taken where one key is for its algorithm, and refused where several are")
    func noKeyID() throws {
        let fixture = try Fixture.shared()
        let token = try fixture.token(.es256, header: #"{"alg":"ES256"}"#)
        #expect(Fixture.judge(token, try fixture.keySet()) == .authenticated(.user(UserID(7))))
        let other = Fixture.material(P256.Signing.PrivateKey().publicKey)
        let two = try IssuerKeySet.read(Fixture.document([try fixture.jwk(.es256), "{\(other)}"])).set
        #expect(Fixture.judge(token, two) == .refused(.unknownKey))
        let none = try IssuerKeySet.read(Fixture.document([try fixture.jwk(.rs256)])).set
        // A newer set may have one.
        #expect(Fixture.judge(token, none) == .refused(.unknownKey))
    }

    @Test("a token without a kid that only a key without a kid fits is taken")
    func keyWithoutID() throws {
        let fixture = try Fixture.shared()
        let set = try IssuerKeySet.read(Fixture.document(["{\(Fixture.material(fixture.p256.publicKey))}"])).set
        #expect(Fixture.judge(try fixture.token(.es256, header: #"{"alg":"ES256"}"#), set) == .authenticated(.user(UserID(7))))
        #expect(Fixture.judge(try fixture.token(.es256), set) == .refused(.unknownKey))
    }

    @Test("a token is taken up to 8 KiB")
    func length() throws {
        let fixture = try Fixture.shared()
        let set = try fixture.keySet()
        func token(filling count: Int) throws -> String {
            try fixture.token(.es256, payload: "{\(Fixture.goodClaims),\"x\":\"\(String(repeating: "x", count: count))\"}")
        }
        let rest = BearerToken.longestOfIssuer - (try token(filling: 0)).utf8.count
        let longest = try token(filling: rest * 3 / 4 - 2)
        #expect(longest.utf8.count <= BearerToken.longestOfIssuer && longest.utf8.count > BearerToken.longestOfIssuer - 8)
        #expect(Fixture.judge(longest, set) == .authenticated(.user(UserID(7))))
        #expect(Fixture.judge(try token(filling: rest), set) == .refused(.malformed))
        #expect(
            Fixture.judge(try fixture.token(.es256, header: #"{"alg":"ES256","x":"\#(String(repeating: "x", count: 1_600))"}"#), set)
                .isInvalid)
        let values = #"{"x":[\#(Array(repeating: "1", count: 2_100).joined(separator: ",")),\#(Fixture.goodClaims)}"#
        #expect(Fixture.judge(try fixture.token(.es256, payload: values), set) == .refused(.claims))
    }
}

@Suite("The claims of an issuer's tokens")
struct IssuerClaimTests {
    private typealias Fixture = IssuerFixture

    private func judge(
        _ payload: String, _ change: (inout IssuerRules) -> Void = { _ in }, at now: Instant = IssuerFixture.now
    ) throws -> Authentication {
        let fixture = try Fixture.shared()
        var rules = Fixture.rules
        change(&rules)
        return Fixture.judge(try fixture.token(.edDSA, payload: payload), try fixture.keySet(), rules: rules, at: now)
    }

    @Test(
        "what a claim has to be",
        arguments: [
            (#""sub":"7","role":"user","exp":4102444800,"aud":"shop""#, .issuer),
            (#""sub":"7","role":"user","exp":4102444800,"aud":"shop","iss":"https://id.example/""#, .issuer),
            (#""sub":"7","role":"user","exp":4102444800,"aud":"shop","iss":["https://id.example"]"#, .issuer),
            (#""sub":"7","role":"user","exp":4102444800,"aud":"shop","iss":null"#, .issuer),
            (#""sub":"7","role":"user","exp":4102444800,"iss":"https://id.example""#, .audience),
            (#""sub":"7","role":"user","exp":4102444800,"iss":"https://id.example","aud":"shop2""#, .audience),
            (#""sub":"7","role":"user","exp":4102444800,"iss":"https://id.example","aud":"Shop""#, .audience),
            (#""sub":"7","role":"user","exp":4102444800,"iss":"https://id.example","aud":[]"#, .audience),
            (#""sub":"7","role":"user","exp":4102444800,"iss":"https://id.example","aud":["a","b"]"#, .audience),
            (#""sub":"7","role":"user","exp":4102444800,"iss":"https://id.example","aud":{"shop":1}"#, .audience),
            (#""sub":"7","role":"user","exp":4102444800,"iss":"https://id.example","aud":[["shop"]]"#, .audience),
            (#""sub":"7","role":"user","iss":"https://id.example","aud":"shop""#, .claims),
            (#""sub":"7","role":"user","iss":"https://id.example","aud":"shop","exp":"4102444800""#, .claims),
            (#""sub":"7","role":"user","iss":"https://id.example","aud":"shop","exp":null"#, .claims),
            (#""sub":"7","role":"user","iss":"https://id.example","aud":"shop","exp":4102444800,"nbf":"0""#, .claims),
            (#""sub":"7","role":"root","iss":"https://id.example","aud":"shop","exp":4102444800"#, .claims),
            (#""sub":"7","iss":"https://id.example","aud":"shop","exp":4102444800"#, .claims),
            (#""role":"user","iss":"https://id.example","aud":"shop","exp":4102444800"#, .claims),
            (#""sub":"a7b","role":"user","iss":"https://id.example","aud":"shop","exp":4102444800"#, .claims),
            (#""sub":0,"role":"user","iss":"https://id.example","aud":"shop","exp":4102444800"#, .claims),
            (#""sub":-7,"role":"user","iss":"https://id.example","aud":"shop","exp":4102444800"#, .claims),
            (#""sub":7.0,"role":"user","iss":"https://id.example","aud":"shop","exp":4102444800"#, .claims),
            (#""sub":"7","role":"user","iss":"https://id.example","aud":"shop","exp":1794999999"#, .expired),
            (#""sub":"7","role":"user","iss":"https://id.example","aud":"shop","exp":1795000000"#, .expired),
            (#""sub":"7","role":"user","iss":"https://id.example","aud":"shop","exp":4102444800,"nbf":1795000001"#, .premature),
        ] as [(String, Authentication.Fault)])
    func refused(claims: String, reason: Authentication.Fault) throws {
        #expect(try judge("{\(claims)}") == .refused(reason))
    }

    @Test(
        "claims of many issuers",
        arguments: [
            #""sub":7,"role":"user","aud":"shop""#, #""sub":"7","role":["user"],"aud":["shop"]"#,
            #""sub":"7","role":["other",1,null,"user"],"aud":["a","shop"]"#,
            #""sub":"7","role":"email user","aud":"shop","nbf":1795000000"#,
            #""sub":"7","role":"user","aud":"shop","iat":9999999999"#,
        ])
    func taken(claims: String) throws {
        #expect(try judge("{\(claims),\"iss\":\"https://id.example\",\"exp\":1795000001}") == .authenticated(.user(UserID(7))))
    }

    @Test("without an issuer and an audience, any are taken")
    func unchecked() throws {
        let payload = #"{"sub":"7","role":"user","exp":4102444800,"iss":5,"aud":{}}"#
        #expect(try judge(payload) { ($0.issuer, $0.audience) = (nil, nil) } == .authenticated(.user(UserID(7))))
    }

    @Test("the claims of user and role may be named, and may lie within others; a name with dots comes first")
    func names() throws {
        func payload(_ claims: String) -> String { #"{\#(claims),"iss":"https://id.example","aud":"shop","exp":4102444800}"# }
        let keycloak = payload(#""sub":"f:1:x","shop_user":17,"realm_access":{"roles":["default","user"]},"role":"admin""#)
        #expect(
            try judge(keycloak) { ($0.userClaim, $0.roleClaim) = ("shop_user", "realm_access.roles") } == .authenticated(.user(UserID(17))))
        let auth0 = payload(#""sub":"auth0|1","https://shop.example/roles":["ops"],"https://shop.example/id":"9""#)
        #expect(
            try judge(auth0) {
                ($0.userClaim, $0.roleClaim, $0.adminRole) = ("https://shop.example/id", "https://shop.example/roles", "ops")
            } == .authenticated(.admin(subject: "9")))
        for path in ["realm_access", "realm_access.", ".roles", "realm_access.roles.0", "realm_access.none", "a.b.c"] {
            #expect(try judge(keycloak) { ($0.userClaim, $0.roleClaim) = ("shop_user", path) } == .refused(.claims), "\(path)")
        }
    }

    @Test("the role of operators wins, and with * everybody else is a user")
    func roles() throws {
        func payload(_ role: String) -> String {
            #"{"sub":"7"\#(role),"iss":"https://id.example","aud":"shop","exp":4102444800}"#
        }
        #expect(try judge(payload(#","role":["user","admin"]"#)) == .authenticated(.admin(subject: "7")))
        #expect(try judge(payload(""), { $0.userRole = "*" }) == .authenticated(.user(UserID(7))))
        #expect(try judge(payload(#","role":"guest""#), { $0.userRole = "*" }) == .authenticated(.user(UserID(7))))
        #expect(try judge(payload(#","role":["admin"]"#), { $0.userRole = "*" }) == .authenticated(.admin(subject: "7")))
        #expect(try judge(payload(#","role":"*""#)) == .refused(.claims))
    }
}
