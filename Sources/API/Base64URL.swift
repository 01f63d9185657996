import NIOCore

/// The alphabet of tokens (RFC 4648 section 5), without padding.
enum Base64URL {
    /// The bytes of a text; `nil` for a foreign character, an impossible length or trailing bits that are not zero.
    static func decode(_ text: UnsafeRawBufferPointer) -> ByteBuffer? {
        var isGood = false
        var bytes = ByteBufferAllocator().buffer(capacity: text.count)
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: text.count) { room in
            isGood = decode(text, into: room)
            return isGood ? byteCount(of: text) : 0
        }
        return isGood ? bytes : nil
    }

    /// Writes the bytes of a text to the beginning of `bytes`, which has room for them; `false` where ``decode(_:)`` gives `nil`.
    static func decode(_ text: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
        precondition(bytes.count >= byteCount(of: text), "no room for the bytes of a text")
        guard text.count % 4 != 1 else { return false }
        // A value beyond 63 stands for a foreign character, and is still seen in the end.
        var (bits, bitCount, written, seen): (UInt32, UInt32, Int, UInt8) = (0, 0, 0, 0)
        values.withUnsafeBufferPointer { values in
            for character in text {
                let value = values[Int(character)]
                seen |= value
                bits = bits << 6 | UInt32(value & 63)
                bitCount += 6
                guard bitCount >= 8 else { continue }
                bitCount -= 8
                bytes[written] = UInt8(truncatingIfNeeded: bits >> bitCount)
                written += 1
            }
        }
        return seen <= 63 && bits & (1 << bitCount - 1) == 0
    }

    private static func byteCount(of text: UnsafeRawBufferPointer) -> Int { text.count * 3 / 4 }

    /// The value of each character; 255 for one outside the alphabet.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for (value, character) in alphabet.utf8.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()
}
