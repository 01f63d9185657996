import JSON

/// Describes a JSON Schema in words: what a value is, and what limits it has.
struct SchemaText {
    let document: APIDocument

    /// Appends the type of a value; components are links to their place in the page.
    func writeType(of schema: JSONValue, to html: inout HTML) {
        if let name = Self.component(schema) {
            html.link(to: Self.anchor(name)) { $0.add(name) }
        } else if let choices = schema["oneOf"]?.asArray {
            for (index, choice) in choices.enumerated() {
                if index > 0 { html.raw(" or ") }
                writeType(of: choice, to: &html)
            }
        } else if let constant = schema["const"] {
            html.element("code") { $0.add(constant.compact) }
        } else if let items = schema["items"] {
            html.raw("array of ")
            writeType(of: items, to: &html)
            if Self.types(schema).contains("null") { html.raw(" or null") }
        } else {
            html.add(Self.types(schema).joined(separator: " or "))
            if let format = schema["format"]?.asString, format != "int64" { html.add(", \(format)") }
        }
    }

    /// The limits of a value, each in a few words.
    func limits(of schema: JSONValue) -> [String] {
        var limits: [String] = []
        if let values = schema["enum"]?.asArray {
            limits.append("one of " + values.map { "`\($0.asString ?? $0.compact)`" }.joined(separator: ", "))
        }
        limits += Self.range(schema["minimum"], schema["maximum"], "")
        limits += Self.range(schema["minLength"], schema["maxLength"], " characters")
        limits += Self.range(schema["minItems"], schema["maxItems"], " elements")
        if let value = schema["default"] { limits.append("default `\(value.asString ?? value.compact)`") }
        // A long pattern says less to people than the description, which says the same.
        if let pattern = schema["pattern"]?.asString, pattern.count <= Self.longestPattern { limits.append("pattern `\(pattern)`") }
        return limits
    }

    private static let longestPattern = 64

    /// The name of the component that a schema refers to; nil for a schema that is written in place.
    static func component(_ schema: JSONValue) -> String? {
        schema["$ref"]?.asString?.split(separator: "/").last.map(String.init)
    }

    /// The place of a component in the page.
    static func anchor(_ component: String) -> String { "schema-" + component }

    private static func types(_ schema: JSONValue) -> [String] {
        switch schema["type"] {
        case .string(let name)?: [name]
        case .array(let names)?: names.compactMap(\.asString)
        case nil, .null?, .bool?, .integer?, .hugeInteger?, .number?, .object?: ["any value"]
        }
    }

    private static func range(_ least: JSONValue?, _ most: JSONValue?, _ unit: String) -> [String] {
        // What Int64 itself bounds is no limit that a reader has to know.
        let (least, most) = (least?.asInteger, most?.asInteger == .max ? nil : most?.asInteger)
        return switch (least, most) {
        case (let least?, let most?): ["\(grouped(least)) to \(grouped(most))\(unit)"]
        case (let least?, nil): ["\(grouped(least))\(unit) or more"]
        case (nil, let most?): ["up to \(grouped(most))\(unit)"]
        case (nil, nil): []
        }
    }

    /// An integer with commas between groups of three digits.
    private static func grouped(_ value: Int64) -> String {
        let digits = String(value.magnitude)
        var grouped = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { grouped += "," }
            grouped.append(digit)
        }
        return grouped
    }
}
