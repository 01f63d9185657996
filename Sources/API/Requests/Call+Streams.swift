import HTTPServer

extension Call {
    /// Answers with a stream of the route's kind; 503 where too many of them run. It is cut where it lasts longer than its kind may.
    ///
    /// - Parameters:
    ///   - headers: the fields besides `Cache-Control: no-store`.
    ///   - contentType: the value of `Content-Type`.
    ///   - endsOnDrain: whether a service that stops ends the body in order at once, see ``HTTPStream``.
    ///   - body: makes the body.
    func stream(
        headers: [(name: String, value: String)] = [], contentType: String, endsOnDrain: Bool = false, _ body: @escaping HTTPStream.Body
    ) -> HTTPAnswer {
        guard let kind = endpoint.stream else { preconditionFailure("\(endpoint.template) is not a route that streams") }
        guard let place = loop.streams.place(for: kind) else { return .now(loop.prepared.tooManyStreams) }
        return .stream(
            HTTPStream(headers: [("cache-control", "no-store")] + headers, contentType: contentType, endsOnDrain: endsOnDrain) { writer in
                defer { withExtendedLifetime(place) {} }
                try await StreamTookTooLong.cut(after: kind.longest) { try await body(writer) }
            })
    }
}
