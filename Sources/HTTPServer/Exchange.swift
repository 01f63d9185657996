import NIOCore
import NIOHTTP1

/// A request and its answer, in the queue that keeps a connection's answers in the order of its requests.
struct Exchange {
    // Indirect, so that the usual exchange, which is only ever running, is small to queue.
    indirect enum State {
        /// Complete, not yet given to the handler.
        case waiting(HTTPRequest)
        /// Inside the handler.
        case running
        /// Answered, but an earlier request of the connection is not.
        case answered(HTTPResponse)
    }

    var state: State
    /// Whether the answer goes without its body.
    var isHead: Bool
    /// What the answer says about the connection.
    var connection: ConnectionHeader
    /// Whether the method is safe, so that it may run beside other safe requests of the connection (RFC 9112 section 9.3.2).
    var isSafe: Bool
}

/// A request whose head is complete and whose body is still arriving.
struct PartialRequest {
    let request: HTTPRequest
    let connection: ConnectionHeader
    /// Whether the client waits for `100 Continue` before it sends the body.
    var awaitsContinue: Bool
}
