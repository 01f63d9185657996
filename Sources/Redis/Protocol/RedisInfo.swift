/// The reply to `INFO` or `CONFIG GET`, by field.
package struct RedisInfo: Sendable, Equatable {
    private let fields: [String: String]

    /// Reads the text of `INFO`: lines of `field:value`, sections begin with `#`.
    package init(text: String) {
        var fields: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[String(line[..<colon])] = String(line[line.index(after: colon)...])
        }
        self.fields = fields
    }

    /// Reads the reply to `CONFIG GET`, which alternates names and values.
    package init(pairs: [RedisValue]) {
        var fields: [String: String] = [:]
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            if let name = pairs[index].string, let value = pairs[index + 1].string { fields[name] = value }
        }
        self.fields = fields
    }

    package subscript(_ field: String) -> String? { fields[field] }

    /// The parts of `redis_version` as numbers, for comparisons with `lexicographicallyPrecedes`.
    package var version: [Int]? {
        fields["redis_version"]?.split(separator: ".").map { Int($0) ?? 0 }
    }
}
