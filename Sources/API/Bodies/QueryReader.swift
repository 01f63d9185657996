import Commerce
import HTTPServer

/// Reads the query parameters of a list, and collects a fault for every one that is invalid. Unknown names are ignored.
struct QueryReader {
    /// Parameters that a query may have; no route knows more than seven, and a query with more than this is refused.
    static let maximumParameters = 64

    private let items: [(name: String, value: String)]
    private(set) var faults: [FieldFault] = []

    private init(_ items: [(name: String, value: String)]) {
        self.items = items
    }

    /// Reads the request's query by `read`.
    static func decode<Value>(_ request: HTTPRequest, _ read: (inout QueryReader) -> Value) throws(RequestFault) -> Value {
        let items = request.withQuery { query in query.map { QueryReader.items(of: $0) } ?? .success([]) }
        var query = QueryReader(try items.get())
        let value = read(&query)
        guard query.faults.isEmpty else { throw RequestFault(.invalid(query.faults)) }
        return value
    }

    private mutating func refuse(_ name: String, _ reason: String) {
        faults.append(FieldFault(field: name, reason: reason))
    }

    /// The value of a parameter; a fault where it is given twice.
    private mutating func value(_ name: String) -> String? {
        var found: String?
        for item in items where item.name.utf8.elementsEqual(name.utf8) {
            guard found == nil else {
                refuse(name, "must be given once")
                return nil
            }
            found = item.value
        }
        return found
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let text = value(name) else { return nil }
        let isDecimal = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        if isDecimal, let integer = Int64(text), range.contains(integer) { return integer }
        refuse(name, "must be an integer from \(range.lowerBound) to \(range.upperBound)")
        return nil
    }

    mutating func bool(_ name: String) -> Bool? {
        switch value(name) {
        case nil: return nil
        case "true": return true
        case "false": return false
        default:
            refuse(name, "must be true or false")
            return nil
        }
    }

    mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(_ name: String, of: Choice.Type) -> Choice? {
        guard let text = value(name) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        refuse(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        return nil
    }

    /// A text to search for, by the rule for names; an empty one, as an empty search box sends it, counts as absent.
    mutating func searchText(_ name: String) -> String? {
        guard let text = value(name), !text.isEmpty else { return nil }
        guard let fault = DisplayName.fault(in: text) else { return text }
        refuse(name, fault)
        return nil
    }

    /// A text to compare with, of at most so many characters (code points). U+0000 is refused, because not every store can compare with it.
    mutating func text(_ name: String, maximumLength: Int) -> String? {
        guard let text = value(name) else { return nil }
        if (1...maximumLength).contains(text.unicodeScalars.count), !text.utf8.contains(0) { return text }
        refuse(name, "must have 1 to \(maximumLength) characters and no U+0000")
        return nil
    }

    /// `limit` and `cursor`, which every list has.
    mutating func page() -> PageRequest {
        let limit = integer("limit", in: Int64(PageRequest.limits.lowerBound)...Int64(PageRequest.limits.upperBound))
        let cursor = value("cursor")
        if cursor == "" { refuse("cursor", "must be the nextCursor of this list") }
        return PageRequest(limit: limit.map(Int.init) ?? PageRequest.defaultLimit, cursor: cursor)
    }
}

// MARK: Percent-decoding

extension QueryReader {
    private typealias Items = [(name: String, value: String)]

    /// Splits the bytes of a query at `&` and `=`, and ignores empty parts.
    private static func items(of query: UnsafeRawBufferPointer) -> Result<Items, RequestFault> {
        var items: Items = []
        var start = 0
        while start < query.count {
            let end = query[start...].firstIndex(of: UInt8(ascii: "&")) ?? query.count
            defer { start = end + 1 }
            guard end > start else { continue }
            guard items.count < maximumParameters else {
                return .failure(RequestFault(.invalid("The query has more than \(maximumParameters) parameters.")))
            }
            let part = query[start..<end]
            let separator = part.firstIndex(of: UInt8(ascii: "=")) ?? end
            guard let name = decoded(part[..<separator]), let value = decoded(part[separator...].dropFirst()) else {
                return .failure(RequestFault(.invalid("The query is not percent-encoded UTF-8.")))
            }
            items.append((name, value))
        }
        return .success(items)
    }

    /// The decoded text, `+` read as a space; `nil` where a `%` lacks its two hexadecimal digits or the result is not UTF-8.
    private static func decoded(_ text: Slice<UnsafeRawBufferPointer>) -> String? {
        guard text.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else {
            return String(validating: text, as: UTF8.self)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            switch text[index] {
            case UInt8(ascii: "%"):
                guard text.endIndex - index > 2, let high = hexDigit(text[index + 1]), let low = hexDigit(text[index + 2]) else {
                    return nil
                }
                bytes.append(high << 4 | low)
                index += 2
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case let byte: bytes.append(byte)
            }
            index += 1
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension ProductFilter {
    /// The query of GET `/products`.
    init(_ query: inout QueryReader) {
        self.init(
            nameContains: query.searchText("q"),
            minPrice: query.integer("minPrice", in: 0...Int64.max).map(Won.init),
            maxPrice: query.integer("maxPrice", in: 0...Int64.max).map(Won.init),
            inStockOnly: query.bool("inStock") ?? false,
            sort: query.choice("sort", of: Sort.self) ?? .newest)
    }
}
