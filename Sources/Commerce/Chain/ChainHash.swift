/// A SHA-256 hash of a campaign's chain of wins, see ``WinChain``.
package struct ChainHash: Hashable, Sendable, CustomStringConvertible {
    /// The 32 bytes, kept in place so that no copy allocates.
    private let words: SIMD4<UInt64>

    package static let byteCount = 32
    /// How many hexadecimal digits ``description`` has.
    package static let digitCount = 64

    /// Takes 32 bytes; nil for any other number.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.byteCount else { return nil }
        words = bytes.loadUnaligned(as: SIMD4<UInt64>.self)
    }

    /// Takes 32 bytes; nil for any other number.
    package init?(_ bytes: some Collection<UInt8>) {
        let array = Array(bytes)
        guard let hash = array.withUnsafeBytes({ ChainHash($0) }) else { return nil }
        self = hash
    }

    /// Reads 64 hexadecimal digits; nil for anything else.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == Self.digitCount else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in text.utf8 {
            guard let value = Self.value(of: digit) else { return nil }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        self.init(bytes)
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    package var bytes: [UInt8] { withBytes { Array($0) } }

    /// Calls the body with the 32 bytes.
    package func withBytes<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        try withUnsafeBytes(of: words) { try body($0) }
    }

    /// Whether all bytes are 0: how a block of hashes fills the place of a sequence that nobody has.
    package var isZero: Bool { words == .zero }

    /// 64 lower-case hexadecimal digits, as the program `sha256sum` prints a hash.
    package var description: String {
        String(unsafeUninitializedCapacity: Self.digitCount) { digits in
            withBytes { digits.putHexadecimal($0, at: 0) }
            return Self.digitCount
        }
    }
}

extension UnsafeMutableBufferPointer<UInt8> {
    /// Writes two lower-case hexadecimal digits for each byte, and returns the offset behind them.
    @discardableResult
    func putHexadecimal(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        for index in 0..<bytes.count {
            self[offset + 2 * index] = Self.digit(bytes[index] >> 4)
            self[offset + 2 * index + 1] = Self.digit(bytes[index] & 15)
        }
        return offset + 2 * bytes.count
    }

    @inline(__always)
    private static func digit(_ value: UInt8) -> UInt8 { value &+ (value < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10) }
}
