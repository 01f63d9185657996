#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

extension UnsafeRawBufferPointer {
    /// Whether these are exactly the bytes of the text.
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        guard let baseAddress else { return true }
        return memcmp(baseAddress, text.utf8Start, count) == 0
    }

    /// Whether the first bytes are those at an address.
    func begins(with other: UnsafeRawPointer, _ length: Int) -> Bool {
        guard let baseAddress, length <= count else { return false }
        return memcmp(baseAddress, other, length) == 0
    }

    /// Whether these are the letters, digits and hyphens of the lowercase text, in any case.
    ///
    /// Setting the bit that tells lowercase from uppercase letters leaves digits and hyphens as they are. It also turns a carriage return
    /// into a hyphen, but no name and no value contains one.
    func equalsIgnoringCase(_ lowercase: StaticString) -> Bool {
        let length = lowercase.utf8CodeUnitCount
        guard count == length else { return false }
        let expected = UnsafeRawBufferPointer(start: lowercase.utf8Start, count: length)
        let caseBits: UInt64 = 0x2020_2020_2020_2020
        // Eight bytes at a time; the last eight may overlap the ones before.
        if length >= 8 {
            var index = 0
            while true {
                let word = loadUnaligned(fromByteOffset: index, as: UInt64.self) | caseBits
                guard word == expected.loadUnaligned(fromByteOffset: index, as: UInt64.self) else { return false }
                guard index + 8 < length else { return true }
                index = Swift.min(index + 8, length - 8)
            }
        }
        for index in 0..<length {
            guard self[index] | 0x20 == expected[index] else { return false }
        }
        return true
    }

    /// The bytes without spaces and tabs at either end.
    var trimmed: UnsafeRawBufferPointer {
        var (start, end) = (0, count)
        while start < end, ByteClass.isSpace(self[start]) { start += 1 }
        while end > start, ByteClass.isSpace(self[end - 1]) { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: self[start..<end])
    }
}
