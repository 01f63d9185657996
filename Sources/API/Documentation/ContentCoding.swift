/// How the bytes of a body are encoded (RFC 9110 section 8.4.1).
enum ContentCoding: Sendable {
    case identity
    case gzip

    /// The coding that a client prefers by its `Accept-Encoding` (RFC 9110 section 12.5.3): gzip where it takes gzip and does not prefer
    /// the plain bytes. A client that takes neither gets the plain bytes, as the RFC recommends.
    ///
    /// - Parameter field: the value of `Accept-Encoding`; nil without the field, which says nothing and means the plain bytes here.
    init(acceptedBy field: String?) {
        guard let field else {
            self = .identity
            return
        }
        var (gzip, identity, any): (Int?, Int?, Int?)
        for element in field.split(separator: ",") {
            guard let (coding, weight) = Self.preference(element) else { continue }
            switch coding {
            case "gzip", "x-gzip": gzip = weight
            case "identity": identity = weight
            case "*": any = weight
            default: continue
            }
        }
        let accepted = gzip ?? any ?? 0
        self = accepted > 0 && accepted >= (identity ?? 0) ? .gzip : .identity
    }

    /// One element of the field: the coding in lowercase, and its weight in thousandths. Nil for an element that is malformed.
    private static func preference(_ element: Substring) -> (coding: String, weight: Int)? {
        let parts = element.split(separator: ";", omittingEmptySubsequences: false).map(trimmed)
        guard let coding = parts.first, !coding.isEmpty, parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return (coding.lowercased(), 1_000) }
        guard parts[1].lowercased().hasPrefix("q="), let weight = weight(parts[1].dropFirst(2)) else { return nil }
        return (coding.lowercased(), weight)
    }

    /// A weight such as `0.5` in thousandths: 0 to 1 with up to three decimals (RFC 9110 section 12.4.2).
    private static func weight(_ text: Substring) -> Int? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, whole == "0" || whole == "1" else { return nil }
        let decimals = parts.count == 2 ? parts[1] : ""
        guard decimals.count <= 3, decimals.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        let thousandths = Int(decimals.padding(toLength: 3)) ?? 0
        guard whole == "0" || thousandths == 0 else { return nil }
        return whole == "1" ? 1_000 : thousandths
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}

extension Substring {
    /// The text with zeros behind it up to a length.
    fileprivate func padding(toLength length: Int) -> String {
        self + String(repeating: "0", count: Swift.max(0, length - count))
    }
}
