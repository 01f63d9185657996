package import NIOCore
package import NIOHTTP1

/// One complete request: its head and its whole body, as the handler sees it.
package struct HTTPRequest: Sendable {
    /// The method of the request line.
    package var method: HTTPMethod
    /// The path as sent (percent-encoded), without the query; `*` for `OPTIONS *`.
    package var path: String
    /// The query as sent, without the question mark; nil when the target has none.
    package var query: String?
    /// Every header field, in the order sent.
    package var headers: HTTPHeaders
    /// The value of `Authorization`, nil when absent.
    package var authorization: String?
    /// The value of `Content-Type`, nil when absent.
    package var contentType: String?
    /// The value of `Idempotency-Key`, nil when absent. Several such fields are joined with a comma, as HTTP defines.
    package var idempotencyKey: String?
    /// The whole body; empty when the request has none.
    package var body: ByteBuffer
    /// The event loop that owns the connection, and on which the handler runs.
    package var eventLoop: any EventLoop
    /// When the last byte of the request was read.
    package var receivedAt: NIODeadline

    /// Makes a request by hand, for handlers that are called without a connection.
    package init(
        method: HTTPMethod,
        path: String,
        query: String? = nil,
        headers: HTTPHeaders = [:],
        body: ByteBuffer = ByteBuffer(),
        eventLoop: any EventLoop,
        receivedAt: NIODeadline = .now()
    ) {
        self.init(
            method: method, path: path, query: query, headers: headers, fields: RequestFields(headers),
            body: body, eventLoop: eventLoop, receivedAt: receivedAt
        )
    }

    init(
        method: HTTPMethod, path: String, query: String?, headers: HTTPHeaders, fields: RequestFields,
        body: ByteBuffer, eventLoop: any EventLoop, receivedAt: NIODeadline
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.authorization = fields.authorization
        self.contentType = fields.contentType
        self.idempotencyKey = fields.idempotencyKey
        self.body = body
        self.eventLoop = eventLoop
        self.receivedAt = receivedAt
    }

    /// The query's pairs in the order sent, percent-decoded, `+` read as a space; nil when an escape or its UTF-8 is malformed.
    package func queryItems() -> [(name: String, value: String)]? {
        guard let query else { return [] }
        var items: [(name: String, value: String)] = []
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            let separator = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let value = separator < pair.endIndex ? pair[pair.index(after: separator)...] : pair[pair.endIndex...]
            guard let decodedName = PercentEncoding.decode(Substring(pair[..<separator]), plusIsSpace: true),
                let decodedValue = PercentEncoding.decode(Substring(value), plusIsSpace: true)
            else { return nil }
            items.append((decodedName, decodedValue))
        }
        return items
    }
}
