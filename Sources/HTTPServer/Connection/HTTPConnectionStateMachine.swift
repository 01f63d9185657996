import NIOCore

/// One HTTP/1.1 connection as a value: bytes and events in, actions out. It has no channel, no clock and no handler.
///
/// One request is in progress at a time. Pipelined requests wait as bytes; while too many bytes wait, nothing is read.
/// An event changes the state; ``next(at:)`` then returns one action at a time, until it returns ``Action/wait``.
struct HTTPConnectionStateMachine: Sendable {
    /// What the connection is doing, with the state that only this phase needs.
    enum Phase: Equatable {
        /// Between requests, or inside a head, of which `parsedByteCount` bytes were read without finding its end.
        case head(parsedByteCount: Int)
        /// Inside the body of a request. Indirect, so that the phase of most requests stays small.
        indirect case body(PartialRequest)
        /// A request is with its handler.
        case running(AnswerForm)
        /// A request is being answered with a stream, whose head is rendered.
        case streaming(AnswerForm)
        /// The last answer is rendered and not yet handed to the channel.
        case ending(Ending)
        /// The channel has the last answer and has not yet reported that all of it is sent.
        case sendingLast(Ending)
        /// All is sent and our side is shut down; the client may still read, and closes.
        case lingering
        case closed
    }

    /// A request whose head is complete and whose body is still arriving.
    struct PartialRequest: Equatable {
        let head: RequestHead
        /// The head's own bytes and the decoder, for a body in chunks; a body of known length waits behind its head in `inbox`.
        var chunks: Chunks?
        /// Whether the client waits for `100 Continue` and has not been told.
        var continueIsDue: Bool
        /// Set for a body that may be longer than the ordinary limit.
        var large: LargeBody?

        /// The bytes that begin with the head; nil where they are in `inbox`.
        var bytes: ByteBuffer? { chunks?.headBytes }
    }

    /// What was read of a request that was refused.
    struct RefusedRequest: Equatable {
        /// Nil where neither the end of the head nor a fault in it was reached.
        let head: RequestHead?
        /// Begin with the head.
        let bytes: ByteBuffer
    }

    struct Chunks: Equatable {
        let headBytes: ByteBuffer
        var decoder = ChunkedBodyDecoder()
        var body = ByteBuffer()
    }

    /// How a connection ends once everything is sent.
    enum Ending: Equatable {
        /// Close at once: no unread bytes of the client are expected.
        case closing
        /// Shut down our side first. Closing with unread bytes would reset the connection, and the reset could overtake the answer.
        case lingering
    }

    /// What one answer says about its connection, and whether it has a body.
    struct AnswerForm: Equatable, Sendable {
        /// The number of the request on its connection, counted from 1: an answer to another one is dropped.
        let number: Int
        /// Whether the request is HEAD, whose answer has no body.
        let isHead: Bool
        /// What the answer says about the connection.
        var connection: ConnectionField
        /// Whether the client speaks HTTP/1.0, which has no chunks: the end of the connection is the end of a stream.
        var isHTTP10 = false
    }

    /// What has to be done next.
    enum Action: Equatable {
        /// Give the request to the handler; its answer is reported to ``answered(_:at:)``.
        case run(RequestHead, bytes: ByteBuffer, chunks: ByteBuffer?, number: Int)
        /// As ``run(_:bytes:chunks:number:)``, for a request whose large body was admitted.
        case runLarge(RequestHead, bytes: ByteBuffer, body: ByteBuffer, number: Int)
        /// Decide whether the request may have a large body; the decision is reported to ``decidedLargeBody(limit:refusal:at:)``.
        case askLargeBody(RequestHead, bytes: ByteBuffer, length: Int?)
        /// Render the server's own answer, which is the last one.
        case refuse(HTTPRefusal, AnswerForm)
        /// Render `100 Continue`.
        case sendContinue
        /// Hand everything rendered to the channel, and report when it is sent.
        case sendLast
        /// Shut our side of the connection down.
        case shutDownOutput
        /// Close the connection.
        case close
        /// Nothing until the next event.
        case wait
    }

