import HTTPServer
import JSON
import NIOCore

/// One refusal as clients see it: a problem document (RFC 9457) with a `code`.
struct Problem: Sendable {
    /// A member beyond the standard ones.
    enum Member: Sendable {
        case integer(StaticString, Int64)
        case text(StaticString, String)
        /// A value that already is JSON.
        case json(StaticString, ByteBuffer)
    }

    let code: ProblemCode
    /// One sentence for people about this occurrence; never holds internals.
    let detail: String
    var members: [Member] = []
    var faults: [FieldFault] = []
    var headers: [Header] = []

    /// A header field that is sent with this problem.
    struct Header: Sendable, Equatable {
        let name: String
        let value: String

        static func retryAfter(seconds: Int64) -> Header { Header(name: "retry-after", value: String(max(seconds, 1))) }
    }

    /// The answer: `application/problem+json`, never stored by a cache.
    var response: HTTPResponse {
        HTTPResponse(
            status: code.status,
            headers: [("cache-control", "no-store")] + headers.map { ($0.name, $0.value) },
            contentType: "application/problem+json",
            body: body
        )
    }

    private var body: ByteBuffer {
        var json = JSONWriter(capacity: 768)
        json.beginObject()
        json.member("type", code.type)
        json.member("title", code.title)
        json.member("status", Int64(code.status))
        json.member("detail", detail)
        json.member("code", code.rawValue)
        for member in members {
            switch member {
            case .integer(let name, let value): json.member(name, value)
            case .text(let name, let value): json.member(name, value)
            case .json(let name, let value): json.member(name, raw: value)
            }
        }
        if !faults.isEmpty {
            json.beginArray("errors")
            for fault in faults {
                json.beginObject()
                json.member("field", fault.field)
                json.member("reason", fault.reason)
                json.endObject()
            }
            json.endArray()
        }
        json.endObject()
        return json.buffer
    }
}

/// What is wrong with one field of a body, a query or a path.
struct FieldFault: Sendable, Equatable {
    /// The field's place, such as `items[0].quantity`.
    let field: String
    /// What it must be, as the end of a sentence that starts with the field's name.
    let reason: String
}
