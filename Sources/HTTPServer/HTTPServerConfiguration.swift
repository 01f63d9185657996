import EventLoopTasks
package import NIOCore

/// Where the server listens, and every bound it keeps.
package struct HTTPServerConfiguration: Sendable {
    /// Where the server listens.
    package enum Address: Sendable, Equatable {
        /// A TCP host and port; port 0 lets the system choose.
        case tcp(host: String, port: Int)
        /// A unix socket at this path; a stale socket file there is replaced.
        case unixSocket(path: String)
    }

    /// Where the server listens.
    package var address: Address
    /// Connections waiting to be accepted by the process.
    package var backlog: Int = 1024
    /// Open connections; one more is answered 503 and closed.
    package var maximumConnections: Int = 10_000
    /// Connections beyond `maximumConnections` that are being answered 503; one more is closed without an answer.
    package var maximumRefusals: Int = 256
    /// Requests inside handlers at once, over all connections; one more is answered 429.
    package var maximumRequestsInFlight: Int = 4_096
    /// Requests of one connection inside handlers at once; beyond it the connection is not read.
    package var maximumPipelinedRequests: Int = 16
    /// Bytes of one request body.
    package var maximumBodyBytes: Int = 64 * 1024
    /// Bytes of request line and header fields of one request; also bounds what chunked framing and trailers may add.
    package var maximumHeaderBytes: Int = 16 * 1024
    /// Header fields of one request.
    package var maximumHeaderFields: Int = 128
    /// How long a connection may stay open between two requests.
    package var idleTimeout: TimeAmount = .seconds(75)
    /// How long a request head may take from its first byte (or from the accept) to its last.
    package var headTimeout: TimeAmount = .seconds(10)
    /// How long a request body may take from the end of the head to its last byte.
    package var bodyTimeout: TimeAmount = .seconds(30)
    /// How long a client may leave a full send buffer unread.
    package var writeTimeout: TimeAmount = .seconds(30)
    /// How long a connection that was answered for the last time waits for the client to close.
    package var lingerTimeout: TimeAmount = .seconds(2)
    /// Unsent answer bytes of one connection beyond which it is not read and starts no request.
    package var writeHighWaterMark: Int = 64 * 1024
    /// Unsent answer bytes of one connection below which it goes on.
    package var writeLowWaterMark: Int = 32 * 1024
    /// The task executor handlers prefer on a loop; replace it to share one with other clients of the loop.
    package var executor: @Sendable (any EventLoop) -> any TaskExecutor = { EventLoopExecutor(eventLoop: $0) }

    /// Listens on a TCP host and port; port 0 lets the system choose.
    package init(host: String = "127.0.0.1", port: Int = 0) {
        self.address = .tcp(host: host, port: port)
    }

    /// Listens on a unix socket at this path.
    package init(unixSocketPath: String) {
        self.address = .unixSocket(path: unixSocketPath)
    }
}
