package import NIOCore
package import NIOHTTP1

/// One complete request: its head and its whole body, as the handler sees it.
///
/// A class: a request passes through many hands, and each of them takes one reference instead of a dozen. What is no constant belongs
/// to the connection until the request is complete and handed on, and is constant from then on.
package final class HTTPRequest: Sendable {
    /// The method of the request line.
    package let method: HTTPMethod
    /// The path as sent (percent-encoded), without the query; `*` for `OPTIONS *`.
    package let path: String
    /// The query as sent, without the question mark; nil when the target has none.
    package let query: String?
    /// Every header field, in the order sent.
    package let headers: HTTPHeaders
    /// The value of `Authorization`, nil when absent.
    package let authorization: String?
    /// The value of `Content-Type`, nil when absent.
    package let contentType: String?
    /// The value of `Idempotency-Key`, nil when absent. Several such fields are joined with a comma, as HTTP defines.
    package let idempotencyKey: String?
    /// The whole body; empty when the request has none.
    package internal(set) nonisolated(unsafe) var body: ByteBuffer
    /// The event loop that owns the connection, and on which the handler runs.
    package let eventLoop: any EventLoop
    /// When the last byte of the request was read.
    package internal(set) nonisolated(unsafe) var receivedAt: NIODeadline

    /// Makes a request by hand, for handlers that are called without a connection.
    package convenience init(
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
