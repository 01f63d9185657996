/// The character classes of HTTP messages.
enum ByteClass {
    /// `tchar` of RFC 9110 section 5.6.2: what methods and field names are made of.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool { tokens.utf8Start[Int(byte)] == UInt8(ascii: "1") }

    /// One digit for each byte value. A static literal, because reading one allocates nothing and touches no reference count.
    static let tokens: StaticString = """
        0000000000000000000000000000000001011111001101101111111111000000\
        0111111111111111111111111110001111111111111111111111111111101010\
        0000000000000000000000000000000000000000000000000000000000000000\
        0000000000000000000000000000000000000000000000000000000000000000
        """

    /// What a registered name consists of besides escapes: `unreserved` and `sub-delims` (RFC 3986 section 3.2.2), without the comma,
    /// because two joined `Host` fields look like one name with a comma.
    static func isRegisteredName(_ byte: UInt8) -> Bool { contains(byte, 0x2BFF_6FD2_0000_0000, 0x47FF_FFFE_87FF_FFFE) }

    /// Visible ASCII without `#`: what a request target consists of (RFC 9112 section 3.2). A fragment is never sent.
    @inline(__always)
    static func isTarget(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "#") }

    /// Space or tab, `OWS` of RFC 9110 section 5.6.3.
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// What a field value may hold besides `OWS` (RFC 9110 section 5.5): visible ASCII and bytes above.
    static func isValue(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == 0x09 }

    /// The value of a hexadecimal digit; nil for any other byte.
    static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    @inline(__always)
    private static func contains(_ byte: UInt8, _ low: UInt64, _ high: UInt64) -> Bool {
        byte < 64 ? low >> UInt64(byte) & 1 == 1 : byte < 128 && high >> UInt64(byte - 64) & 1 == 1
    }
}
