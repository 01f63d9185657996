#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Writes the bytes of one line to memory that has room for them.
///
/// A line has some forty parts of a few bytes each. `ByteBuffer` checks its room and its owner for each part, which takes several times
/// what the bytes take; so the room is reserved once for the line, and the parts are written without a check.
struct AccessLogCursor {
    private let start: UnsafeMutableRawPointer
    private var position: UnsafeMutableRawPointer

    /// Bytes beyond the line that must be there as well, because eight bytes are written at a time.
    static let slack = 8
    /// The most bytes that one byte of a text becomes: `\u007f`.
    static let longestEscape = 6

    init(_ start: UnsafeMutableRawPointer) {
        (self.start, position) = (start, start)
    }

    /// Bytes written so far.
    var byteCount: Int { position - start }

    @inline(__always)
    mutating func put(_ byte: UInt8) {
        position.storeBytes(of: byte, as: UInt8.self)
        position += 1
    }

    @inline(__always)
    mutating func put(_ text: StaticString) {
        memcpy(position, text.utf8Start, text.utf8CodeUnitCount)
        position += text.utf8CodeUnitCount
    }

    @inline(__always)
    mutating func put(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        memcpy(position, source, bytes.count)
        position += bytes.count
    }

    /// Writes a decimal number.
    mutating func put(decimal value: Int64) {
        if value < 0 { put(UInt8(ascii: "-")) }
        var rest = value.magnitude
        var digits = 1
        var bound: UInt64 = 10
        while digits < 20, rest >= bound {
            digits += 1
            bound = digits < 20 ? bound &* 10 : .max
        }
        position += digits
        var target = position
        repeat {
            target -= 1
            target.storeBytes(of: UInt8(truncatingIfNeeded: rest % 10) + UInt8(ascii: "0"), as: UInt8.self)
            rest /= 10
        } while rest > 0
    }

    /// Writes the id that was made for a request.
    @inline(__always)
    mutating func put(_ id: GeneratedIDText) {
        id.write(into: UnsafeMutableRawBufferPointer(start: position, count: GeneratedIDText.byteCount), at: 0)
        position += GeneratedIDText.byteCount
    }
}

// MARK: - Texts of clients

extension AccessLogCursor {
    /// Writes bytes that a client sent as a JSON string. What is no UTF-8 becomes U+FFFD.
    ///
    /// - Parameter bytes: seven bytes after them can be read as well.
    mutating func put(text bytes: UnsafeRawBufferPointer) {
        put(UInt8(ascii: "\""))
        if !putPlain(bytes) { putEscaped(String(decoding: bytes, as: UTF8.self)) }
        put(UInt8(ascii: "\""))
    }

    /// Writes a text as a JSON string.
    mutating func put(text: String) {
        put(UInt8(ascii: "\""))
        putEscaped(text)
        put(UInt8(ascii: "\""))
    }

    /// Writes bytes of which none needs an escape; where one does, writes nothing and returns false.
    private mutating func putPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let source = bytes.baseAddress else { return true }
        var offset = 0
        while offset < bytes.count {
            let word = UInt64(littleEndian: source.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            // Of the last word, bytes after the end count as spaces.
            let left = bytes.count - offset
            let beyond = left < 8 ? UInt64.max << UInt64(left * 8) : 0
            guard Self.isPlain(word & ~beyond | 0x2020_2020_2020_2020 & beyond) else { return false }
            position.storeBytes(of: word.littleEndian, toByteOffset: offset, as: UInt64.self)
            offset += 8
        }
        position += bytes.count
        return true
    }

    /// Whether eight bytes are printable ASCII without `"` and `\`. Eight comparisons at once: a byte from which more is subtracted than
    /// it has borrows, which sets its highest bit. A borrow may also reach the next byte; then the word counts as not plain, which
    /// costs time and nothing else.
    @inline(__always)
    private static func isPlain(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let control = word &- ones &* 0x20
        let quote = (word ^ ones &* UInt64(UInt8(ascii: "\""))) &- ones
        let backslash = (word ^ ones &* UInt64(UInt8(ascii: "\\"))) &- ones
        // Adding one makes U+007F, and every byte beyond ASCII has the bit already.
        let beyond = word | word &+ ones
        return (control | quote | backslash | beyond) & ones &* 0x80 == 0
    }

    private mutating func putEscaped(_ text: String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": put("\\\"")
            case "\\": put("\\\\")
            // Also what some programs read as the end of a line.
            case "\u{0}"..<"\u{20}", "\u{7F}"..<"\u{A0}", "\u{2028}", "\u{2029}":
                put("\\u")
                for shift in stride(from: 12, through: 0, by: -4) {
                    let digit = UInt8(truncatingIfNeeded: scalar.value >> UInt32(shift) & 0xF)
                    put(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
                }
            default: for byte in UTF8.encode(scalar).unsafelyUnwrapped { put(byte) }
            }
        }
    }
}
