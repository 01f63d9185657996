import Commerce
import Crypto
import JSON
import NIOCore

/// Reads tokens that look just like those this service signs, without a JSON decoder: in the second in which a coupon opens,
/// nearly every token is a new one.
///
/// It knows fewer tokens than JWTKit and judges those alike. What it does not take, JWTKit has the say on.
struct PlainTokenReader: Sendable {
    /// With the key worked in already: a copy of it begins each code.
    private let authenticator: HMAC<SHA256>

    init(key: SymmetricKey) { authenticator = HMAC<SHA256>(key: key) }

    /// The first part of a token, with its dot: {"alg":"HS256","typ":"JWT"} in either order, for JWTKit's differs from one process
    /// to the next.
    private static let headers = [
        Array("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.".utf8), Array("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.".utf8),
    ]

    /// What a token with a good signature says; `nil` where somebody else has to look at it.
    func read(_ token: some StringProtocol) -> VerifiedToken? {
        var copy = String(token)
        return copy.withUTF8 { read(UnsafeRawBufferPointer($0)) }
    }

    private func read(_ token: UnsafeRawBufferPointer) -> VerifiedToken? {
        guard let header = Self.headers.first(where: { token.starts(with: $0) }),
            let dot = token.lastIndex(of: UInt8(ascii: ".")), dot >= header.count
        else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: token[header.count..<dot])
        guard let signature = Base64URL.decode(UnsafeRawBufferPointer(rebasing: token[(dot + 1)...])) else { return nil }
        let signed = UnsafeRawBufferPointer(rebasing: token[..<dot])
        var code = authenticator
        code.update(data: signed)
        // Compared by swift-crypto, in a time that says nothing about the bytes.
        guard code.finalize() == signature, let claims = Base64URL.decode(payload) else { return nil }
        return VerifiedToken(plain: ByteBuffer(bytes: claims))
    }
}

extension VerifiedToken {
    /// Reads claims whose members are all of their usual kinds.
    fileprivate init?(plain claims: ByteBuffer) {
        guard let json = try? JSONParser.parse(claims), case .string(let role) = json["role"], case .string(let subject) = json["sub"],
            let identity = Identity(role: role, subject: subject), case .integer(let expiry) = json["exp"],
            case .integer(let start) = json["nbf"] ?? .integer(0), case .integer = json["iat"] ?? .integer(0)
        else { return nil }
        guard Self.plainSeconds.contains(expiry), Self.plainSeconds.contains(start) else { return nil }
        self.init(identity: identity, expiresAt: expiry * 1_000, validFrom: start * 1_000)
    }

    /// Seconds since 1970 that a Date and an Instant hold exactly: up to the year 9999.
    private static let plainSeconds: ClosedRange<Int64> = 0...253_402_300_799
}

/// The alphabet of tokens (RFC 4648 section 5), without padding.
enum Base64URL {
    /// Nothing for what no encoder makes: a foreign character, a length that cannot be, bits that belong to no byte.
    static func decode(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var isGood = true
        let bytes = [UInt8](unsafeUninitializedCapacity: text.count * 3 / 4) { bytes, written in
            var (bits, count): (UInt32, UInt32) = (0, 0)
            values.withUnsafeBufferPointer { values in
                for character in text {
                    let value = values[Int(character)]
                    if value > 63 { isGood = false }
                    bits = bits << 6 | UInt32(value & 63)
                    count += 6
                    guard count >= 8 else { continue }
                    count -= 8
                    bytes[written] = UInt8(truncatingIfNeeded: bits >> count)
                    written += 1
                }
            }
            if bits & (1 << count - 1) != 0 { isGood = false }
        }
        return isGood ? bytes : nil
    }

    /// The value of each character; 255 for one that is none.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for (value, character) in alphabet.utf8.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()
}