    let limits: HTTPLimits
    var phase = Phase.head(parsedByteCount: 0)
    /// Bytes that belong to no request that was run. Nil instead of empty, so that the next read buffer is adopted without a copy.
    var inbox: ByteBuffer?
    /// When the phase began.
    var since: NIODeadline
    /// When the first byte of the current head arrived; for a pipelined head, when the request before it was answered.
    private var headBegan: NIODeadline
    /// Bytes of empty lines since the last request (RFC 9112 section 2.2).
    private var emptyLineByteCount = 0
    /// Since when the channel has been unwritable; nil while it is writable.
    private var unwritableSince: NIODeadline?
    /// What the client had taken when the write timeout last restarted; nil where that is not known.
    private var takenByteCount: Int?
    private(set) var inputHasEnded = false
    private(set) var isDraining: Bool
    private var requestCount = 0
    /// Set where the connection itself is refused, before any request is read.
    private var refusal: HTTPRefusal?
    private var refusedRequest: RefusedRequest?
    /// Whether the connection is refused only after a head was read, or the time for one is over.
    private let refusesAfterHead: Bool
    private let asksAboutLargeBodies: Bool

    /// - Parameters:
    ///   - refusal: answers the client as the only answer, before anything is read.
    ///   - refusesAfterHead: has the refusal wait for the first head.
    ///   - asksAboutLargeBodies: whether a request with a body beyond the limit may be admitted; otherwise it is refused.
    init(
        limits: HTTPLimits, now: NIODeadline, isDraining: Bool = false, refusal: HTTPRefusal? = nil, refusesAfterHead: Bool = false,
        asksAboutLargeBodies: Bool = false
    ) {
        self.asksAboutLargeBodies = asksAboutLargeBodies
        self.limits = limits
        self.isDraining = isDraining
        self.refusal = refusal
        self.refusesAfterHead = refusesAfterHead
        since = now
        headBegan = now
    }

    /// Whether more bytes are to be read from the channel.
    var wantsBytes: Bool {
        switch phase {
        case .head, .running, .streaming: inboxByteCount <= limits.maximumHeaderBytes
        // What a refused client still sends is read and dropped, so that it can read its answer.
        case .body, .ending, .sendingLast, .lingering, .closed: true
        }
    }

    /// Whether the connection waits for a request and holds no part of one.
    var isIdle: Bool {
        if case .head = phase { inbox == nil } else { false }
    }

    var inboxByteCount: Int { inbox?.readableBytes ?? 0 }
}

// MARK: - Events

extension HTTPConnectionStateMachine {
    /// Reports bytes that were read from the channel.
    mutating func received(_ bytes: consuming ByteBuffer, at now: NIODeadline) {
        switch phase {
        case .head:
            if inbox == nil { headBegan = now }
            append(bytes)
        case .body, .running, .streaming:
            append(bytes)
        case .ending, .sendingLast, .lingering, .closed:
            break
        }
    }

    private mutating func append(_ bytes: consuming ByteBuffer) {
        guard inbox != nil else {
            inbox = bytes
            return
        }
        inbox?.writeImmutableBuffer(bytes)
    }

    /// Reports that the client has shut down its sending side. It may still read.
    mutating func inputEnded() {
        inputHasEnded = true
    }

    /// Reports whether the channel is writable.
    mutating func writabilityChanged(_ isWritable: Bool, at now: NIODeadline) {
        unwritableSince = isWritable ? nil : now
        takenByteCount = nil
    }

    /// Reports that the handler has answered. Returns the form of the answer; nil where the connection does not wait for this request.
    mutating func answered(_ number: Int, at now: NIODeadline) -> AnswerForm? {
        guard case .running(var form) = phase, form.number == number else {
            assert(phase == .closed, "request \(number) was answered twice")
            return nil
        }
        if isDraining, inbox == nil { form.connection = .close }
        ended(form, now)
        return form
    }

    /// Reports that the handler answers with a stream. Returns the form of its head; nil as for ``answered(_:at:)``. The body of a stream
    /// follows until ``streamEnded(at:)``, but the answer to HEAD is complete with its head.
    mutating func streamBegan(_ number: Int, at now: NIODeadline) -> AnswerForm? {
        guard case .running(var form) = phase, form.number == number, !form.isHead else { return answered(number, at: now) }
        if form.isHTTP10 || (isDraining && inbox == nil) { form.connection = .close }
        phase = .streaming(form)
        return form
    }

