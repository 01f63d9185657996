/// Puts the queries of lists, snapshots and the audit, which are in SQLite's words, into PostgreSQL's.
///
/// The queries keep to what both know; three things are spelled otherwise: parameters are `?` or `?1`, and `INDEXED BY name` and
/// `NOT INDEXED`, which PostgreSQL has not, choose the index of a query.
struct QueryDialect {
    private var translated: [String: String] = [:]

    mutating func callAsFunction(_ sql: String) -> String {
        if let known = translated[sql] { return known }
        let text = Self.withoutIndexes(Self.withNumberedParameters(sql))
        translated[sql] = text
        return text
    }

    /// `?` becomes `$1`, `$2` and so on in their order, and `?3` becomes `$3`; texts in quotes stay.
    static func withNumberedParameters(_ sql: String) -> String {
        var (text, next, isQuoted) = ("", 1, false)
        var rest = Substring(sql)
        while let character = rest.popFirst() {
            if character == "'" { isQuoted.toggle() }
            guard character == "?", !isQuoted else {
                text.append(character)
                continue
            }
            let number = rest.prefix { $0.isNumber }
            rest.removeFirst(number.count)
            text += "$" + (number.isEmpty ? String(next) : String(number))
            if number.isEmpty { next += 1 }
        }
        return text
    }

    static func withoutIndexes(_ sql: String) -> String {
        var text = sql.replacing(" NOT INDEXED", with: "")
        while let found = text.firstRange(of: " INDEXED BY ") {
            let end = text[found.upperBound...].firstIndex { !($0.isLetter || $0.isNumber || $0 == "_") } ?? text.endIndex
            text.removeSubrange(found.lowerBound..<end)
        }
        return text
    }
}
