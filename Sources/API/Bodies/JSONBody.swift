import HTTPServer
import JSON
import NIOCore

/// Turns a request's body into a typed value, or into a problem that names every field at fault.
enum JSONBody {
    /// Values that a body may have. The largest that a route asks for is an order of 100 lines with two members each, 303 values in
    /// all; the rest is room for members that a client sends and this service ignores, such as those of an order as it is answered.
    static let maximumValues = 768

    /// Reads a body by `read`. A request without a body is read as an empty object, so that the faults name the missing members.
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

    static func parsed(_ body: ByteBuffer) throws(RequestFault) -> JSONValue {
        do {
            return try JSONParser.parse(body, maximumValues: maximumValues)
        } catch {
            switch error.code {
            case .malformed: throw RequestFault(.invalid("The body is not valid JSON: \(error)"))
            case .tooManyValues:
                throw RequestFault(.invalid("The body has more than \(maximumValues) JSON values: members and elements are counted."))
            }
        }
    }

    /// Whether a `Content-Type` is `application/json`, with no charset or that of JSON, which is UTF-8 (RFC 8259 section 8.1).
    static func isJSON(_ contentType: String?) -> Bool { isMediaType(contentType, "application/json") }

    /// The same for another type.
    static func isMediaType(_ contentType: String?, _ type: StaticString) -> Bool {
        guard var contentType else { return false }
        return contentType.withUTF8 { isMediaType($0, type) }
    }

    /// One pass over the bytes, without a `String` for each part, because the field may be as long as a whole head.
    private static func isMediaType(_ contentType: UnsafeBufferPointer<UInt8>, _ type: StaticString) -> Bool {
        var start = 0
        while start <= contentType.count {
            let end = contentType[start...].firstIndex(of: UInt8(ascii: ";")) ?? contentType.count
            let part = trimmed(contentType[start..<end])
            if start == 0 {
                guard part.matches(type) else { return false }
            } else if part.prefix(8).matches("charset=") {
                let charset = part.dropFirst(8)
                guard charset.matches("utf-8") || charset.matches("\"utf-8\"") else { return false }
            }
            start = end + 1
        }
        return true
    }

    private static func trimmed(_ part: Slice<UnsafeBufferPointer<UInt8>>) -> Slice<UnsafeBufferPointer<UInt8>> {
        func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var part = part
        while let first = part.first, isSpace(first) { part.removeFirst() }
        while let last = part.last, isSpace(last) { part.removeLast() }
        return part
    }
}

extension Slice<UnsafeBufferPointer<UInt8>> {
    /// Whether the bytes are this text, which is in lowercase, with any case of their letters.
    fileprivate func matches(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { expected in
            zip(self, expected).allSatisfy { byte, expected in
                byte == expected || (byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") && byte | 0x20 == expected)
            }
        }
    }
}