    /// Reports that the stream is complete, and its end rendered.
    mutating func streamEnded(at now: NIODeadline) {
        guard case .streaming(let form) = phase else {
            assert(phase == .closed, "no stream was begun")
            return
        }
        ended(form, now)
    }

    /// Goes on after an answer is rendered.
    @inline(__always)
    private mutating func ended(_ form: AnswerForm, _ now: NIODeadline) {
        since = now
        headBegan = now
        if form.connection == .close {
            inbox = nil
            phase = .ending(.lingering)
        } else {
            phase = .head(parsedByteCount: 0)
        }
    }

    /// Reports that everything handed to the channel is sent.
    mutating func lastAnswerSent(at now: NIODeadline) -> Action {
        guard case .sendingLast(let ending) = phase else {
            assert(phase == .closed, "nothing was handed over as the last answer")
            return .wait
        }
        guard ending == .lingering, !inputHasEnded else { return close() }
        since = now
        phase = .lingering
        return .shutDownOutput
    }

    /// Reports that the server is shutting down.
    mutating func drain() {
        isDraining = true
    }

    /// Reports that the channel is closed, which is the last event.
    mutating func closed() {
        phase = .closed
        inbox = nil
    }

    /// Whether the write timeout is running; then ``tick(_:taken:)`` needs what the client has taken.
    var waitsForReader: Bool {
        if case .sendingLast = phase { true } else { unwritableSince != nil }
    }

    /// Checks the deadlines, and ends what took too long.
    ///
    /// - Parameter taken: a number that rises with every byte that the client takes, where ``waitsForReader`` is set; only differences
    ///   count. A client that takes enough restarts the write timeout.
    mutating func tick(_ now: NIODeadline, taken: Int? = nil) -> Action {
        if let taken { noteProgress(taken, now) }
        if let unwritableSince, phase != .closed {
            return now >= unwritableSince + limits.writeTimeout ? close() : .wait
        }
        switch phase {
        case .head where refusal != nil:
            guard now >= since + limits.lingerTimeout, let refusal else { return .wait }
            // Who has sent nothing in this time gets no answer, which might not be sendable either.
            return inbox == nil ? close() : refuse(refusal)
        case .head where inbox == nil:
            let timeout = requestCount == 0 ? limits.headTimeout : limits.idleTimeout
            return now >= since + timeout ? end(now) : .wait
        case .head:
            return now >= headBegan + limits.headTimeout ? refuse(.requestTimeout) : .wait
        case .body(let partial):
            return now >= since + limits.bodyTimeout ? refuse(.requestTimeout, of: partial.head, in: partial.bytes ?? inbox) : .wait
        case .sendingLast:
            return now >= since + limits.writeTimeout ? close() : .wait
        case .lingering:
            return now >= since + limits.lingerTimeout ? close() : .wait
        // A stream that has nothing to send may last; one whose client does not read is ended above.
        case .running, .streaming, .ending, .closed:
            return .wait
        }
    }
}

extension HTTPConnectionStateMachine {
    /// Bytes that a client must read within the write timeout to restart it. With fewer it could hold a connection for hours.
    private static let leastProgress = 4_096

    /// Restarts the write timeout of a client that has read enough.
    private mutating func noteProgress(_ taken: Int, _ now: NIODeadline) {
        guard let before = takenByteCount else {
            takenByteCount = taken
            return
        }
        guard taken - before >= HTTPConnectionStateMachine.leastProgress else { return }
        takenByteCount = taken
        if unwritableSince != nil { unwritableSince = now }
        if case .sendingLast = phase { since = now }
    }
}

// MARK: - Actions

extension HTTPConnectionStateMachine {
    /// The next action. Call it again after every action except ``Action/wait``.
    mutating func next(at now: NIODeadline) -> Action {
        switch phase {
        case .head(let parsedByteCount): return nextOfHead(parsedByteCount, now)
        case .body: return nextOfBody(now)
        case .ending(let ending):
            since = now
            takenByteCount = nil
            phase = .sendingLast(ending)
            return .sendLast
        case .lingering: return inputHasEnded ? close() : .wait
        case .running, .streaming, .sendingLast, .closed: return .wait
        }
    }

