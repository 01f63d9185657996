import HTTPServer

/// The problems that need no business rule: routing, authentication, the form of a request.
extension Problem {
    static func invalid(_ faults: [FieldFault]) -> Problem {
        Problem(code: .invalidRequest, detail: "Some fields are not as they must be.", faults: faults)
    }

    static func invalid(_ detail: String) -> Problem {
        Problem(code: .invalidRequest, detail: detail)
    }

    static let notFound = Problem(code: .notFound, detail: "No route has this path.")

    static func methodNotAllowed(_ allowed: [HTTPMethod]) -> Problem {
        Problem(
            code: .methodNotAllowed, detail: "The path exists, but not with this method.",
            headers: [Header(name: "allow", value: allowed.map(\.rawValue).joined(separator: ", "))])
    }

    static let unsupportedMediaType = Problem(
        code: .unsupportedMediaType, detail: "The body's Content-Type must be application/json in UTF-8.",
        headers: [Header(name: "accept", value: "application/json")])

    static let userOnly = Problem(code: .forbidden, detail: "Only a user may do this, for themselves.")
    static let adminOnly = Problem(code: .forbidden, detail: "Only an admin may do this.")

    /// The 401 of a request without a valid token, with the challenge of RFC 6750 section 3.
    init(_ fault: Authentication.Fault) {
        switch fault {
        case .missing:
            self.init(
                code: .unauthenticated, detail: "This needs a bearer token.",
                headers: [Header(name: "www-authenticate", value: "Bearer realm=\"firstcome\"")])
        case .invalid: self.init(invalidToken: "The token is not valid")
        case .expired: self.init(invalidToken: "The token has expired")
        case .premature: self.init(invalidToken: "The token is not valid yet")
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

    /// The answers the HTTP server gives without asking a route.
    init(_ refusal: HTTPRefusal) {
        switch refusal {
        case .badRequest(let reason): self = .invalid(reason)
        case .payloadTooLarge: self.init(code: .payloadTooLarge, detail: "The body is longer than this service accepts.")
        case .headersTooLarge:
            self.init(code: .headersTooLarge, detail: "Request line and header fields are longer than this service accepts.")
        case .requestTimeout: self.init(code: .requestTimeout, detail: "The request did not arrive in time.")
        case .expectationFailed: self.init(code: .expectationFailed, detail: "Only 100-continue can be expected.")
        case .tooManyRequests:
            self.init(
                code: .tooManyRequests, detail: "As many requests as this service takes at once are running.",
                headers: [.retryAfter(seconds: 1)])
        case .tooManyConnections:
            self.init(
                code: .temporarilyUnavailable, detail: "As many connections as this service takes are open.",
                headers: [.retryAfter(seconds: 1)])
        case .draining:
            self.init(code: .temporarilyUnavailable, detail: "The service is shutting down.", headers: [.retryAfter(seconds: 1)])
        case .handlerFailed: self = .internalError
        case .connectNotSupported: self.init(code: .notImplemented, detail: "This service is no proxy.")
        }
    }
}
