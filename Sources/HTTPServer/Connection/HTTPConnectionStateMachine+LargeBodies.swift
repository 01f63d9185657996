import NIOCore

/// Requests with bodies beyond the ordinary limit, which the server was asked about. No other request passes here.
extension HTTPConnectionStateMachine {
    /// Asks about a request whose declared body is too long for an ordinary one. Its head stays in `inbox`.
    mutating func askLargeBody(_ head: RequestHead) -> Action {
        guard case .length(let length) = head.framing, let bytes = inbox else {
            preconditionFailure("the head, which has a length, was read from these bytes")
        }
        phase = .body(
            PartialRequest(
                head: head, continueIsDue: head.expectsContinue && bytes.readableBytes == head.byteCount,
                large: LargeBody(maximumBytes: length)))
        return .askLargeBody(head, bytes: bytes, length: length)
    }

    /// Takes the decision about the request of ``Action/askLargeBody(_:bytes:length:)``, at once, and returns what it makes due.
    ///
    /// - Parameters:
    ///   - limit: bytes that the body may have.
    ///   - refusal: the refusal; nil where the request is admitted.
    mutating func decidedLargeBody(limit: Int, refusal: HTTPRefusal?, at now: NIODeadline) -> Action {
        guard case .body(var partial) = phase else { return .wait }
        let isTooLong = if case .length(let length) = partial.head.framing { length > limit } else { false }
        if let refusal = refusal ?? (isTooLong ? .largeBodyTooLarge : nil) {
            return refuse(refusal, of: partial.head, in: partial.chunks?.headBytes ?? inbox)
        }
        partial.large = LargeBody(maximumBytes: limit)
        phase = .body(partial)
        since = now
        // Reserved at once, so that a growing buffer is not copied again and again.
        if case .length(let length) = partial.head.framing { inbox?.reserveCapacity(partial.head.byteCount + length) }
        return .wait
    }

    /// The next action of an admitted request.
    mutating func nextOfLargeBody(_ request: PartialRequest, _ now: NIODeadline) -> Action {
        var partial = request
        guard var large = partial.large else { return .wait }
        if case .length(let length) = partial.head.framing {
            if inboxByteCount >= partial.head.byteCount + length { return runLarge(run(partial.head, length)) }
            if large.progresses(to: inboxByteCount) { since = now }
        } else if var chunks = partial.chunks, var bytes = inbox {
            var limits = limits
            limits.maximumBodyBytes = large.maximumBytes
            // As for an ordinary body: moved out, so that the body's buffer is filled in place.
            (partial.chunks, inbox, phase) = (nil, nil, .closed)
            do throws(HTTPRefusal) {
                let isComplete = try chunks.decoder.decode(&bytes, into: &chunks.body, limits: limits)
                if bytes.readableBytes > 0 { inbox = bytes }
                if isComplete { return runLarge(run(partial.head, bytes: chunks.headBytes, chunks: chunks.body)) }
            } catch {
                return refuse(error == .payloadTooLarge ? .largeBodyTooLarge : error, of: partial.head, in: chunks.headBytes)
            }
            if large.progresses(to: chunks.body.readableBytes) { since = now }
            partial.chunks = chunks
        }
        partial.large = large
        phase = .body(partial)
        return inputHasEnded ? refuse(.endsEarly, of: partial.head, in: partial.chunks?.headBytes ?? inbox) : .wait
    }

    /// The same request with its body apart from its head, as large bodies are passed on.
    private func runLarge(_ action: Action) -> Action {
        guard case .run(let head, let bytes, let chunks, let number) = action else { return action }
        var body = chunks
        if case .length(let length) = head.framing { body = bytes.getSlice(at: bytes.readerIndex + head.byteCount, length: length) }
        return .runLarge(head, bytes: bytes, body: body ?? ByteBuffer(), number: number)
    }
}