    private mutating func nextOfHead(_ parsedByteCount: Int, _ now: NIODeadline) -> Action {
        if let refusal { return nextOfRefused(refusal, parsedByteCount) }
        // While the client does not read its answers, its later requests wait.
        guard unwritableSince == nil else { return .wait }
        dropEmptyLines()
        guard emptyLineByteCount <= 2 * limits.maximumHeaderFields else { return refuse(.headersTooLarge) }
        let byteCount = inboxByteCount
        guard byteCount > 0 else { return inputHasEnded || isDraining ? end(now) : .wait }
        // The first half of an empty line.
        if byteCount == 1, firstByte == RequestHeadParser.cr { return inputHasEnded ? end(now) : .wait }
        switch parseHead(after: parsedByteCount) {
        case .complete(let head):
            return begin(head, now)
        case .refused(.payloadTooLarge, let head) where asksAboutLargeBodies:
            return askLargeBody(head)
        case .refused(let refusal, let head):
            return refuse(refusal, of: head, in: inbox)
        case .incomplete:
            if byteCount > limits.maximumHeaderBytes { return refuse(.headersTooLarge) }
            if inputHasEnded { return refuse(.endsEarly) }
            phase = .head(parsedByteCount: byteCount)
            return .wait
        }
    }

    /// The next action of a connection that is refused as a whole.
    private mutating func nextOfRefused(_ refusal: HTTPRefusal, _ parsedByteCount: Int) -> Action {
        guard refusesAfterHead else { return refuse(refusal) }
        let byteCount = inboxByteCount
        guard byteCount > 0 else { return inputHasEnded ? close() : .wait }
        switch parseHead(after: parsedByteCount) {
        case .complete(let head): return refuse(refusal, of: head, in: inbox)
        case .refused(_, let head): return refuse(refusal, of: head, in: inbox)
        case .incomplete:
            phase = .head(parsedByteCount: byteCount)
            return inputHasEnded || byteCount > limits.maximumHeaderBytes ? refuse(refusal) : .wait
        }
    }

    /// Parses the bytes that were read, of which some were parsed before. A head ends with a line feed, so it is parsed again only when a
    /// new one has arrived.
    private func parseHead(after parsedByteCount: Int) -> RequestHeadParser.Result {
        inbox?.withUnsafeReadableBytes { bytes in
            parsedByteCount == 0 || bytes[parsedByteCount...].contains(RequestHeadParser.lf)
                ? RequestHeadParser.parse(bytes, limits: limits) : .incomplete
        } ?? .incomplete
    }

    /// Drops empty lines before a request line; some clients send them after a body (RFC 9112 section 2.2).
    private mutating func dropEmptyLines() {
        while firstByte == RequestHeadParser.cr {
            guard let inbox, inbox.getInteger(at: inbox.readerIndex + 1, as: UInt8.self) == RequestHeadParser.lf else { return }
            emptyLineByteCount += 2
            self.inbox?.moveReaderIndex(forwardBy: 2)
            if inbox.readableBytes == 2 { self.inbox = nil }
        }
    }

    private var firstByte: UInt8? { inbox?.withUnsafeReadableBytes { $0.first } }

    /// Ends an idle connection, at once where no unread bytes are expected: the client has shut down its side, or never sent a request.
    private mutating func end(_ now: NIODeadline) -> Action {
        // Nothing was answered, so there is nothing to wait for. Behind TLS the handshake may not be over, and then nothing can be sent.
        guard requestCount > 0 else { return close() }
        phase = .ending(inputHasEnded ? .closing : .lingering)
        return next(at: now)
    }

