extension JSONParser {
    /// Reads a string from its opening quote on.
    mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                let text = try validated(UnsafeRawBufferPointer(rebasing: bytes[start..<position]), at: start)
                position += 1
                return text
            case UInt8(ascii: "\\"):
                return try escapedString(from: start)
            case 0..<0x20:
                throw error("A control character in a string must be escaped.")
            default:
                position += 1
            }
        }
        throw error("The document ends too early.")
    }

    /// Reads on from the first escape; what lies before it has no special byte.
    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var decoded = Array(bytes[start..<position])
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                guard let text = String(validating: decoded, as: UTF8.self) else { throw notUTF8(at: start) }
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &decoded)
            case 0..<0x20:
                throw error("A control character in a string must be escaped.")
            case let byte:
                decoded.append(byte)
                position += 1
            }
        }
        throw error("The document ends too early.")
    }

    private mutating func escape(into decoded: inout [UInt8]) throws(JSONError) {
        guard let byte = peek else { throw error("The document ends too early.") }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
        case UInt8(ascii: "b"): decoded.append(0x08)
        case UInt8(ascii: "f"): decoded.append(0x0C)
        case UInt8(ascii: "n"): decoded.append(0x0A)
        case UInt8(ascii: "r"): decoded.append(0x0D)
        case UInt8(ascii: "t"): decoded.append(0x09)
        case UInt8(ascii: "u"):
            position += 1
            JSONParser.append(try unicodeEscape(), to: &decoded)
            return
        default:
            throw error("An unknown escape is in a string.")
        }
        position += 1
    }

    /// Appends the UTF-8 of a scalar, whose length follows from its value (RFC 3629 section 3).
    private static func append(_ scalar: Unicode.Scalar, to decoded: inout [UInt8]) {
        let value = scalar.value
        func continuation(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(truncatingIfNeeded: value >> shift) & 0x3F }
        switch value {
        case 0..<0x80:
            decoded.append(UInt8(truncatingIfNeeded: value))
        case 0..<0x800:
            decoded.append(0xC0 | UInt8(truncatingIfNeeded: value >> 6))
            decoded.append(continuation(0))
        case 0..<0x10000:
            decoded.append(0xE0 | UInt8(truncatingIfNeeded: value >> 12))
            decoded.append(continuation(6))
            decoded.append(continuation(0))
        default:
            decoded.append(0xF0 | UInt8(truncatingIfNeeded: value >> 18))
            decoded.append(continuation(12))
            decoded.append(continuation(6))
            decoded.append(continuation(0))
        }
    }

    /// The scalar of `uXXXX`, or of two of them that form a surrogate pair.
    private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
        let start = position - 2
        let first = try fourHexDigits()
        var value = UInt32(first)
        if UTF16.isLeadSurrogate(first) {
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
                throw peek == nil ? error("The document ends too early.") : loneSurrogate(at: start)
            }
            let second = try fourHexDigits()
            guard UTF16.isTrailSurrogate(second) else { throw loneSurrogate(at: start) }
            value = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(value) else { throw loneSurrogate(at: start) }
        return scalar
    }

    private mutating func fourHexDigits() throws(JSONError) -> UInt16 {
        let end = position + 4
        var value: UInt16 = 0
        while position < min(end, bytes.count) {
            guard let digit = JSONParser.hexDigit(bytes[position]) else { throw error("Four hexadecimal digits are expected.") }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        guard position == end else { throw error("The document ends too early.") }
        return value
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private func validated(_ text: UnsafeRawBufferPointer, at start: Int) throws(JSONError) -> String {
        // Reading UInt8 is always aligned, and rebinding holds for the length of the call only.
        let valid = text.withMemoryRebound(to: UInt8.self) { String(validating: $0, as: UTF8.self) }
        guard let valid else { throw notUTF8(at: start) }
        return valid
    }

    private func notUTF8(at start: Int) -> JSONError {
        error("A string is not valid UTF-8.", at: start)
    }

    private func loneSurrogate(at start: Int) -> JSONError {
        error("An escape names half of a surrogate pair.", at: start)
    }
}
