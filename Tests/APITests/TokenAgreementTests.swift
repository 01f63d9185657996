import Commerce
import Crypto
import Foundation
import JSON
import NIOCore
import TestSupport
import Testing

@testable import API

/// The verifier held against JWTKit: what JWTKit refuses is refused, what both accept they read alike, and what only the verifier refuses
/// is in the table of ``Stricter``.
@Suite("Tokens as JWTKit reads them")
struct TokenAgreementTests {
    private typealias Fixture = TokenFixture

    /// What the verifier refuses though JWTKit accepts it, and why.
    enum Stricter: String, CaseIterable {
        /// Two readers may take two different ones of them, and the second reader may be the one that decides (RFC 8259 section 4).
        case repeatedName
        /// Has no character: what a reader makes of it is its own choice (RFC 8259 section 8.2).
        case loneSurrogate
        /// No JSON (RFC 8259 section 4).
        case trailingComma
        /// No JSON either (RFC 8259 sections 6 and 7): Foundation does not look into the values of members that nobody asks for.
        case skippedValue
        /// RFC 8259 section 8.1 forbids to add one.
        case byteOrderMark
        /// The service's own tokens have depth 1; deep ones only exercise the stack.
        case depth
        /// One token then has several spellings (RFC 7515 section 2: base64url, no padding).
        case alphabet
        /// The same, by the bits of the last character that belong to no byte (RFC 4648 section 3.5).
        case trailingBits
        /// Something signed with the same key for another purpose is no token of this service (RFC 8725 section 3.11).
        case type
        /// The registered parameters with other values (`jwk`, `x5c`, `b64`) change how a token is read or are for other keys.
        case headerMember
    }