    /// Continues after a complete head: runs the request if its body has arrived too.
    private mutating func begin(_ head: RequestHead, _ now: NIODeadline) -> Action {
        switch head.framing {
        case .length(let length):
            if inboxByteCount >= head.byteCount + length { return run(head, length) }
            let hasBodyBytes = inboxByteCount > head.byteCount
            phase = .body(PartialRequest(head: head, continueIsDue: head.expectsContinue && !hasBodyBytes))
        case .chunked:
            guard let headBytes = inbox?.readSlice(length: head.byteCount) else {
                preconditionFailure("the head was read from these bytes")
            }
            if inboxByteCount == 0 { inbox = nil }
            phase = .body(
                PartialRequest(head: head, chunks: Chunks(headBytes: headBytes), continueIsDue: head.expectsContinue && inbox == nil))
        }
        since = now
        return nextOfBody(now)
    }

    private mutating func nextOfBody(_ now: NIODeadline) -> Action {
        guard case .body(var partial) = phase else { return .wait }
        if partial.continueIsDue {
            partial.continueIsDue = false
            phase = .body(partial)
            return .sendContinue
        }
        if partial.large != nil { return nextOfLargeBody(partial, now) }
        if case .length(let length) = partial.head.framing {
            if inboxByteCount >= partial.head.byteCount + length { return run(partial.head, length) }
        } else if var chunks = partial.chunks, var bytes = inbox {
            // Moved out of the phase during decoding, so that the body's buffer is uniquely owned and filled in place.
            (partial.chunks, inbox, phase) = (nil, nil, .closed)
            do throws(HTTPRefusal) {
                let isComplete = try chunks.decoder.decode(&bytes, into: &chunks.body, limits: limits)
                if bytes.readableBytes > 0 { inbox = bytes }
                if isComplete { return run(partial.head, bytes: chunks.headBytes, chunks: chunks.body) }
            } catch {
                if error == .payloadTooLarge, asksAboutLargeBodies {
                    (partial.chunks, inbox) = (chunks, bytes)
                    phase = .body(partial)
                    return .askLargeBody(partial.head, bytes: chunks.headBytes, length: nil)
                }
                return refuse(error, of: partial.head, in: chunks.headBytes)
            }
            partial.chunks = chunks
            phase = .body(partial)
        }
        return inputHasEnded ? refuse(.endsEarly, of: partial.head, in: partial.bytes ?? inbox) : .wait
    }

    /// Runs a request, and removes its head and body from `inbox`.
    mutating func run(_ head: RequestHead, _ bodyLength: Int) -> Action {
        let count = head.byteCount + bodyLength
        guard inboxByteCount > count else {
            guard let bytes = inbox.take() else { preconditionFailure("the head was read from these bytes") }
            return run(head, bytes: bytes, chunks: nil)
        }
        guard let bytes = inbox else { preconditionFailure("the head was read from these bytes") }
        inbox?.moveReaderIndex(forwardBy: count)
        return run(head, bytes: bytes, chunks: nil)
    }

    mutating func run(_ head: RequestHead, bytes: consuming ByteBuffer, chunks: consuming ByteBuffer?) -> Action {
        requestCount += 1
        emptyLineByteCount = 0
        let connection: ConnectionField = !head.staysOpen ? .close : head.version == .http10 ? .keepAlive : .none
        phase = .running(
            AnswerForm(number: requestCount, isHead: head.method == .head, connection: connection, isHTTP10: head.version == .http10))
        return .run(head, bytes: bytes, chunks: chunks, number: requestCount)
    }

    private mutating func close() -> Action {
        closed()
        return .close
    }

    /// Refuses the request that is being read, and reads no more requests.
    ///
    /// - Parameters:
    ///   - head: what was read of the request's head; nil where its end or a fault was not reached.
    ///   - bytes: begin with the head.
    mutating func refuse(_ refusal: HTTPRefusal, of head: RequestHead? = nil, in bytes: ByteBuffer? = nil) -> Action {
        refusedRequest = (bytes ?? inbox).map { RefusedRequest(head: head, bytes: $0) }
        inbox = nil
        self.refusal = nil
        phase = .ending(.lingering)
        return .refuse(refusal, AnswerForm(number: requestCount + 1, isHead: head?.method == .head, connection: .close))
    }

    /// Returns the request of the last ``Action/refuse(_:_:)``, once; nil where nothing of it was read.
    mutating func takeRefusedRequest() -> RefusedRequest? { refusedRequest.take() }
}
