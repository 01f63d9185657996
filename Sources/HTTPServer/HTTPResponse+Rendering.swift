import NIOCore

/// What the server says about the connection in an answer.
enum ConnectionHeader {
    /// Nothing: the default of the client's HTTP version holds.
    case none
    /// `connection: close`.
    case close
    /// `connection: keep-alive`, for an HTTP/1.0 client that asked for it.
    case keepAlive
}

extension HTTPResponse {
    /// Whether this status never has a body (RFC 9110 section 6.4.1).
    private var forbidsBody: Bool { status == 204 || status == 304 }

    /// Appends the whole answer: status line, header fields, and the body unless the request was HEAD.
    func render(into buffer: inout ByteBuffer, date: ByteBuffer, connection: ConnectionHeader, isHead: Bool) {
        if let renderedHead {
            buffer.writeImmutableBuffer(renderedHead)
        } else {
            writeHead(into: &buffer)
        }
        switch connection {
        case .none: break
        case .close: buffer.writeStaticString("connection: close\r\n")
        case .keepAlive: buffer.writeStaticString("connection: keep-alive\r\n")
        }
        buffer.writeImmutableBuffer(date)
        if !isHead, !forbidsBody { buffer.writeImmutableBuffer(body) }
    }

    /// Appends status line and header fields, without `Date`, `Connection` and the empty line.
    func writeHead(into buffer: inout ByteBuffer) {
        writeStatusLine(into: &buffer)
        if let contentType {
            buffer.writeStaticString("content-type: ")
            buffer.writeFieldValue(contentType)
            buffer.writeStaticString("\r\n")
        }
        for header in headers {
            buffer.writeString(header.name)
            buffer.writeStaticString(": ")
            buffer.writeFieldValue(header.value)
            buffer.writeStaticString("\r\n")
        }
        guard !forbidsBody else { return }
        buffer.writeStaticString("content-length: ")
        buffer.writeDecimal(body.readableBytes)
        buffer.writeStaticString("\r\n")
    }

    private func writeStatusLine(into buffer: inout ByteBuffer) {
        switch status {
        case 200: buffer.writeStaticString("HTTP/1.1 200 OK\r\n")
        case 201: buffer.writeStaticString("HTTP/1.1 201 Created\r\n")
        case 409: buffer.writeStaticString("HTTP/1.1 409 Conflict\r\n")
        default:
            buffer.writeStaticString("HTTP/1.1 ")
            buffer.writeDecimal(status)
            buffer.writeStaticString(" ")
            buffer.writeStaticString(HTTPResponse.reasonPhrase(status))
            buffer.writeStaticString("\r\n")
        }
    }

    private static func reasonPhrase(_ status: Int) -> StaticString {
        switch status {
        case 202: "Accepted"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
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

extension ByteBuffer {
    /// Appends a non-negative integer in decimal, without a String in between.
    mutating func writeDecimal(_ value: Int) {
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

    /// Appends a field value; a control character becomes a space, so that no value can end its line and begin another.
    mutating func writeFieldValue(_ value: String) {
        if value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            writeBytes(value.utf8.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 })
        } else {
            writeString(value)
        }
    }
}
