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
        String(unsafeUninitializedCapacity: Self.digitCount) { digits in withBytes { digits.putHexadecimal($0, at: 0) } }
    }
}

extension UnsafeMutableBufferPointer<UInt8> {
    /// Writes two lower-case hexadecimal digits for each byte, and returns the offset behind them. The number of bytes is a multiple of 4.
    @discardableResult
    func putHexadecimal(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        let text = UnsafeMutableRawBufferPointer(self)
        for index in stride(from: 0, to: bytes.count, by: 4) {
            let word = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self))
            text.storeBytes(of: Self.hexadecimalDigits(of: word).bigEndian, toByteOffset: offset + 2 * index, as: UInt64.self)
        }
        return offset + 2 * bytes.count
    }

    /// The eight digits of a word, the first one in the highest byte. They are computed together, one in each byte.
    @inline(__always)
    private static func hexadecimalDigits(of word: UInt32) -> UInt64 {
        var values = UInt64(word)
        values = (values << 16 | values) & 0x0000_FFFF_0000_FFFF
        values = (values << 8 | values) & 0x00FF_00FF_00FF_00FF
        values = (values << 4 | values) & 0x0F0F_0F0F_0F0F_0F0F
        // 1 in each byte whose value is 10 or more: adding 6 carries into the fifth bit.
        let letters = (values &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return values &+ 0x3030_3030_3030_3030 &+ letters &* UInt64(UInt8(ascii: "a") - UInt8(ascii: "0") - 10)
    }
}
