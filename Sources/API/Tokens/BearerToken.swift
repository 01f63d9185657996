import Foundation

/// A bearer token with the outer shape of a signed one: any bytes, a dot, and as many bytes as a signature has.
///
/// The length of the signature tells who signed it: 43 characters are HS256 with a key of the data folder, every other length belongs to
/// a public key of the issuer. So a token of the one kind is never checked with a key of the other.
///
/// Its bytes belong to the request and are valid only during the call that was given them.
struct BearerToken {
    /// Bytes of the longest HS256 token that is checked; this service's own have about 170.
    static let longest = 4096
    /// Bytes of the longest token of an issuer that is checked; those of usual providers have 500 to 3,000.
    static let longestOfIssuer = 8192
    /// Characters of the 32 bytes of an HS256 signature.
    static let signatureLength = 43
    private static let scheme: StaticString = "bearer"

    let bytes: UnsafeRawBufferPointer
    private let signedLength: Int

    /// Takes the token out of the value of `Authorization`. The scheme's case does not matter, and one space or more follow it
    /// (RFC 9110 sections 11.1 and 11.4).
    ///
    /// `nil` where the value cannot hold a token of this service. Finding that out reads at most the scheme and the spaces after it,
    /// whose number is bounded by the length that is accepted.
    ///
    /// - Parameter takesIssuer: whether a token may have a signature of an issuer's key.
    init?(field: UnsafeRawBufferPointer, takesIssuer: Bool = false) {
        let scheme = Self.scheme.utf8CodeUnitCount
        let longest = takesIssuer ? Self.longestOfIssuer : Self.longest
        guard field.count > scheme, field.count <= scheme + 1 + longest, field[scheme] == UInt8(ascii: " ") else { return nil }
        // 0x20 makes a letter lowercase; no other byte becomes a letter by it.
        for index in 0..<scheme where field[index] | 0x20 != Self.scheme.utf8Start[index] { return nil }
        var start = scheme + 1
        // Eight at a time, because there may be thousands.
        while start + 8 <= field.count, field.loadUnaligned(fromByteOffset: start, as: UInt64.self) == 0x2020_2020_2020_2020 { start += 8 }
        while start < field.count, field[start] == UInt8(ascii: " ") { start += 1 }
        bytes = UnsafeRawBufferPointer(rebasing: field[start...])
        let ownLength = bytes.count - Self.signatureLength - 1
        if ownLength > 0, bytes[ownLength] == UInt8(ascii: ".") {
            guard field.count <= scheme + 1 + Self.longest else { return nil }
            signedLength = ownLength
        } else {
            guard takesIssuer, let length = Self.signedLength(in: bytes) else { return nil }
            signedLength = length
        }
    }

    /// The lengths of the signatures that an issuer's keys may have, in characters: 64 bytes to those of the longest RSA key.
    private static let issuerSignatureLengths = 86...(IssuerKey.rsaBits.upperBound + 5) / 6

    /// How many bytes lie before the second dot, where an issuer's signature may follow it.
    private static func signedLength(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let header = firstDot(in: bytes),
            let payload = firstDot(in: UnsafeRawBufferPointer(rebasing: bytes[(header + 1)...]))
        else { return nil }
        let length = header + 1 + payload
        return issuerSignatureLengths.contains(bytes.count - length - 1) ? length : nil
    }

    /// A token that was taken out of a request before.
    init(bytes: UnsafeRawBufferPointer, signedLength: Int) { (self.bytes, self.signedLength) = (bytes, signedLength) }

    /// Whether it has a signature of an issuer's public key.
    var isOfIssuer: Bool { bytes.count - signedLength != Self.signatureLength + 1 }

    /// Header and payload with the dot between them: what is signed.
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

    /// A hash over the whole signature.
    func signatureHash(_ seed: TokenHashSeed) -> UInt64 {
        let signature = signature
        if isOfIssuer { return Self.hash(signature, seed) }
        // Six words of eight characters; the last one begins within the one before.
        func word(_ offset: Int) -> UInt64 { signature.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        var hash = seed.mix(word(0), word(8), seed.first)
        hash = seed.mix(word(16), word(24), hash)
        return seed.mix(word(32), word(Self.signatureLength - 8), hash)
    }

    /// The same for a signature of an issuer, which has 86 characters or more.
    private static func hash(_ signature: UnsafeRawBufferPointer, _ seed: TokenHashSeed) -> UInt64 {
        func word(_ offset: Int) -> UInt64 { signature.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        var (hash, offset) = (seed.first, 0)
        while offset + 16 <= signature.count {
            hash = seed.mix(word(offset), word(offset + 8), hash)
            offset += 16
        }
        return seed.mix(word(signature.count - 16), word(signature.count - 8), hash)
    }
}

/// What hashes of signatures depend on: random numbers of one cache, so that a client cannot choose tokens that collide in its table.
///
/// A folded multiplication and not the standard library's `Hasher`, which takes 400 instructions for a signature: it need not withstand
/// chosen keys, because only signatures that were verified get into the table.
struct TokenHashSeed {
    fileprivate let first = UInt64.random(in: .min ... .max)
    private let left = UInt64.random(in: .min ... .max)
    private let right = UInt64.random(in: .min ... .max)

    fileprivate func mix(_ one: UInt64, _ other: UInt64, _ hash: UInt64) -> UInt64 {
        let product = (one ^ left ^ hash).multipliedFullWidth(by: other ^ right)
        return product.high ^ product.low ^ hash
    }
}
