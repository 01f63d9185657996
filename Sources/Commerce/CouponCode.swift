/// The code of an issued coupon: 16 characters of Crockford's base 32 (no I, L, O, U), 80 random bits, so nobody guesses one.
package struct CouponCode: Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package static let length = 16
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// A new code from the system's cryptographically secure generator.
    package static func random() -> CouponCode {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    /// A new code from the given generator; only a secure one makes codes unguessable.
    package static func random(using generator: inout some RandomNumberGenerator) -> CouponCode {
        var low: UInt64 = generator.next()
        var high: UInt64 = generator.next()
        return CouponCode(
            unchecked: String(unsafeUninitializedCapacity: length) { bytes in
                for index in 0..<8 {
                    bytes[index] = alphabet[Int(low & 31)]
                    bytes[index + 8] = alphabet[Int(high & 31)]
                    low >>= 5
                    high >>= 5
                }
                return length
            })
    }

    /// Reads a code as stored; `nil` for anything that is not 16 characters of the alphabet.
    package init?(_ text: String) {
        guard text.utf8.count == Self.length, text.utf8.allSatisfy(Self.alphabet.contains) else { return nil }
        description = text
    }

    private init(unchecked text: String) {
        description = text
    }
}
