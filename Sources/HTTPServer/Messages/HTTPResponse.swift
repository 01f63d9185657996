package import NIOCore

/// One answer as the bytes that are sent, except for the request's id, the date and the `Connection` field, which the server adds.
///
/// It is rendered when it is made, so an answer that is sent many times is rendered once; each sending copies its bytes and writes
/// id and date into them. A class, so that passing it on copies one reference.
package final class HTTPResponse: Sendable {
    /// The status code, 200 to 599.
    package let status: Int
    /// Status line, fields, `X-Request-Id` and `Date` fields with placeholder values, the empty line, and the body.
    private let bytes: ByteBuffer
    /// Bytes of status line and fields; the fields with placeholders follow them.
    private let fieldByteCount: Int
    /// Whole field lines that only this sending of the answer has; they go before the `Date` field.
    private let addedFields: ByteBuffer?

    private static let idFieldByteCount = "x-request-id: ".utf8.count + GeneratedIDText.byteCount + 2
    private static let idOffset = "x-request-id: ".utf8.count

    /// Makes an answer. Control characters in field values are sent as spaces, so that no value can begin another field.
    ///
    /// - Parameters:
    ///   - status: the status code.
    ///   - headers: the fields besides `X-Request-Id`, `Date`, `Connection` and `Content-Length`.
    ///   - contentType: the value of `Content-Type`; nil for none.
    ///   - body: the body; left out for 204 and 304 (RFC 9110 section 6.4.1).
    package convenience init(
        status: Int, headers: [(name: String, value: String)] = [], contentType: String? = nil, body: ByteBuffer = ByteBuffer()
    ) {
        self.init(status: status, headers: headers, contentType: contentType, body: status != 204 && status != 304 ? body : nil)
    }

    /// Makes the head of a stream, which has no length.
    convenience init(streamStatus status: Int, headers: [(name: String, value: String)], contentType: String) {
        precondition((200...599).contains(status) && status != 204 && status != 304, "an answer of this status has no body")
        self.init(status: status, headers: headers, contentType: contentType, body: nil)
    }

    private init(status: Int, headers: [(name: String, value: String)], contentType: String?, body: ByteBuffer?) {
        self.status = status
        var bytes = ByteBuffer()
        bytes.reserveCapacity(256 + (body?.readableBytes ?? 0))
        bytes.writeStatusLine(status)
        if let contentType { bytes.writeField("content-type", contentType) }
        for header in headers { bytes.writeField(header.name, header.value) }
        if let body {
            bytes.writeStaticString("content-length: ")
            bytes.writeDecimal(body.readableBytes)
            bytes.writeStaticString("\r\n")
        }
        fieldByteCount = bytes.readableBytes
        bytes.writeStaticString("x-request-id: 000000000000000000000000\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n")
        if let body { bytes.writeImmutableBuffer(body) }
        self.bytes = bytes
        addedFields = nil
    }

    private init(_ base: HTTPResponse, adding fields: ByteBuffer) {
        (status, bytes, fieldByteCount) = (base.status, base.bytes, base.fieldByteCount)
        var all = base.addedFields ?? ByteBuffer()
        all.writeImmutableBuffer(fields)
        addedFields = all
    }

    /// The same answer with more fields, for an answer that is rendered once and sent to many. Its bytes are shared, not copied.
    ///
    /// - Parameter fields: whole lines as they are sent, each with its line end; no value may hold a control character.
    package func adding(fields: ByteBuffer) -> HTTPResponse { HTTPResponse(self, adding: fields) }

    /// The same answer with a body, for the head of a stream that was collected.
    func with(body: ByteBuffer) -> HTTPResponse {
        var (type, others): (String?, [(name: String, value: String)]) = (nil, [])
        for field in headers {
            if field.name == "content-type" { type = field.value } else { others.append(field) }
        }
        return HTTPResponse(status: status, headers: others, contentType: type, body: body)
    }

    /// An answer with a JSON body.
    package static func json(
        status: Int = 200, _ body: ByteBuffer, headers: [(name: String, value: String)] = []
    ) -> HTTPResponse {
        HTTPResponse(status: status, headers: headers, contentType: "application/json", body: body)
    }

    /// An answer with a plain text body.
    package static func text(status: Int = 200, _ body: String) -> HTTPResponse {
        HTTPResponse(status: status, contentType: "text/plain; charset=utf-8", body: ByteBuffer(string: body))
    }

    /// The body; the answer to a HEAD request is sent without it.
    package var body: ByteBuffer {
        let headCount = fieldByteCount + Self.idFieldByteCount + DateField.byteCount + 2
        return bytes.getSlice(at: bytes.readerIndex + headCount, length: bytes.readableBytes - headCount) ?? ByteBuffer()
    }

    /// The fields that the answer was made with, and those about its body. Built on each call.
    package var headers: [(name: String, value: String)] {
        let made = bytes.getString(at: bytes.readerIndex, length: fieldByteCount) ?? ""
        let fields = made + (addedFields.map { String(buffer: $0) } ?? "")
        return fields.split(separator: "\r\n").dropFirst().map { field in
            let parts = field.split(separator: ": ", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
        }
    }
}

/// The `Connection` field that the server adds to an answer.
enum ConnectionField: Equatable, Sendable {
    /// No field: the default of the client's HTTP version applies.
    case none
    /// `connection: close`.
    case close
    /// `connection: keep-alive`, for an HTTP/1.0 client that asked for it.
    case keepAlive

    /// The field with its line end.
    fileprivate var line: StaticString {
        switch self {
        case .none: ""
        case .close: "connection: close\r\n"
        case .keepAlive: "connection: keep-alive\r\n"
        }
    }
}

/// What the server adds to an answer when it sends it.
struct AnswerAdditions {
    /// The id that is made for the request; unused where the client has given one.
    var id: GeneratedIDText
    var given: GivenRequestID?
    var connection: ConnectionField
    /// Complete field lines, each with its line end.
    var fields: ByteBuffer?
    var isHead: Bool

    /// Whether the answer is sent as it was rendered, with id and date written into it.
    @inline(__always)
    fileprivate var areOnlyPlaceholders: Bool { connection == .none && !isHead && given == nil && fields == nil }
}

extension HTTPResponse {
    /// Appends the answer as it is sent.
    func render(into output: inout ByteBuffer, date: DateField, _ additions: borrowing AnswerAdditions) {
        guard !additions.areOnlyPlaceholders || addedFields != nil else {
            bytes.withUnsafeReadableBytes { bytes in
                _ = output.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) { target in
                    target.copyMemory(from: bytes)
                    additions.id.write(into: target, at: fieldByteCount + Self.idOffset)
                    date.write(into: target, at: fieldByteCount + Self.idFieldByteCount)
                    return bytes.count
                }
            }
            return
        }
        let idStart = bytes.readerIndex + fieldByteCount
        let dateStart = idStart + Self.idFieldByteCount
        if let fields = bytes.getSlice(at: bytes.readerIndex, length: fieldByteCount) { output.writeImmutableBuffer(fields) }
        if let addedFields { output.writeImmutableBuffer(addedFields) }
        if let fields = additions.fields { output.writeImmutableBuffer(fields) }
        output.writeStaticString(additions.connection.line)
        if let given = additions.given {
            output.writeStaticString("x-request-id: ")
            output.writeString(given.text)
            output.writeStaticString("\r\n")
        } else if let field = bytes.getSlice(at: idStart, length: Self.idFieldByteCount) {
            let offset = output.readableBytes + Self.idOffset
            output.writeImmutableBuffer(field)
            output.withUnsafeMutableReadableBytes { additions.id.write(into: $0, at: offset) }
        }
        let renderedDateOffset = output.readableBytes
        let restCount = additions.isHead ? DateField.byteCount + 2 : bytes.writerIndex - dateStart
        if let rest = bytes.getSlice(at: dateStart, length: restCount) { output.writeImmutableBuffer(rest) }
        output.withUnsafeMutableReadableBytes { date.write(into: $0, at: renderedDateOffset) }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeField(_ name: String, _ value: String) {
        writeString(name)
        writeStaticString(": ")
        writeFieldValue(value)
        writeStaticString("\r\n")
    }

    /// Appends a field value; a control character becomes a space, so that no value can end its line and begin another.
    private mutating func writeFieldValue(_ value: String) {
        if value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            writeBytes(value.utf8.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 })
        } else {
            writeString(value)
        }
    }

    /// Appends a number in hexadecimal, as the size of a chunk is written.
    mutating func writeHexadecimal(_ value: Int) {
        writeString(String(value, radix: 16))
    }

    fileprivate mutating func writeStatusLine(_ status: Int) {
        writeStaticString("HTTP/1.1 ")
        writeDecimal(status)
        writeStaticString(" ")
        writeStaticString(ByteBuffer.reasonPhrase(status))
        writeStaticString("\r\n")
    }

    /// Appends a non-negative integer in decimal, without making a `String`.
    package mutating func writeDecimal(_ value: Int) {
        precondition(value >= 0, "lengths and status codes are never negative")
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var rest = value
            var start = 20
            repeat {
                start -= 1
                digits[start] = UInt8(truncatingIfNeeded: rest % 10) + UInt8(ascii: "0")
                rest /= 10
            } while rest > 0
            writeBytes(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }

    private static func reasonPhrase(_ status: Int) -> StaticString {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        default: ""
        }
    }
}
