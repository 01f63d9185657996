/// The values of a route's parameters, percent-decoded.
package struct RouteParameters: Sendable {
    /// Parameters one template may have.
    static let maximumCount = 4

    private let names: [String]
    private let path: String
    private let ranges: ParameterRanges

    /// Nil when a value's escapes are malformed. Values without an escape are not copied out of the path.
    init?(names: [String], path: String, ranges: ParameterRanges) {
        self.names = names
        self.path = path
        self.ranges = ranges
        for index in 0..<ranges.count {
            let raw = slice(ranges[index])
            if raw.utf8.contains(UInt8(ascii: "%")), PercentEncoding.decode(raw) == nil { return nil }
        }
    }

    /// The value of a parameter of the template; nil for a name the template does not have.
    package subscript(_ name: String) -> String? {
        guard let index = names.firstIndex(of: name) else { return nil }
        return PercentEncoding.decode(slice(ranges[index]))
    }

    /// The parameter as a plain decimal integer: digits only, no sign, no leading zero, at most `Int64.max`; else nil.
    package func int64(_ name: String) -> Int64? {
        guard let index = names.firstIndex(of: name) else { return nil }
        let digits = slice(ranges[index]).utf8
        if digits.count > 1, digits.first == UInt8(ascii: "0") { return nil }
        var value: Int64 = 0
        for digit in digits {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            let (product, productOverflows) = value.multipliedReportingOverflow(by: 10)
            let (sum, sumOverflows) = product.addingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
            guard !productOverflows, !sumOverflows else { return nil }
            value = sum
        }
        return value
    }

    private func slice(_ range: Range<Int>) -> Substring {
        let utf8 = path.utf8
        let start = utf8.index(utf8.startIndex, offsetBy: range.lowerBound)
        return path[start..<utf8.index(start, offsetBy: range.count)]
    }
}

/// Up to ``RouteParameters/maximumCount`` byte ranges of a path, kept without an array.
struct ParameterRanges: Sendable {
    private var storage: (Range<Int>, Range<Int>, Range<Int>, Range<Int>) = (0..<0, 0..<0, 0..<0, 0..<0)
    private(set) var count = 0

    mutating func append(_ range: Range<Int>) {
        switch count {
        case 0: storage.0 = range
        case 1: storage.1 = range
        case 2: storage.2 = range
        case 3: storage.3 = range
        default: preconditionFailure("templates have at most \(RouteParameters.maximumCount) parameters")
        }
        count += 1
    }

    mutating func removeLast() { count -= 1 }

    subscript(index: Int) -> Range<Int> {
        switch index {
        case 0: storage.0
        case 1: storage.1
        case 2: storage.2
        default: storage.3
        }
    }
}
