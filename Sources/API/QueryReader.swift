import Commerce
import HTTPServer

/// Reads the query parameters of a list and notes every one that is not as it must be. Unknown names are ignored.
struct QueryReader {
    private let items: [(name: String, value: String)]
    private(set) var faults: [FieldFault] = []

    private init(_ items: [(name: String, value: String)]) {
        self.items = items
    }

    /// Reads what `read` asks for out of the request's query.
    static func decode<Value>(_ request: HTTPRequest, _ read: (inout QueryReader) -> Value) throws(RequestFault) -> Value {
        guard let items = items(of: request) else {
            throw RequestFault(.invalid("The query is not percent-encoded UTF-8."))
        }
        var query = QueryReader(items)
        let value = read(&query)
        guard query.faults.isEmpty else { throw RequestFault(.invalid(query.faults)) }
        return value
    }

    /// The query's pairs in the order sent, percent-decoded, `+` read as a space; nil when an escape or its UTF-8 is malformed.
    private static func items(of request: HTTPRequest) -> [(name: String, value: String)]? {
        request.withQuery { query in
            guard let query else { return [] }
            var items: [(name: String, value: String)] = []
            for pair in query.split(separator: UInt8(ascii: "&")) {
                let separator = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
                let name = UnsafeRawBufferPointer(rebasing: pair[..<separator])
                let value = UnsafeRawBufferPointer(rebasing: separator < pair.endIndex ? pair[(separator + 1)...] : pair[pair.endIndex...])
                guard let decodedName = PercentEncoding.decode(name, plusIsSpace: true),
                    let decodedValue = PercentEncoding.decode(value, plusIsSpace: true)
                else { return nil }
                items.append((decodedName, decodedValue))
            }
            return items
        }
    }

    private mutating func refuse(_ name: String, _ reason: String) {
        faults.append(FieldFault(field: name, reason: reason))
    }

    /// The one value of a parameter; two would leave open which of them counts.
    private mutating func value(_ name: String) -> String? {
        var found: String?
        for item in items where item.name == name {
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

    /// Text to look for, by the rule for names; an empty one, as an empty search box sends it, counts as none.
    mutating func searchText(_ name: String) -> String? {
        guard let text = value(name), !text.isEmpty else { return nil }
        guard let fault = DisplayName.fault(in: text) else { return text }
        refuse(name, fault)
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
