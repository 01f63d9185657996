/// Why the server answers a request itself instead of the handler.
package enum HTTPRefusal: Error, Sendable, Equatable {
    /// 400: the bytes are no acceptable HTTP/1 request; `reason` is a safe English sentence.
    case badRequest(reason: String)
    /// 413: the body is longer than the configured limit.
    case payloadTooLarge
    /// 413: the body is longer than any that the route takes.
    case largeBodyTooLarge
    /// 503: the memory for large bodies is in use.
    case largeBodiesExhausted
    /// 431: request line and header fields are longer than the configured limit.
    case headersTooLarge
    /// 408: the head or the body did not arrive in time.
    case requestTimeout
    /// 417: an `Expect` other than `100-continue`.
    case expectationFailed
    /// 429: the limit of concurrent requests is reached.
    case tooManyRequests
    /// 503: the limit of open connections is reached.
    case tooManyConnections
    /// 503: the server is shutting down.
    case draining
    /// 501: CONNECT, which only a proxy serves.
    case connectNotSupported
    /// 500: the handler failed without an answer.
    case handlerFailed

    /// The status code this refusal is answered with.
    package var status: Int {
        switch self {
        case .badRequest: 400
        case .requestTimeout: 408
        case .payloadTooLarge, .largeBodyTooLarge: 413
        case .expectationFailed: 417
        case .tooManyRequests: 429
        case .headersTooLarge: 431
        case .handlerFailed: 500
        case .connectNotSupported: 501
        case .tooManyConnections, .draining, .largeBodiesExhausted: 503
        }
    }
}
