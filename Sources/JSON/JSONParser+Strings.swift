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
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                guard let text = String(validating: decoded, as: UTF8.self) else { throw notUTF8(at: start) }
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &decoded)
            case 0..<0x20:
                throw error("A control character in a string must be escaped.")
            default:
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
            decoded.append(contentsOf: UTF8.encode(try unicodeEscape()).map { Array($0) } ?? [])
            return
        default:
            throw error("An unknown escape is in a string.")
        }
        position += 1
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
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek else { throw error("The document ends too early.") }
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("Four hexadecimal digits are expected.")
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
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
