import NIOCore

extension ByteBuffer {
    /// Appends `"name":`, after a comma if one is due, in one write.
    mutating func writeJSONName(_ name: StaticString, afterComma: Bool) {
        let count = name.utf8CodeUnitCount
        writeWithUnsafeMutableBytes(minimumWritableBytes: count + 4) { bytes in
            var end = 0
            if afterComma {
                bytes[end] = UInt8(ascii: ",")
                end += 1
            }
            bytes[end] = UInt8(ascii: "\"")
            end += 1
            name.withUTF8Buffer { source in
                UnsafeMutableRawBufferPointer(rebasing: bytes[end..<end + count]).copyBytes(from: source)
            }
            end += count
            bytes[end] = UInt8(ascii: "\"")
            bytes[end + 1] = UInt8(ascii: ":")
            return end + 2
        }
    }

    /// Appends an integer in decimal, without making a `String`.
    mutating func writeJSONInteger(_ value: Int64) {
        // 19 digits and a sign are the longest an Int64 has.
        writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { bytes in
            var magnitude = value.magnitude
            var count = value < 0 ? 1 : 0
            var rest = magnitude
            repeat {
                count += 1
                rest /= 10
            } while rest > 0
            var index = count
            repeat {
                index -= 1
                bytes[index] = UInt8(truncatingIfNeeded: magnitude % 10) + UInt8(ascii: "0")
                magnitude /= 10
            } while magnitude > 0
            if value < 0 { bytes[0] = UInt8(ascii: "-") }
            return count
        }
    }

    /// Appends a string in quotes; only what must be escaped is.
    mutating func writeJSONString(_ value: String) {
        var value = value
        value.withUTF8 { text in
            // An escaped byte takes up to six, as \u00XX; most strings need no escape.
            let escapes = text.reduce(0) { $0 + (ByteBuffer.needsEscape($1) ? 1 : 0) }
            writeWithUnsafeMutableBytes(minimumWritableBytes: text.count + escapes * 5 + 2) { bytes in
                bytes[0] = UInt8(ascii: "\"")
                var end = 1
                if escapes == 0 {
                    UnsafeMutableRawBufferPointer(rebasing: bytes[1..<1 + text.count]).copyBytes(from: text)
                    end += text.count
                } else {
                    for byte in text { end += ByteBuffer.escape(byte, into: bytes, at: end) }
                }
                bytes[end] = UInt8(ascii: "\"")
                return end + 1
            }
        }
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    /// Writes one byte of text, escaped where needed, and returns how many bytes that took.
    private static func escape(_ byte: UInt8, into bytes: UnsafeMutableRawBufferPointer, at start: Int) -> Int {
        guard needsEscape(byte) else {
            bytes[start] = byte
            return 1
        }
        bytes[start] = UInt8(ascii: "\\")
        switch byte {
        case 0x08: bytes[start + 1] = UInt8(ascii: "b")
        case 0x09: bytes[start + 1] = UInt8(ascii: "t")
        case 0x0A: bytes[start + 1] = UInt8(ascii: "n")
        case 0x0C: bytes[start + 1] = UInt8(ascii: "f")
        case 0x0D: bytes[start + 1] = UInt8(ascii: "r")
        case 0..<0x20:
            let hex: StaticString = "0123456789abcdef"
            bytes[start + 1] = UInt8(ascii: "u")
            bytes[start + 2] = UInt8(ascii: "0")
            bytes[start + 3] = UInt8(ascii: "0")
            bytes[start + 4] = hex.utf8Start[Int(byte >> 4)]
            bytes[start + 5] = hex.utf8Start[Int(byte & 0x0F)]
            return 6
        default: bytes[start + 1] = byte
        }
        return 2
    }
}
