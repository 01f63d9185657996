/// The host and port that a `Host` field and an absolute target name (RFC 3986 section 3.2, RFC 9110 section 7.2).
enum HostSyntax {
    /// Whether the bytes are a host, with or without a port; empty bytes are a host without a name.
    static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first else { return true }
        return first == UInt8(ascii: "[") ? isLiteral(bytes) : isName(bytes)
    }

    /// Whether the bytes are `[::1]` or `[v1.x]`, with or without a port.
    private static func isLiteral(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "]")), end > 1 else { return false }
        let isFuture = bytes[1] | 0x20 == UInt8(ascii: "v")
        for index in 1..<end {
            let byte = bytes[index]
            let isAddress = ByteClass.hexDigit(byte) != nil || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
            guard isFuture ? byte == UInt8(ascii: ":") || ByteClass.isRegisteredName(byte) : isAddress else { return false }
        }
        return isPort(bytes, from: end + 1)
    }

    private static func isName(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < bytes.count, bytes[index] != UInt8(ascii: ":") {
            if bytes[index] == UInt8(ascii: "%") {
                guard index + 2 < bytes.count, ByteClass.hexDigit(bytes[index + 1]) != nil, ByteClass.hexDigit(bytes[index + 2]) != nil
                else { return false }
                index += 2
            } else if !ByteClass.isRegisteredName(bytes[index]) {
                return false
            }
            index += 1
        }
        return isPort(bytes, from: index)
    }

    /// Whether the rest is empty, or a colon and any number of digits, also none.
    private static func isPort(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Bool {
        guard start < bytes.count else { return true }
        guard bytes[start] == UInt8(ascii: ":") else { return false }
        return bytes[(start + 1)...].allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    }
}
