package import NIOCore

/// An answer whose body is sent while it is made, such as a long export or server-sent events.
///
/// HTTP/1.1 gets it in chunks, HTTP/1.0 until the connection ends. The answer to HEAD is its head alone, and its body does not run.
package struct HTTPStream: Sendable {
    /// Makes the body. It runs in a task on the connection's loop, which it must not block. The task is cancelled when the client hangs up,
    /// also where it shuts down its sending side alone. Where it throws, the connection is cut, so that the client sees that the answer is
    /// not complete.
    package typealias Body = @Sendable (HTTPBodyWriter) async throws -> Void

    /// Status and fields of the answer.
    package let head: HTTPResponse
    /// Whether the body is ended in order as soon as the server drains. Others may go on until the drain's deadline, and then are cut.
    package let endsOnDrain: Bool
    /// Makes the body.
    package let body: Body

    /// Makes a stream.
    ///
    /// - Parameters:
    ///   - status: the status code, which must be one with a body.
    ///   - headers: the fields besides those that the server adds.
    ///   - contentType: the value of `Content-Type`.
    ///   - endsOnDrain: see ``endsOnDrain``.
    ///   - body: see ``Body``.
    package init(
        status: Int = 200, headers: [(name: String, value: String)] = [], contentType: String, endsOnDrain: Bool = false,
        body: @escaping Body
    ) {
        self.init(
            head: HTTPResponse(streamStatus: status, headers: headers, contentType: contentType), endsOnDrain: endsOnDrain, body: body)
    }

    private init(head: HTTPResponse, endsOnDrain: Bool, body: @escaping Body) {
        (self.head, self.endsOnDrain, self.body) = (head, endsOnDrain, body)
    }

    /// The same stream with another head, or with a body around its own.
    package func with(head: HTTPResponse? = nil, body: Body? = nil) -> HTTPStream {
        HTTPStream(head: head ?? self.head, endsOnDrain: endsOnDrain, body: body ?? self.body)
    }

    /// The most bytes of a body that is collected instead of sent.
    package static let largestCollected = 64 << 20

    /// The whole answer, for callers that have no connection. Throws where the body does, or is too large.
    func collected() async throws -> HTTPResponse {
        let collector = BodyCollector()
        try await body(HTTPBodyWriter(collector))
        return head.with(body: collector.bytes)
    }
}

/// Takes the body of a stream, and passes it on to the client.
package struct HTTPBodyWriter: Sendable {
    private let target: any BodyTarget

    init(_ target: any BodyTarget) { self.target = target }

    /// Sends bytes of the body. It suspends while the client has not taken what was sent before, so that a body that awaits each write
    /// keeps at most the high-water mark and one piece of 64 KiB in the server.
    ///
    /// What one call sends leaves in pieces of at most 64 KiB. Several tasks may write at once: their pieces take turns, and none is split.
    ///
    /// - Throws: ``HTTPStreamIsOver`` once the client is gone, the server has ended the stream, or its body has returned;
    ///   `CancellationError` where the task is cancelled.
    package func write(_ bytes: ByteBuffer) async throws {
        var rest = bytes
        while let piece = rest.readSlice(length: min(rest.readableBytes, Self.largestPiece)), piece.readableBytes > 0 {
            try await target.write(piece)
        }
    }

    private static let largestPiece = 64 * 1024
}

/// Nobody takes the rest of a stream.
package struct HTTPStreamIsOver: Error {}

/// Where the pieces of a stream go.
protocol BodyTarget: AnyObject, Sendable {
    /// Takes a piece, which is not empty, and returns when it may be followed by another.
    func write(_ piece: ByteBuffer) async throws
}
