/// The code of an issued coupon: 16 characters of Crockford's base 32 (no I, L, O, U).
///
/// The first four count milliseconds and start over after 2^20 of them (17 minutes); the other twelve are 60 random bits, which
/// cannot be guessed. Codes of one moment begin alike, so a group of new coupons changes one page of the index over codes. With random
/// beginnings, each coupon would change a page of its own, and each changed page is written to the log as a whole.
package struct CouponCode: Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package static let length = 16
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// A new code from the system's cryptographically secure generator.
    package static func random(at instant: Instant) -> CouponCode {
        var generator = SystemRandomNumberGenerator()
        return random(at: instant, using: &generator)
    }

    /// A new code from the given generator; only a secure one makes codes unguessable.
    package static func random(at instant: Instant, using generator: inout some RandomNumberGenerator) -> CouponCode {
        let moment = UInt64(truncatingIfNeeded: instant.milliseconds)
        let randomBits: UInt64 = generator.next()
        return CouponCode(
            unchecked: String(unsafeUninitializedCapacity: length) { bytes in
                for index in 0..<4 { bytes[index] = alphabet[Int(moment >> UInt64(15 - 5 * index) & 31)] }
                for index in 4..<length { bytes[index] = alphabet[Int(randomBits >> UInt64(5 * (index - 4)) & 31)] }
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
