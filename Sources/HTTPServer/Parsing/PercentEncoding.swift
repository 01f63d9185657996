/// Percent-decoding as RFC 3986 section 2.1 defines it.
package enum PercentEncoding {
    /// The decoded text; nil when a `%` lacks its two hexadecimal digits or the result is not UTF-8.
    package static func decode(_ text: UnsafeRawBufferPointer, plusIsSpace: Bool = false) -> String? {
        guard text.contains(where: { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }) else {
            return String(validating: text, as: UTF8.self)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            let byte = text[index]
            index += 1
            switch byte {
            case UInt8(ascii: "%"):
                guard index + 1 < text.count, let high = ByteClass.hexDigit(text[index]), let low = ByteClass.hexDigit(text[index + 1])
                else { return nil }
                bytes.append(high << 4 | low)
                index += 2
            case UInt8(ascii: "+") where plusIsSpace:
                bytes.append(UInt8(ascii: " "))
            default:
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
