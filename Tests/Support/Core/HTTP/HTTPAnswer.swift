package import JSON
package import NIOCore

/// One answer of the service, with accessors for tests.
package struct HTTPAnswer: Sendable {
    package let status: Int
    /// Names in lowercase, in the order received.
    package let headers: [(name: String, value: String)]
    package let body: ByteBuffer

    package struct NotAsExpected: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }

    package var text: String { String(buffer: body) }

    /// The value of the only header field of this name; nil when absent or repeated.
    package subscript(header name: String) -> String? {
        let values = headers.filter { $0.name == name }
        return values.count == 1 ? values[0].value : nil
    }

    package func json() throws -> JSONValue { try JSONParser.parse(body) }

    /// The `code` of a problem document; nil where the body is none.
    package var code: String? {
        guard self[header: "content-type"] == "application/problem+json", case .string(let code)? = try? json()["code"] else { return nil }
        return code
    }

    /// Returns the answer if it has this status; otherwise throws an error that shows the whole answer.
    package func expect(_ status: Int) throws -> HTTPAnswer {
        guard self.status == status else { throw NotAsExpected(description: "expected \(status), got \(self.status): \(text)") }
        return self
    }

    package func value(_ path: String...) throws -> JSONValue { try value(path) }
    package func int(_ path: String...) throws -> Int64 {
        if case .integer(let value) = try value(path) { return value }
        throw NotAsExpected(description: "\(path) is no integer in \(text)")
    }
    package func string(_ path: String...) throws -> String {
        if case .string(let value) = try value(path) { return value }
        throw NotAsExpected(description: "\(path) is no string in \(text)")
    }
    package func items() throws -> [JSONValue] {
        if case .array(let items) = try value(["items"]) { return items }
        throw NotAsExpected(description: "no items in \(text)")
    }

    private func value(_ path: [String]) throws -> JSONValue {
        var value = try json()
        for name in path {
            guard let inner = value[name] else { throw NotAsExpected(description: "no \(path) in \(text)") }
            value = inner
        }
        return value
    }
}

extension JSONValue {
    package var int: Int64? { if case .integer(let value) = self { value } else { nil } }
    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var elements: [JSONValue]? { if case .array(let values) = self { values } else { nil } }

    /// The names and types of all members in one line, such as `{userId: int, name: string, createdAt: instant}`. Elements of an array
    /// that have the same shape appear once.
    package var shape: String {
        switch self {
        case .null: return "null"
        case .bool: return "bool"
        case .integer: return "int"
        case .hugeInteger, .number: return "number"
        case .string(let text):
            if text.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil { return "instant" }
            if text.wholeMatch(of: /\d{4}-\d\d-\d\d/) != nil { return "day" }
            if text.wholeMatch(of: /\d{8}-\d{6,}/) != nil { return "orderNumber" }
            if text.wholeMatch(of: /[0-9A-HJKMNP-TV-Z]{16}/) != nil { return "code" }
            return text.wholeMatch(of: /[A-Z_]+/) != nil ? text : "string"
        case .array(let elements):
            var shapes: [String] = []
            for shape in elements.map(\.shape) where !shapes.contains(shape) { shapes.append(shape) }
            return "[\(shapes.joined(separator: " | "))]"
        case .object(let object):
            return "{\(object.members.map { "\($0.name): \($0.value.shape)" }.joined(separator: ", "))}"
        }
    }
}