    /// One token for each row of the table, signed with the right key.
    private static func example(of row: Stricter) -> String {
        let head = #"{"sub":"7","role":"user","exp":4102444800"#
        switch row {
        case .repeatedName: return Fixture.token(payload: head + #","x":1,"x":2}"#)
        case .loneSurrogate: return Fixture.token(payload: head + #","x":"\ud800"}"#)
        case .trailingComma: return Fixture.token(payload: head + ",}")
        case .skippedValue: return Fixture.token(payload: head + #","x":"\x"}"#)
        case .byteOrderMark: return Fixture.token(payload: "\u{FEFF}" + head + "}")
        case .depth:
            return Fixture.token(payload: head + #","x":"# + String(repeating: "[", count: 40) + String(repeating: "]", count: 40) + "}")
        case .alphabet: return Fixture.signed(Fixture.base64URL(Fixture.goodHeader.utf8) + "." + Self.withPlus)
        case .trailingBits: return Self.withTrailingBits
        case .type: return Fixture.token(header: #"{"alg":"HS256","typ":"at+jwt"}"#)
        case .headerMember: return Fixture.token(header: #"{"alg":"HS256","jwk":{}}"#)
        }
    }

    /// A payload in the alphabet of RFC 4648 section 4, which has + where section 5 has -.
    private static var withPlus: String {
        Fixture.base64URL(#"{"sub":"7","role":"user","exp":4102444800,"x":">>>>"}"#.utf8).replacing("-", with: "+")
    }

    /// The last character of 32 bytes holds four bits; here a fifth is set.
    private static var withTrailingBits: String {
        let token = Fixture.token()
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let last = token.last.flatMap { alphabet.firstIndex(of: $0) } ?? 0
        return String(token.dropLast()) + String(alphabet[last | 1])
    }

    /// The row that a token belongs to which only the verifier refuses; `nil` where the table has none.
    private static func row(of token: String, refusedAt step: TokenVerdict.Step?) -> Stricter? {
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        for part in parts where !part.allSatisfy({ $0.isBase64URL }) { return .alphabet }
        for part in parts where Array(part).withUnsafeBytes({ Base64URL.decode($0) }) == nil { return .trailingBits }
        guard step == .header || step == .claims else { return nil }
        let document = ByteBuffer(bytes: TokenOracle.decoded(parts[step == .header ? 0 : 1]))
        do {
            let value = try JSONParser.parse(document)
            guard step == .header, case .object(let object) = value else { return nil }
            for member in object.members {
                guard case .string = member.value else { return .headerMember }
            }
            return object["typ"] == nil ? nil : .type
        } catch {
            switch error.reason {
            case "A member name is repeated.": return .repeatedName
            case "An escape names half of a surrogate pair.": return .loneSurrogate
            case "A byte order mark is not allowed.": return .byteOrderMark
            case "Arrays and objects are nested too deeply.": return .depth
            case "A member name is expected.": return .trailingComma
            case "An unknown escape is in a string.", "A control character in a string must be escaped.",
                "Four hexadecimal digits are expected.", "A number has a leading zero.",
                "A digit is expected.", "A value is expected.", "A comma or a closing brace is expected.",
                "A comma or a closing bracket is expected.":
                return .skippedValue
            default: return nil
            }
        }
    }

    @Test(
        "JWTKit reads in the service's own tokens what the verifier reads",
        arguments: [Identity.user(UserID(17)), .admin(subject: "운영자 \"1\"")])
    func ownTokens(identity: Identity) async throws {
        let token = TokenKey(bytes: Fixture.keyBytes).sign(identity, issuedAt: Fixture.now, expiresAt: Fixture.later)
        guard case .accepted(let theirs) = try await TokenOracle(key: Fixture.key).verdict(on: token),
            case .verified(let ours) = Fixture.verdict(token)
        else {
            Issue.record("\(token) is refused")
            return
        }
        #expect(Self.agree(theirs, ours) && ours.identity == identity && ours.expiresAt == Fixture.later.milliseconds)
    }

    @Test("each row of the table is a token that JWTKit accepts and the verifier refuses", arguments: Stricter.allCases)
    func table(row: Stricter) async throws {
        let token = Self.example(of: row)
        guard case .accepted = try await TokenOracle(key: Fixture.key).verdict(on: token) else {
            Issue.record("JWTKit refuses \(token) itself")
            return
        }
        let verdict = Fixture.verdict(token)
        guard case .refused(let step) = verdict else {
            Issue.record("\(String(describing: verdict))")
            return
        }
        #expect(Self.row(of: token, refusedAt: step) == row)
    }

    @Test(
        "a header with a number over which JWTKit ends the process is refused, signed or not",
        arguments: ["1e300", "-1e300", "1e19", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890"])
    func hugeNumber(number: String) {
        let header = #"{"alg":"HS256","x":\#(number)}"#
        #expect(Fixture.verdict(Fixture.forged(header: header)) == .refused(.signature))
        #expect(Fixture.verdict(Fixture.token(header: header)) == .refused(.header))
    }

    @Test("whatever JWTKit refuses is refused, over tokens of every kind with bytes and parts changed at random")
    func fuzz() async throws {
        let rounds = TestSettings.number("ROUNDS") ?? 4_000
        var generator = TokenGenerator(random: SeededGenerator(seed: TestSettings.seed))
        let seed = "SEED=\(generator.random.seed)"
        print("tokens as JWTKit reads them: \(seed)")
        let oracle = try await TokenOracle(key: Fixture.key)
        var (accepted, refused, skipped) = (0, 0, 0)
        var steps: [TokenVerdict.Step: Int] = [:]
        for round in 0..<rounds {
            let token = generator.next()
            let verdict = Fixture.verdict(token)
            if case .refused(let step) = verdict { steps[step, default: 0] += 1 }
            // Spaces before a token belong to its field.
            switch (oracle.verdict(on: String(token.trimmingPrefix { $0 == " " })), verdict) {
            case (.accepted(let theirs), .verified(let ours)):
                accepted += 1
                #expect(Self.agree(theirs, ours), "\(seed) round \(round): \(token)")
            case (.accepted, .refused(let step)):
                refused += 1
                #expect(Self.row(of: token, refusedAt: step) != nil, "\(seed) round \(round): only JWTKit accepts \(token)")
            case (.accepted, nil):
                refused += 1
                #expect(Self.row(of: token, refusedAt: nil) != nil, "\(seed) round \(round): only JWTKit accepts \(token)")
            case (.refused, .verified):
                Issue.record("\(seed) round \(round): JWTKit refuses \(token)")
            case (.refused, _):
                refused += 1
            case (.wouldTrap, _):
                skipped += 1
            }
        }
        // Else the generator has lost its way, and agreement says nothing.
        #expect(
            accepted > rounds / 8 && refused > rounds / 8 && skipped < rounds / 40,
            "\(seed): \(accepted) accepted, \(refused) refused, \(skipped) skipped")
        for step in TokenVerdict.Step.allCases { #expect(steps[step, default: 0] > rounds / 200, "\(seed): \(step) in \(steps)") }
    }

    /// A fraction of a second may be cut a millisecond apart: JWTKit's dates count from 2001.
    private static func agree(_ theirs: VerifiedToken, _ ours: VerifiedToken) -> Bool {
        theirs.identity == ours.identity && abs(theirs.expiresAt - ours.expiresAt) <= 1 && abs(theirs.validFrom - ours.validFrom) <= 1
            && (ours.expiresAt % 1000 != 0 || theirs.expiresAt == ours.expiresAt)
    }
}

extension UInt8 {
    fileprivate var isBase64URL: Bool {
        switch self {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}
