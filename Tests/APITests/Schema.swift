import Foundation
import JSON

/// Checks JSON against the part of JSON Schema 2020-12 that the API document uses; a keyword it does not know is an error, not a pass.
struct Schema {
    let document: JSONValue

    /// What is wrong, each with its place; empty where the value is valid.
    func faults(_ value: JSONValue, _ schema: JSONValue, at place: String = "$") -> [String] {
        guard case .object(let keywords) = schema else { return ["\(place): the schema is no object"] }
        return keywords.members.flatMap { check(value, $0.name, $0.value, keywords, place) }
    }

    func resolve(_ reference: String) -> JSONValue? {
        reference.dropFirst(2).split(separator: "/").reduce(Optional(document)) { $0?[String($1)] }
    }

    private func check(_ value: JSONValue, _ keyword: String, _ rule: JSONValue, _ all: JSONObject, _ place: String) -> [String] {
        switch keyword {
        case "description", "examples", "format", "discriminator", "default", "additionalProperties": return []
        case "$ref":
            guard case .string(let reference) = rule, let target = resolve(reference) else { return ["\(place): dangling \(rule)"] }
            return faults(value, target, at: place)
        case "type":
            let names = rule.elements ?? [rule]
            return names.contains(.string(value.typeName)) ? [] : ["\(place): is \(value.typeName), must be \(names)"]
        case "const": return value == rule ? [] : ["\(place): must be \(rule)"]
        case "enum": return rule.elements?.contains(value) == true ? [] : ["\(place): \(value) is not in the enum"]
        case "allOf": return (rule.elements ?? []).flatMap { faults(value, $0, at: place) }
        case "anyOf":
            return (rule.elements ?? []).contains { faults(value, $0, at: place).isEmpty } ? [] : ["\(place): fits none of anyOf"]
        case "not": return faults(value, rule, at: place).isEmpty ? ["\(place): fits what it must not"] : []
        case "oneOf":
            let fitting = (rule.elements ?? []).count { faults(value, $0, at: place).isEmpty }
            return fitting == 1 ? [] : ["\(place): fits \(fitting) of oneOf"]
        default: return checkAssertion(value, keyword, rule, place)
        }
    }

    private func checkAssertion(_ value: JSONValue, _ keyword: String, _ rule: JSONValue, _ place: String) -> [String] {
        let bound = rule.integer ?? 0
        switch keyword {
        case "minimum": return (value.integer ?? bound) >= bound ? [] : ["\(place): below \(bound)"]
        case "maximum": return (value.integer ?? bound) <= bound ? [] : ["\(place): above \(bound)"]
        case "minLength": return (value.text.map { Int64($0.unicodeScalars.count) } ?? bound) >= bound ? [] : ["\(place): too short"]
        case "maxLength": return (value.text.map { Int64($0.unicodeScalars.count) } ?? bound) <= bound ? [] : ["\(place): too long"]
        case "minProperties": return (value.object.map { Int64($0.members.count) } ?? bound) >= bound ? [] : ["\(place): too empty"]
        case "minItems": return (value.elements.map { Int64($0.count) } ?? bound) >= bound ? [] : ["\(place): too few"]
        case "maxItems": return (value.elements.map { Int64($0.count) } ?? bound) <= bound ? [] : ["\(place): too many"]
        case "pattern":
            guard let text = value.text, let pattern = rule.text else { return [] }
            return Schema.matches(text, pattern: pattern) ? [] : ["\(place): does not match \(pattern)"]
        case "items":
            return (value.elements ?? []).enumerated().flatMap { faults($0.element, rule, at: "\(place)[\($0.offset)]") }
        case "required":
            return (rule.elements ?? []).compactMap(\.text).filter { value.object != nil && value[$0] == nil }.map {
                "\(place): lacks \($0)"
            }
        case "properties":
            return (value.object?.members ?? []).flatMap { member in
                rule[member.name].map { faults(member.value, $0, at: "\(place).\(member.name)") } ?? []
            }
        default: return ["\(place): unknown keyword \(keyword)"]
        }
    }

    /// Whether a text matches a pattern as JSON Schema reads it (ECMA-262): `\u0000` is a code point also in a range, which Swift's own
    /// expressions read otherwise, and `$` is the very end, where ICU's would also stand before a line break.
    static func matches(_ text: String, pattern: String) -> Bool {
        let ending = pattern.hasSuffix("$") ? pattern.dropLast() + "\\z" : pattern
        guard let expression = try? NSRegularExpression(pattern: ending) else { return false }
        return expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) != nil
    }

    /// The members of a value that its schema does not name, however deep: what the document forgot to say.
    func unnamed(_ value: JSONValue, _ schema: JSONValue, at place: String = "$") -> [String] {
        if case .string(let reference)? = schema["$ref"] { return resolve(reference).map { unnamed(value, $0, at: place) } ?? [] }
        if let choices = schema["oneOf"]?.elements {
            return choices.first { faults(value, $0).isEmpty }.map { unnamed(value, $0, at: place) } ?? []
        }
        if let elements = value.elements, let items = schema["items"] {
            return elements.enumerated().flatMap { unnamed($0.element, items, at: "\(place)[\($0.offset)]") }
        }
        if schema["additionalProperties"] == .bool(true) { return [] }
        return (value.object?.members ?? []).flatMap { member in
            guard let inner = schema["properties"]?[member.name] else { return ["\(place).\(member.name)"] }
            return unnamed(member.value, inner, at: "\(place).\(member.name)")
        }
    }
}

extension JSONValue {
    var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    var object: JSONObject? { if case .object(let object) = self { object } else { nil } }
    var text: String? { if case .string(let text) = self { text } else { nil } }
    var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }

    fileprivate var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer, .hugeInteger: "integer"
        case .number: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}
