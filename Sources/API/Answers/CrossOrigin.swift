package import HTTPServer

extension CrossOriginPolicy {
    /// The fields of the service's answers that a page needs and could not read otherwise. The limits of rates are told by fields of an
    /// Internet draft, which renamed them.
    private static let fieldsForPages = [
        "ETag", "Location", "Retry-After", "Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining",
        "RateLimit-Reset", "X-Request-Id", "WWW-Authenticate",
    ]

    /// The policy of a service whose web pages have these origins; `*` alone means every origin.
    package init(ofServiceFor origins: [String]) throws(InvalidOrigin) {
        try self.init(origins: origins, exposing: Self.fieldsForPages)
    }
}

extension HTTPResponse {
    private static let fieldsOfRequests = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id, traceparent"
    /// Browsers keep the answer for two hours at most (Chromium), so more would promise nothing.
    private static let preflightSeconds = 7_200

    /// Tells a browser what a page of an allowed origin may send to a path. The server adds which origin that is.
    static func preflight(_ methods: [HTTPMethod]) -> HTTPResponse {
        HTTPResponse(
            status: 204,
            headers: [
                ("access-control-allow-methods", methods.map(\.rawValue).joined(separator: ", ")),
                ("access-control-allow-headers", fieldsOfRequests), ("access-control-max-age", String(preflightSeconds)),
            ])
    }
}
