/// A range of bytes of a request head, counted from its first byte. Two bytes for each end: heads are limited to 65,535 bytes.
package struct ByteRange: Sendable, Equatable {
    private let lower: UInt16
    private let upper: UInt16

    init(_ lower: Int, _ upper: Int) {
        (self.lower, self.upper) = (UInt16(truncatingIfNeeded: lower), UInt16(truncatingIfNeeded: upper))
    }

    /// The range that stands for an absent part; no field and no query begins at byte 0.
    static let absent = ByteRange(0, 0)

    var isAbsent: Bool { upper == 0 }
    var range: Range<Int> { Int(lower)..<Int(upper) }
    var isEmpty: Bool { lower == upper }
}

/// How many bytes of body follow a head (RFC 9112 section 6).
enum BodyFraming: Equatable, Sendable {
    /// As many as `Content-Length` says, or none without that field.
    case length(Int)
    /// Until the chunk of length 0 and its trailers.
    case chunked
}

/// The HTTP versions this server speaks (RFC 9112 section 2.3).
enum HTTPVersion: Equatable, Sendable {
    case http10, http11
}

/// One request head, as positions in the bytes it was read from.
///
/// It has 64 bytes, and a request with it 128 at most, because it is handed from one part to the next: the compiler copies that much
/// with a few instructions, and calls `memcpy` for more. So only fields that most requests need are noted; others are searched for.
struct RequestHead: Equatable, Sendable {
    var framing = BodyFraming.length(0)
    var method: HTTPMethod
    var version = HTTPVersion.http11
    /// Whether another request may follow on the connection (RFC 9112 section 9.3).
    var staysOpen = true
    /// Whether the client waits for `100 Continue` before it sends the body.
    var expectsContinue = false
    /// Set where one of the noted fields below was sent twice.
    var hasRepeatedField = false
    var methodName = ByteRange.absent
    /// The request target as sent.
    var target = ByteRange.absent
    /// The path of the target; `*` for `OPTIONS *`, and empty for an absolute form without one.
    var path = ByteRange.absent
    /// What follows the first question mark of the target.
    var query = ByteRange.absent
    /// All field lines with their line ends.
    var lines = ByteRange.absent
    var authorization = ByteRange.absent
    var contentType = ByteRange.absent
    var idempotencyKey = ByteRange.absent
    var ifMatch = ByteRange.absent
    var ifNoneMatch = ByteRange.absent
    var requestID = ByteRange.absent
    private var storedByteCount: UInt32 = 0

    init(method: HTTPMethod = .other) { self.method = method }

    /// Bytes from the first one read to the end of the empty line.
    var byteCount: Int {
        get { Int(storedByteCount) }
        set { storedByteCount = UInt32(clamping: newValue) }
    }
}
