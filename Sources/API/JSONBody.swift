import HTTPServer
import JSON
import NIOCore

/// Turns a request's body into a typed value, or into a problem that names every field at fault.
enum JSONBody {
    /// Reads a body whose members `read` asks for. A request without a body reads as an empty object, so what it lacks is named.
    static func decode<Value>(
        _ request: HTTPRequest, _ read: (inout FieldReader) -> Value?
    ) throws(RequestFault) -> Value {
        var fields = FieldReader(try object(of: request) ?? JSONObject())
        let value = read(&fields)
        guard let value, fields.faults.isEmpty else { throw RequestFault(.invalid(fields.faults)) }
        return value
    }

    /// The object a body holds; `nil` without a body.
    static func object(of request: HTTPRequest) throws(RequestFault) -> JSONObject? {
        guard request.bodyByteCount > 0 else { return nil }
        guard request.hasContentType("application/json") || isJSON(request.value(of: .contentType)) else {
            throw RequestFault(.unsupportedMediaType)
        }
        guard case .object(let object) = try parsed(request.body) else {
            throw RequestFault(.invalid("The body must be a JSON object."))
        }
        return object
    }

    private static func parsed(_ body: ByteBuffer) throws(RequestFault) -> JSONValue {
        do {
            return try JSONParser.parse(body)
        } catch {
            throw RequestFault(.invalid("The body is not JSON. \(error)"))
        }
    }

    /// Whether a `Content-Type` is `application/json`, with no charset or that of JSON, which is UTF-8 (RFC 8259 section 8.1).
    static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        if contentType == "application/json" { return true }
        var parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false).map(trimmed)[...]
        guard parts.popFirst() == "application/json" else { return false }
        return parts.allSatisfy { part in
            guard part.hasPrefix("charset=") else { return true }
            let charset = part.dropFirst("charset=".count)
            return charset == "utf-8" || charset == "\"utf-8\""
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
