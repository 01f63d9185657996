import NIOCore
import NIOHTTP1

/// What a head must satisfy beyond what the decoder has checked, so that no proxy can understand it otherwise than we do.
struct RequestHeadCheck {
    let target: RequestTarget
    let awaitsContinue: Bool

    init(_ head: HTTPRequestHead, _ fields: RequestFields, limits: ConnectionLimits) throws(RequestRefused) {
        // Method, target, version, two spaces and the line end; the decoder's own limit leaves out separators.
        let requestLine = head.method.rawValue.utf8.count + head.uri.utf8.count + 12
        guard requestLine + fields.byteCount + 2 <= limits.maximumHeaderBytes else {
            throw RequestRefused(.headersTooLarge)
        }
        guard head.version == .http1_1 || head.version == .http1_0 else { throw .bad("The HTTP version is not supported.") }
        guard fields.hostCount <= 1 else { throw .bad("The Host header is repeated.") }
        guard fields.hostCount == 1 || head.version == .http1_0 else { throw .bad("The Host header is missing.") }
        guard head.method != .CONNECT else { throw RequestRefused(.connectNotSupported) }
        try RequestHeadCheck.checkFraming(fields, version: head.version)
        guard let target = RequestTarget(head.uri, method: head.method) else { throw .bad("The request target is malformed.") }
        self.target = target
        awaitsContinue = try RequestHeadCheck.checkExpectation(fields, version: head.version)
        if let length = fields.contentLength {
            // Digits only were let through by the decoder; what does not fit an Int is too large in any case.
            guard let count = Int(length), count <= limits.maximumBodyBytes else { throw RequestRefused(.payloadTooLarge) }
        }
    }

    private static func checkFraming(_ fields: RequestFields, version: HTTPVersion) throws(RequestRefused) {
        guard fields.contentLengthCount <= 1 else { throw .bad("The Content-Length header is repeated.") }
        guard fields.transferEncodingCount > 0 else { return }
        guard fields.contentLengthCount == 0 else { throw .bad("Content-Length and Transfer-Encoding exclude each other.") }
        guard version == .http1_1 else { throw .bad("HTTP/1.0 has no Transfer-Encoding.") }
        guard fields.transferEncodingCount == 1, fields.transferEncoding?.matches("chunked") == true else {
            throw .bad("The only supported Transfer-Encoding is chunked.")
        }
    }

    private static func checkExpectation(_ fields: RequestFields, version: HTTPVersion) throws(RequestRefused) -> Bool {
        // HTTP/1.0 has no expectations; a server ignores them there (RFC 9110 section 10.1.1).
        guard let expect = fields.expect, version == .http1_1 else { return false }
        guard expect.matches("100-continue") else { throw RequestRefused(.expectationFailed) }
        let hasBody = fields.transferEncodingCount > 0 || (fields.contentLength.map { $0 != "0" } ?? false)
        return hasBody
    }
}

/// Thrown where a request is to be answered by the server itself.
struct RequestRefused: Error {
    let refusal: HTTPRefusal

    init(_ refusal: HTTPRefusal) {
        self.refusal = refusal
    }

    static func bad(_ reason: String) -> RequestRefused {
        RequestRefused(.badRequest(reason: reason))
    }
}

extension HTTPRefusal {
    /// The refusal for an error of the decoder.
    init(decodingError error: any Error) {
        guard let error = error as? HTTPParserError else {
            self = .badRequest(reason: "The request is malformed.")
            return
        }
        switch error {
        case .headerOverflow: self = .headersTooLarge
        case .invalidVersion: self = .badRequest(reason: "The HTTP version is not supported.")
        case .invalidMethod: self = .badRequest(reason: "The method is malformed.")
        case .invalidURL, .invalidHost, .invalidPort, .invalidPath, .invalidQueryString, .invalidFragment:
            self = .badRequest(reason: "The request target is malformed.")
        case .invalidHeaderToken: self = .badRequest(reason: "A header field is malformed.")
        case .invalidContentLength, .unexpectedContentLength:
            self = .badRequest(reason: "The Content-Length header is invalid.")
        case .invalidChunkSize: self = .badRequest(reason: "The chunked body is malformed.")
        case .invalidEOFState: self = .badRequest(reason: "The request ends too early.")
        default: self = .badRequest(reason: "The request is malformed.")
        }
    }
}
