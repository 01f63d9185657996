package import NIOCore
package import TraceContext

/// One complete request: its head and its whole body, as the handler sees it.
///
/// It keeps the bytes that were read from the socket, and makes a `String` of them only where a handler asks for one.
package struct HTTPRequest: Sendable {
    let head: RequestHead
    /// Begins with the head. A body of known length follows it.
    private let bytes: ByteBuffer
    /// The body of a chunked request, and every large body. Boxed to keep the request small, which is passed on often: few requests are chunked.
    private let chunks: Chunks?

    private final class Chunks: Sendable {
        let body: ByteBuffer
        /// Held as long as the body is, where it is a large one.
        let permit: LargeBodyPermit?

        init(_ body: ByteBuffer, permit: LargeBodyPermit? = nil) { (self.body, self.permit) = (body, permit) }
    }

    /// What the requests of its connection have in common.
    private let origin: RequestOrigin
    /// When the last byte of the request was read.
    package let receivedAt: NIODeadline
    /// The number of the request on its connection.
    private let number: UInt32
    /// How many milliseconds its bytes have waited in the socket; -1 where that was not measured, as for most requests.
    package let waited: Int32

    init(
        head: RequestHead, bytes: ByteBuffer, chunks: ByteBuffer?, origin: RequestOrigin, receivedAt: NIODeadline, number: UInt32,
        waited: Int32 = -1
    ) {
        self.head = head
        self.bytes = bytes
        self.chunks = chunks.map { Chunks($0) }
        self.origin = origin
        self.receivedAt = receivedAt
        self.number = number
        self.waited = waited
    }

    /// A request with a large body, or, without one, what the server is asked by whether it may have one.
    init(
        head: RequestHead, bytes: ByteBuffer, largeBody: ByteBuffer?, permit: LargeBodyPermit?, origin: RequestOrigin,
        receivedAt: NIODeadline, number: UInt32
    ) {
        (self.head, self.bytes, self.origin, self.receivedAt, self.number, waited) = (head, bytes, origin, receivedAt, number, -1)
        chunks = Chunks(largeBody ?? ByteBuffer(), permit: permit)
    }

    /// The event loop that owns the connection, and on which the handler runs.
    package var eventLoop: any EventLoop { origin.eventLoop }

    /// The address of the other end of the connection, which may be a proxy; ``IPAddress/unspecified`` for a unix socket.
    package var peer: IPAddress { origin.peer }

    /// The id that the answer carries. Made on each call, and its text where that is asked for.
    package var id: RequestID { RequestID(connection: origin.number, number: number, given: head.givenID(in: bytes)) }

    /// The method of the request line.
    package var method: HTTPMethod { head.method }

    /// The method as sent, including one that no route has.
    package var methodName: String { text(head.methodName) }

    /// The path as sent (percent-encoded), without the query; `*` for `OPTIONS *`.
    package var path: String { head.path.isEmpty ? "/" : text(head.path) }

    /// The query as sent, without the question mark; nil when the target has none.
    package var query: String? { head.query.isAbsent ? nil : text(head.query) }

    /// The whole body; empty when the request has none.
    package var body: ByteBuffer {
        if let chunks { return chunks.body }
        guard case .length(let length) = head.framing, length > 0 else { return ByteBuffer() }
        return bytes.getSlice(at: bytes.readerIndex + head.byteCount, length: length) ?? ByteBuffer()
    }

    /// How many bytes the body has.
    package var bodyByteCount: Int {
        if let chunks { return chunks.body.readableBytes }
        guard case .length(let length) = head.framing else { return 0 }
        return length
    }

    /// Calls `body` with the bytes of the path, valid during the call; a target without a path has the path `/`.
    package func withPath<Value>(_ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        guard !head.path.isEmpty else { return try withUnsafeBytes(of: UInt8(ascii: "/"), body) }
        return try withBytes(head.path, body)
    }

    /// Calls `body` with the bytes of the query, valid during the call; nil when the target has none.
    package func withQuery<Value>(_ body: (UnsafeRawBufferPointer?) throws -> Value) rethrows -> Value {
        guard !head.query.isAbsent else { return try body(nil) }
        return try withBytes(head.query) { try body($0) }
    }
}

/// What the requests of one connection have in common. A class, so that a request passes on one reference.
final class RequestOrigin: Sendable {
    /// The number from which the ids of the requests are made.
    let number: UInt64
    let eventLoop: any EventLoop
    let peer: IPAddress

    init(number: UInt64, eventLoop: any EventLoop, peer: IPAddress) {
        (self.number, self.eventLoop, self.peer) = (number, eventLoop, peer)
    }
}

// MARK: - Fields

extension HTTPRequest {
    /// Calls `body` with the value of `Origin`, valid during the call; nil where the field is absent or sent several times.
    func withOrigin<Value>(_ body: (UnsafeRawBufferPointer?) -> Value) -> Value {
        withBytes(head.lines) { body(FieldLines($0).onlyValue(of: "origin")) }
    }

    /// The fields whose positions the parser has noted, so that reading one needs no search.
    package enum Field: Sendable {
        case authorization, contentType, idempotencyKey, ifMatch, ifNoneMatch

        fileprivate var name: String {
            switch self {
            case .authorization: "authorization"
            case .contentType: "content-type"
            case .idempotencyKey: "idempotency-key"
            case .ifMatch: "if-match"
            case .ifNoneMatch: "if-none-match"
            }
        }
    }

