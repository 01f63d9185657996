package import NIOCore

/// Every bound the server keeps. Plain values, so that a connection reads them without counting references.
package struct HTTPLimits: Sendable, Equatable {
    /// Open connections; one more is answered 503 and closed.
    package var maximumConnections: Int = 10_000
    /// Connections beyond `maximumConnections` that are being answered 503; one more is closed without an answer.
    package var maximumRefusals: Int = 256
    /// Requests inside handlers at once, over all connections; one more is answered 429.
    package var maximumRequestsInFlight: Int = 8_192
    /// Bytes of one request body.
    package var maximumBodyBytes: Int = 64 * 1024
    /// Bytes of request line and header fields of one request; also bounds what chunked framing and trailers may add, and how
    /// many bytes of later requests are read while one is running. At most 65,535.
    package var maximumHeaderBytes: Int = 16 * 1024
    /// Header fields of one request.
    package var maximumHeaderFields: Int = 128
    /// How long a connection may stay open between two requests.
    package var idleTimeout: TimeAmount = .seconds(75)
    /// How long a request head may take from its first byte (or from the accept) to its last.
    package var headTimeout: TimeAmount = .seconds(10)
    /// How long a request body may take from the end of the head to its last byte.
    package var bodyTimeout: TimeAmount = .seconds(30)
    /// How long a client may leave a full send buffer unread, and the last answer unsent.
    package var writeTimeout: TimeAmount = .seconds(30)
    /// How long a connection that was answered for the last time waits for the client to close.
    package var lingerTimeout: TimeAmount = .seconds(2)
    /// Unsent answer bytes of one connection beyond which it starts no request.
    package var writeHighWaterMark: Int = 64 * 1024
    /// Unsent answer bytes of one connection below which it starts requests again.
    package var writeLowWaterMark: Int = 32 * 1024

    /// The defaults.
    package init() {}
}
