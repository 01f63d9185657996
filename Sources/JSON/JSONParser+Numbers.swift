extension JSONParser {
    /// Reads a number from its sign or first digit on.
    mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        let isNegative = take(UInt8(ascii: "-"))
        let integer = try integerPart(isNegative: isNegative)
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try digits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            _ = take(UInt8(ascii: "+")) || take(UInt8(ascii: "-"))
            try digits()
        }
        if isInteger, let integer { return .integer(integer) }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        return isInteger ? .hugeInteger(text) : .number(text)
    }

    /// The digits before fraction and exponent; nil when their value is beyond `Int64`.
    private mutating func integerPart(isNegative: Bool) throws(JSONError) -> Int64? {
        if take(UInt8(ascii: "0")) {
            if let next = peek, JSONParser.isDigit(next) { throw error("A number has a leading zero.") }
            return 0
        }
        let start = position
        try digits()
        var value: Int64? = 0
        for byte in bytes[start..<position] {
            guard let soFar = value else { break }
            let digit = Int64(byte - UInt8(ascii: "0"))
            let (product, productOverflows) = soFar.multipliedReportingOverflow(by: 10)
            // Counting down from zero reaches Int64.min, whose magnitude has no positive Int64.
            let (next, nextOverflows) =
                isNegative
                ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            value = productOverflows || nextOverflows ? nil : next
        }
        return value
    }

    /// Reads one digit or more.
    private mutating func digits() throws(JSONError) {
        guard let first = peek else { throw error("The document ends too early.") }
        guard JSONParser.isDigit(first) else { throw error("A digit is expected.") }
        while let byte = peek, JSONParser.isDigit(byte) { position += 1 }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
    }
}