    /// What `Authorization` says.
    package enum Credentials {
        case missing
        /// The one value, without white space at its ends; valid during the call.
        case one(UnsafeRawBufferPointer)
        /// The field was sent more than once, and no rule says which counts.
        case several
    }

    /// Calls `body` with the value of `Authorization`. Not generic, because other modules would call it unspecialized.
    package func withCredentials(_ body: (Credentials) -> Void) {
        guard !head.authorization.isAbsent else { return body(.missing) }
        if head.hasRepeatedField, values(of: "authorization").count > 1 { return body(.several) }
        withBytes(head.authorization) { body(.one($0)) }
    }

    /// The value of a field, nil when absent. Several fields of one name are joined with commas (RFC 9110 section 5.3).
    package func value(of field: Field) -> String? {
        let range =
            switch field {
            case .authorization: head.authorization
            case .contentType: head.contentType
            case .idempotencyKey: head.idempotencyKey
            case .ifMatch: head.ifMatch
            case .ifNoneMatch: head.ifNoneMatch
            }
        guard !range.isAbsent else { return nil }
        return head.hasRepeatedField ? values(of: field.name).joined(separator: ", ") : text(range)
    }

    /// The trace that the request belongs to. Nil where `traceparent` is absent, invalid or sent several times.
    package var traceParent: TraceParent? {
        withBytes(head.lines) { FieldLines($0).onlyValue(of: "traceparent").flatMap { TraceParent($0) } }
    }

    /// Whether `Content-Type` was sent once and is exactly this text.
    package func hasContentType(_ text: StaticString) -> Bool {
        guard !head.contentType.isAbsent, !head.hasRepeatedField else { return false }
        return withBytes(head.contentType) { $0.equals(text) }
    }

    /// The values of all fields with this lowercase name, in the order sent.
    package func values(of name: String) -> [String] { head.values(of: name, in: bytes) }

    /// Every field in the order sent, its value without white space at the ends. Built on each call.
    package var allFields: [(name: String, value: String)] { head.allFields(in: bytes) }

    /// Calls `body` with the value of each field of this lowercase name, in the order sent and without white space at the ends. Makes no
    /// `String`; the bytes are valid during a call.
    package func withValues(of name: StaticString, _ body: (UnsafeRawBufferPointer) -> Void) {
        withBytes(head.lines) { FieldLines($0).forEachValue(of: name, body) }
    }

    private func text(_ range: ByteRange) -> String {
        withBytes(range) { String(decoding: $0, as: UTF8.self) }
    }

    @inline(__always)
    private func withBytes<Value>(_ range: ByteRange, _ body: (UnsafeRawBufferPointer) throws -> Value) rethrows -> Value {
        try bytes.withUnsafeReadableBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range.range])) }
    }
}

extension RequestHead {
    /// The client's own id for the request; nil where it is absent, invalid or sent several times. `bytes` begin with the head.
    @inline(__always)
    func givenID(in bytes: ByteBuffer) -> GivenRequestID? {
        requestID.isAbsent ? nil : presentID(in: bytes)
    }

    private func presentID(in bytes: ByteBuffer) -> GivenRequestID? {
        if hasRepeatedField, values(of: "x-request-id", in: bytes).count > 1 { return nil }
        return bytes.withUnsafeReadableBytes { GivenRequestID(UnsafeRawBufferPointer(rebasing: $0[requestID.range])) }
    }

    fileprivate func values(of name: String, in bytes: ByteBuffer) -> [String] {
        allFields(in: bytes).filter { $0.name.lowercased() == name }.map(\.value)
    }

    fileprivate func allFields(in bytes: ByteBuffer) -> [(name: String, value: String)] {
        bytes.withUnsafeReadableBytes { bytes in
            let lines = UnsafeRawBufferPointer(rebasing: bytes[lines.range])
            var fields: [(name: String, value: String)] = []
            var start = 0
            while let colon = lines[start...].firstIndex(of: UInt8(ascii: ":")) {
                let end = lines[colon...].firstIndex(of: RequestHeadParser.cr) ?? lines.endIndex
                let value = UnsafeRawBufferPointer(rebasing: lines[(colon + 1)..<end]).trimmed
                fields.append((String(decoding: lines[start..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self)))
                start = min(end + 2, lines.endIndex)
            }
            return fields
        }
    }
}

// MARK: - Requests made by hand

extension HTTPRequest {
    /// Makes a request from its parts, for handlers that are called without a connection. Nil where the parts make no valid head.
    package init?(
        method: String, target: String, fields: [(name: String, value: String)] = [], body: ByteBuffer = ByteBuffer(),
        eventLoop: any EventLoop, receivedAt: NIODeadline = .now(), peer: IPAddress = .unspecified, waited: Int32 = -1
    ) {
        var text = "\(method) \(target) HTTP/1.1\r\nhost: localhost\r\n"
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        text += "content-length: \(body.readableBytes)\r\n\r\n"
        var bytes = ByteBuffer(string: text)
        let result = bytes.withUnsafeReadableBytes { RequestHeadParser.parse($0, limits: HTTPLimits()) }
        guard case .complete(let head) = result else { return nil }
        bytes.writeImmutableBuffer(body)
        self.init(
            head: head, bytes: bytes, chunks: nil, origin: RequestOrigin(number: 0, eventLoop: eventLoop, peer: peer),
            receivedAt: receivedAt, number: 0, waited: waited)
    }
}
