import Foundation
import NIOCore

/// The alphabet of tokens (RFC 4648 section 5), without padding.
enum Base64URL {
    /// The text of some bytes.
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text = Data(bytes).base64EncodedString()
        text.replace("+", with: "-")
        text.replace("/", with: "_")
        text.replace("=", with: "")
        return text
    }

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
        return values.withUnsafeBufferPointer { values in
            // The values of all characters combined by OR: at the end, 255 shows that one was outside the alphabet.
            var seen: UInt8 = 0
            func value(_ index: Int) -> UInt32 {
                let value = values[Int(text[index])]
                seen |= value
                return UInt32(value)
            }
            var (read, written) = (0, 0)
            while read + 4 <= text.count {
                let bits = value(read) << 18 | value(read + 1) << 12 | value(read + 2) << 6 | value(read + 3)
                bytes[written] = UInt8(truncatingIfNeeded: bits >> 16)
                bytes[written + 1] = UInt8(truncatingIfNeeded: bits >> 8)
                bytes[written + 2] = UInt8(truncatingIfNeeded: bits)
                (read, written) = (read + 4, written + 3)
            }
            // Two characters hold one byte and four bits, three hold two bytes and two bits.
            var rest: UInt32 = 0
            for index in read..<text.count { rest = rest << 6 | value(index) }
            switch text.count - read {
            case 2:
                bytes[written] = UInt8(truncatingIfNeeded: rest >> 4)
                return seen <= 63 && rest & 0b1111 == 0
            case 3:
                bytes[written] = UInt8(truncatingIfNeeded: rest >> 10)
                bytes[written + 1] = UInt8(truncatingIfNeeded: rest >> 2)
                return seen <= 63 && rest & 0b11 == 0
            default:
                return seen <= 63
            }
        }
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
