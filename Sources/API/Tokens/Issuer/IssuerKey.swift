import Crypto
import CryptoExtras
import Foundation

/// One public key of the issuer.
///
/// A class, because a token under check and a cached header name their key by its identity: a key that is read again unchanged stays the
/// same object, so a key that left the set is told from one that did not.
final class IssuerKey: Sendable {
    private enum Material {
        case rsa(_RSA.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
    }

    /// `kid`; nil for a key without one.
    let id: String?
    let algorithm: TokenAlgorithm
    /// Tells the key from others.
    let fingerprint: [UInt8]
    /// Bytes of each signature of this key.
    let signatureByteCount: Int
    /// The key's number in caches; see ``KeyNumbers``.
    let number: UInt8
    private let material: Material

    private init(
        _ id: String?, _ algorithm: TokenAlgorithm, _ fingerprint: [UInt8], _ signatureByteCount: Int, _ number: UInt8, _ material: Material
    ) {
        (self.id, self.algorithm, self.fingerprint, self.signatureByteCount) = (id, algorithm, fingerprint, signatureByteCount)
        (self.number, self.material) = (number, material)
    }

    /// The same key under a number.
    func numbered(_ number: UInt8) -> IssuerKey { IssuerKey(id, algorithm, fingerprint, signatureByteCount, number, material) }

    /// Characters of each signature in a token.
    var signatureLength: Int { (signatureByteCount * 8 + 5) / 6 }

    /// Whether both are the same key under the same name.
    func isSame(as other: IssuerKey) -> Bool { fingerprint == other.fingerprint && id.hasSameBytes(as: other.id) }

    /// Whether a signature is that of this key over some bytes. Takes 20 to 100 microseconds with usual keys.
    func isValid(_ signature: UnsafeRawBufferPointer, of signed: UnsafeRawBufferPointer) -> Bool {
        guard signature.count == signatureByteCount else { return false }
        switch material {
        case .rsa(let key):
            let signature = _RSA.Signing.RSASignature(rawRepresentation: signature)
            // The padding that RS256 is defined with.
            return key.isValidSignature(signature, for: SHA256.hash(data: signed), padding: .insecurePKCS1v1_5)
        case .p256(let key):
            guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
            return key.isValidSignature(signature, for: SHA256.hash(data: signed))
        case .ed25519(let key):
            return key.isValidSignature(signature, for: signed)
        }
    }
}

extension IssuerKey {
    /// RSA keys that are taken, in bits: shorter ones can be broken, longer ones take too long.
    static let rsaBits = 2048...8192

    /// An RSA key from its modulus and exponent, most significant byte first.
    static func rsa(id: String?, modulus: [UInt8], exponent: [UInt8]) throws(UnusableKey) -> IssuerKey {
        let modulus = Array(modulus.drop { $0 == 0 })
        let exponent = Array(exponent.drop { $0 == 0 })
        let bits = modulus.count * 8 - (modulus.first?.leadingZeroBitCount ?? 0)
        guard rsaBits.contains(bits) else { throw UnusableKey("an RSA key must have \(rsaBits.lowerBound) to \(rsaBits.upperBound) bits") }
        // Every RSA modulus is odd, and so is every exponent; the exponent 1 signs nothing.
        guard let last = modulus.last, last & 1 == 1, let low = exponent.last, low & 1 == 1, exponent.count <= 5, exponent != [1],
            let key = try? _RSA.Signing.PublicKey(n: modulus, e: exponent)
        else { throw UnusableKey("the numbers n and e are not an RSA key") }
        return IssuerKey(
            id, .rs256, fingerprint(of: .rs256, [modulus, exponent]), (bits + 7) / 8, 0, .rsa(key))
    }

    /// A P-256 key from its coordinates.
    static func p256(id: String?, x: [UInt8], y: [UInt8]) throws(UnusableKey) -> IssuerKey {
        guard x.count == 32, y.count == 32, let key = try? P256.Signing.PublicKey(rawRepresentation: x + y) else {
            throw UnusableKey("x and y are not a point of P-256")
        }
        return IssuerKey(id, .es256, fingerprint(of: .es256, [x, y]), 64, 0, .p256(key))
    }

    /// An Ed25519 key from its encoded point.
    static func ed25519(id: String?, x: [UInt8]) throws(UnusableKey) -> IssuerKey {
        guard x.count == 32, !Ed25519Point.isForbidden(x), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: x) else {
            throw UnusableKey("x is not an Ed25519 key")
        }
        return IssuerKey(id, .edDSA, fingerprint(of: .edDSA, [x]), 64, 0, .ed25519(key))
    }

    private static func fingerprint(of algorithm: TokenAlgorithm, _ parts: [[UInt8]]) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: Data(algorithm.rawValue.utf8))
        for part in parts { hash.update(data: [UInt8(ascii: "|")] + withUnsafeBytes(of: UInt32(part.count).bigEndian, Array.init) + part) }
        return Array(hash.finalize())
    }

    /// Why a key of a set is not used.
    struct UnusableKey: Error {
        let reason: String

        init(_ reason: String) { self.reason = reason }
    }
}

/// Encoded points that must not be keys, which the verification itself does not refuse.
private enum Ed25519Point {
    /// Whether the encoding is not the shortest one of its point, or the point has a small order: under such a key, anybody
    /// can make signatures without a private key (RFC 8032 section 5.1.3; the orders are 1, 2, 4 and 8).
    static func isForbidden(_ bytes: [UInt8]) -> Bool {
        // The first bit of the last byte is the sign of x.
        var y = bytes
        y[31] &= 0x7F
        return smallOrder.contains(y) || isAtLeastPrime(y)
    }

    /// Whether y, least significant byte first, is at least 2^255 - 19.
    private static func isAtLeastPrime(_ y: [UInt8]) -> Bool {
        y[0] >= 0xED && y[1..<31].allSatisfy { $0 == 0xFF } && y[31] == 0x7F
    }

    private static let smallOrder: [[UInt8]] = [
        Array(repeating: 0, count: 32),
        [1] + Array(repeating: 0, count: 31),
        [0xEC] + Array(repeating: 0xFF, count: 30) + [0x7F],
        [
            0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0, 0xD5, 0xDF, 0xAC, 0x05, 0xD3,
            0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
        ],
        [
            0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F, 0x2A, 0x20, 0x53, 0xFA, 0x2C,
            0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
        ],
    ]
}

extension String? {
    /// Whether both are the same bytes; `==` takes texts for equal that are only canonically equivalent.
    func hasSameBytes(as other: String?) -> Bool {
        switch (self, other) {
        case (nil, nil): true
        case (let one?, let other?): one.utf8.elementsEqual(other.utf8)
        case (nil, _?), (_?, nil): false
        }
    }
}
