import Foundation

/// A bearer token with the outer shape of one signed with HS256: something, a dot and a signature's length.
///
/// Its bytes belong to the request and are valid only during the call that was given them.
struct BearerToken {
    /// Bytes of a token beyond which none is looked at; this service's have about 170.
    static let longest = 4096
    /// Characters of the 32 bytes of an HS256 signature.
    static let signatureLength = 43
    private static let scheme: StaticString = "bearer"

    let bytes: UnsafeRawBufferPointer

    /// Takes the token out of the value of `Authorization`. The scheme's case does not matter, and one space or more follow it
    /// (RFC 9110 sections 11.1 and 11.4).
    ///
    /// `nil` where the value cannot hold a token of this service. That costs at most a look at each leading space, whose number the
    /// bound of the whole value limits.
    init?(field: UnsafeRawBufferPointer) {
        let scheme = Self.scheme.utf8CodeUnitCount
        guard field.count > scheme, field.count <= scheme + 1 + Self.longest, field[scheme] == UInt8(ascii: " ") else { return nil }
        // 0x20 makes a letter lowercase; no other byte becomes a letter by it.
        for index in 0..<scheme where field[index] | 0x20 != Self.scheme.utf8Start[index] { return nil }
        var start = scheme + 1
        while start < field.count, field[start] == UInt8(ascii: " ") { start += 1 }
        bytes = UnsafeRawBufferPointer(rebasing: field[start...])
        guard bytes.count > Self.signatureLength + 1, bytes[signedLength] == UInt8(ascii: ".") else { return nil }
    }

    private var signedLength: Int { bytes.count - Self.signatureLength - 1 }

    /// Header and payload with the dot between them: what the signature signs.
    var signed: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[..<signedLength]) }

    /// The last part, not yet decoded.
    var signature: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[(signedLength + 1)...]) }

    /// The first two parts, not yet decoded; `nil` unless exactly one dot is between them.
    var parts: (header: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer)? {
        let signed = signed
        guard let dot = Self.firstDot(in: signed) else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: signed[(dot + 1)...])
        guard Self.firstDot(in: payload) == nil else { return nil }
        return (UnsafeRawBufferPointer(rebasing: signed[..<dot]), payload)
    }

    private static func firstDot(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, let dot = memchr(base, Int32(UInt8(ascii: ".")), bytes.count) else { return nil }
        return UnsafeRawPointer(dot) - base
    }

    /// A hash over the whole signature, with the process's random seed: whoever does not know the seed can neither choose tokens that
    /// collide in a table nor learn from a lookup's time how much of a signature was guessed.
    var signatureHash: UInt {
        var hasher = Hasher()
        hasher.combine(bytes: signature)
        return UInt(bitPattern: hasher.finalize())
    }
}
