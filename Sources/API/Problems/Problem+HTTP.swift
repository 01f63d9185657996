import HTTPServer

/// The problems of routing, authentication and malformed requests, which involve no business rule.
extension Problem {
    static func invalid(_ faults: [FieldFault]) -> Problem {
        Problem(code: .invalidRequest, detail: "Some fields are missing or invalid.", faults: faults)
    }

    static func invalid(_ detail: String) -> Problem {
        Problem(code: .invalidRequest, detail: detail)
    }

    static let notFound = Problem(code: .notFound, detail: "No route has this path.")

    static func methodNotAllowed(_ allowed: [HTTPMethod]) -> Problem {
        Problem(
            code: .methodNotAllowed, detail: "This path does not support the method.",
            headers: [Header(name: "allow", value: allowed.map(\.rawValue).joined(separator: ", "))])
    }

    static let unsupportedMediaType = Problem(
        code: .unsupportedMediaType, detail: "The body's Content-Type must be application/json in UTF-8.",
        headers: [Header(name: "accept", value: "application/json")])

    static let userOnly = Problem(code: .forbidden, detail: "A user's token is required; an admin's is not accepted.")
    static let adminOnly = Problem(code: .forbidden, detail: "An admin's token is required.")

    /// The 401 of a request without a valid token, with the challenge of RFC 6750 section 3; 429 where the token could not be checked.
    init(_ fault: Authentication.Fault) {
        switch fault {
        case .missing:
            self.init(
                code: .unauthenticated, detail: "A bearer token is required.",
                headers: [Header(name: "www-authenticate", value: "Bearer realm=\"firstcome\"")])
        case .malformed, .algorithm, .unknownKey, .signature, .claims, .issuer, .audience:
            // Which of them it was would help a forger; the metrics tell the operator.
            self.init(invalidToken: "The token is not valid")
        case .expired: self.init(invalidToken: "The token has expired")
        case .premature: self.init(invalidToken: "The token is not valid yet")
        case .busy:
            self.init(
                code: .tooManyRequests, detail: "Too many new tokens wait to be checked. Try again later.",
                headers: [.retryAfter(seconds: 1)])
        }
    }

    private init(invalidToken reason: String) {
        self.init(
            code: .unauthenticated, detail: reason + ".",
            headers: [
                Header(
                    name: "www-authenticate",
                    value: "Bearer realm=\"firstcome\", error=\"invalid_token\", error_description=\"\(reason)\"")
            ])
    }

    /// The problem of an answer that the HTTP server gives by itself.
    init(_ refusal: HTTPRefusal) {
        switch refusal {
        case .badRequest(let reason): self = .invalid(reason)
        case .payloadTooLarge: self.init(code: .payloadTooLarge, detail: "The body is larger than 64 KiB.")
        case .largeBodyTooLarge: self.init(code: .payloadTooLarge, detail: "The body is larger than 16 MiB.")
        case .largeBodiesExhausted:
            self.init(
                code: .temporarilyUnavailable, detail: "Too many long lists are being received.", headers: [.retryAfter(seconds: 5)])
        case .headersTooLarge:
            self.init(code: .headersTooLarge, detail: "The request line and header fields exceed 16 KiB or 128 fields.")
        case .requestTimeout: self.init(code: .requestTimeout, detail: "The request was not received completely in time.")
        case .expectationFailed: self.init(code: .expectationFailed, detail: "The only expectation supported is 100-continue.")
        case .tooManyRequests:
            self.init(
                code: .tooManyRequests, detail: "The concurrent-request limit is reached.",
                headers: [.retryAfter(seconds: 1)])
        case .tooManyConnections:
            self.init(
                code: .temporarilyUnavailable, detail: "The connection limit is reached.",
                headers: [.retryAfter(seconds: 1)])
        case .draining:
            self.init(code: .temporarilyUnavailable, detail: "The service is shutting down.", headers: [.retryAfter(seconds: 1)])
        case .handlerFailed: self = .internalError
        case .connectNotSupported: self.init(code: .notImplemented, detail: "CONNECT is not supported.")
        }
    }
}
