import Commerce
import JSON
import NIOCore

/// The OpenAPI document of this service: `openapi.json` with the bounds that the operator has set.
struct APIDocument {
    let root: JSONValue

    init(chargeAmounts: ClosedRange<Won>) throws(JSONError) {
        let source = try JSONParser.parse(ByteBuffer(bytes: PackageResources.openapi_json), maximumDepth: 64)
        let amount = ["components", "schemas", "NewCharge", "properties", "amount"]
        root =
            source
            .replacing(amount + ["minimum"], by: .integer(chargeAmounts.lowerBound.rawValue))
            .replacing(amount + ["maximum"], by: .integer(chargeAmounts.upperBound.rawValue))
    }

    /// The document as it is served.
    var json: ByteBuffer {
        var json = JSONWriter(capacity: 1 << 17)
        json.element(root)
        return json.buffer
    }

    /// What a value stands for: the component that its `$ref` names, or itself.
    func resolved(_ value: JSONValue) -> JSONValue {
        guard let reference = value["$ref"]?.asString else { return value }
        return reference.dropFirst(2).split(separator: "/").reduce(Optional(root)) { $0?[String($1)] } ?? value
    }

    /// The operations of a tag, in the order of the document.
    func operations(tagged tag: String) -> [Operation] {
        operations.filter { $0.value["tags"]?.asArray.contains(.string(tag)) ?? false }
    }

    /// One operation with the method and the path that it is called by.
    struct Operation {
        /// In uppercase.
        let method: String
        let path: String
        let value: JSONValue

        var id: String { value["operationId"]?.asString ?? "" }
    }

    /// Every operation, in the order of the document.
    var operations: [Operation] {
        (root["paths"]?.asMembers ?? []).flatMap { path in
            path.value.asMembers.map { Operation(method: $0.name.uppercased(), path: path.name, value: $0.value) }
        }
    }
}

extension JSONValue {
    /// The text of a string; nil for anything else.
    var asString: String? { if case .string(let text) = self { text } else { nil } }
    /// The integer; nil for anything else.
    var asInteger: Int64? { if case .integer(let integer) = self { integer } else { nil } }
    /// The elements of an array; none for anything else.
    var asArray: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }
    /// The members of an object; none for anything else.
    var asMembers: [(name: String, value: JSONValue)] { if case .object(let object) = self { object.members } else { [] } }

    /// The same value with another one at a path of member names; unchanged where it has no such path.
    func replacing(_ path: some Collection<String>, by new: JSONValue) -> JSONValue {
        guard let name = path.first else { return new }
        guard case .object(let object) = self else { return self }
        return .object(
            JSONObject(object.members.map { ($0.name, $0.name == name ? $0.value.replacing(path.dropFirst(), by: new) : $0.value) }))
    }
}
