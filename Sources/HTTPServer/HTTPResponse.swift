package import NIOCore

/// One answer, sent as a single buffer; the server adds `Date`, `Content-Length` and `Connection`.
package struct HTTPResponse: Sendable {
    /// The status code, 200 to 599.
    package var status: Int
    /// Header fields besides those the server adds; control characters in values are sent as spaces.
    package var headers: [(name: String, value: String)]
    /// The value of `Content-Type`, nil for none.
    package var contentType: String?
    /// The body; not sent for HEAD, 204 and 304.
    package var body: ByteBuffer
    /// Status line and header fields as bytes, present after ``prerendered()``.
    private(set) var renderedHead: ByteBuffer?

    /// Makes an answer.
    package init(
        status: Int,
        headers: [(name: String, value: String)] = [],
        contentType: String? = nil,
        body: ByteBuffer = ByteBuffer()
    ) {
        self.status = status
        self.headers = headers
        self.contentType = contentType
        self.body = body
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

    /// The same answer with its head rendered once, for answers sent many times; change no property afterwards.
    package func prerendered() -> HTTPResponse {
        var copy = self
        var head = ByteBuffer()
        head.reserveCapacity(256)
        writeHead(into: &head)
        copy.renderedHead = head
        return copy
    }
}
