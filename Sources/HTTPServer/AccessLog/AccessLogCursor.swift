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
    @inline(__always)
    mutating func put(decimal value: Int64) {
        if 0..<1_000 ~= value { return put(upTo999: UInt32(truncatingIfNeeded: value)) }
        putLong(value)
    }

    /// Writes up to three digits as one word, from which leading zeros are shifted out.
    @inline(__always)
    private mutating func put(upTo999 value: UInt32) {
        let (hundreds, rest) = (value / 100, value % 100)
        let digits = 0x303030 | hundreds | ((rest / 10) << 8) | ((rest % 10) << 16)
        let zeros: UInt32 = hundreds > 0 ? 0 : value > 9 ? 1 : 2
        position.storeBytes(of: (digits >> (zeros * 8)).littleEndian, as: UInt32.self)
        position += Int(3 - zeros)
    }

    private mutating func putLong(_ value: Int64) {
        if value < 0 { put(UInt8(ascii: "-")) }
        let (thousands, rest) = value.magnitude.quotientAndRemainder(dividingBy: 1_000)
        // At most 7 levels, as a number has at most 19 digits.
        if thousands > 0 { put(decimal: Int64(thousands)) }
        if thousands > 0 { put(threeDigits: UInt32(rest)) } else { put(upTo999: UInt32(rest)) }
    }

    /// Writes a number below 1,000 with leading zeros.
    @inline(__always)
    mutating func put(threeDigits value: UInt32) {
        let digits = 0x303030 | (value / 100) | ((value % 100 / 10) << 8) | ((value % 10) << 16)
        position.storeBytes(of: digits.littleEndian, as: UInt32.self)
        position += 3
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

    /// Writes bytes as a JSON string that need no escape.
    @inline(__always)
    mutating func put(plainText bytes: UnsafeRawBufferPointer) {
        put(UInt8(ascii: "\""))
        put(bytes)
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
        let control = word &- (ones &* 0x20)
        let quote = (word ^ (ones &* UInt64(UInt8(ascii: "\"")))) &- ones
        let backslash = (word ^ (ones &* UInt64(UInt8(ascii: "\\")))) &- ones
        // Adding one makes U+007F, and every byte beyond ASCII has the bit already.
        let beyond = word | (word &+ ones)
        return (control | quote | backslash | beyond) & (ones &* 0x80) == 0
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
