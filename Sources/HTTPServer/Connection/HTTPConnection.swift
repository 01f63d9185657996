import EventLoops
import NIOCore

/// Performs what the state machine of one connection decides: runs the handler, renders answers and moves bytes.
///
/// Safety of `@unchecked Sendable`: everything mutable is touched on the connection's event loop only. Answers that come from
/// elsewhere hop to it first.
final class HTTPConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let loop: HTTPServerLoop
    private let isRefused: Bool
    var machine: HTTPConnectionStateMachine
    private(set) var context: ChannelHandlerContext?
    /// Answers that are rendered and not yet handed to the channel.
    private(set) var output: ByteBuffer?
    /// Fields of the next answer that depend on its request, as whole lines; nil for none.
    private var crossOriginFields: ByteBuffer?
    /// True while ``advance(_:)`` runs. An event that arrives meanwhile only changes the state; the running call acts on it.
    private(set) var isAdvancing = false
    /// True from the first bytes of a read batch to its end, when all its answers leave in one write.
    private(set) var isInReadBatch = false
    private var isReading = true
    /// The task of the last cancellable request, which is cancelled when the client hangs up. It may have ended already.
    private var cancellable: Task<Void, Never>?
    /// The stream that is being sent; nil for most requests.
    var stream: StreamInProgress?
    /// True while pipelined requests of this connection wait until the loop has served other connections.
    private var isYielding = false
    /// The first half of the ids of this connection's requests.
    private let idText: ConnectionIDText
    /// The id that the client gave to the request in progress.
    private var givenID: GivenRequestID?
    /// Of the large body that is arriving; nil without one.
    var largeBodyPermit: LargeBodyPermit?
    /// Nil without an access log.
    private(set) var log: ConnectionLog?
    /// See ``HTTPRequest/waited``, for the next request.
    private var waited: Int32 = -1
    /// What the requests of this connection have in common; the address of the peer is known once the connection is active.
    private var origin: RequestOrigin

    /// Pipelined requests of one connection that run before the loop serves other connections.
    private static let requestsPerTurn = 32

    /// - Parameter refusal: is sent at once as the only answer of this connection; nil for a connection that is served.
    init(loop: HTTPServerLoop, refusal: HTTPRefusal? = nil) {
        self.loop = loop
        isRefused = refusal != nil
        idText = ConnectionIDText(loop.nextConnectionNumber())
        origin = RequestOrigin(number: idText.number, eventLoop: loop.eventLoop, peer: .unspecified)
        machine = HTTPConnectionStateMachine(
            limits: loop.limits, now: .now(), isDraining: loop.isDraining, refusal: refusal, refusesAfterHead: loop.refusesAfterHead,
            asksAboutLargeBodies: loop.largeBodies != nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        log = loop.accessLog.map { ConnectionLog($0, notes: loop.notes, connection: idText.number, peer: context.remoteAddress) }
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    private func start(_ context: ChannelHandlerContext) {
        origin = RequestOrigin(number: idText.number, eventLoop: loop.eventLoop, peer: IPAddress(context.remoteAddress))
        if isRefused { advance(.now()) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = NIODeadline.now()
        isInReadBatch = true
        waited = loop.waited(in: context.channel)
        machine.received(HTTPConnection.unwrapInboundIn(data), at: now)
        advance(now)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInReadBatch = false
        flush()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            machine.inputEnded()
            cancellable?.cancel()
            if stream != nil { abandonStream() }
            advance(.now())
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        machine.writabilityChanged(context.channel.isWritable, at: now)
        advance(now)
        if let stream { stream.resumeWriters() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
    }

    /// A reset or another error of the socket: closes the connection without an answer, which could not arrive.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        cut()
    }

    /// Leaves the closed channel. Handlers that still run finish or are cancelled, and their answers are dropped.
    private func end() {
        guard context != nil else { return }
        cancellable?.cancel()
        cancellable = nil
        if stream != nil { endStream(.cut) }
        if loop.isCut { logUnanswered() }
        context = nil
        output = nil
        largeBodyPermit = nil
        machine.closed()
        loop.remove(self, isRefused: isRefused)
    }

    /// Closes the connection at once, also in the middle of a request or an answer.
    func cut() {
        if stream != nil { endStream(.cut) }
        context?.close(promise: nil)
    }

    /// Closes an idle connection now, any other after its next answer.
    func drain() {
        machine.drain()
        if let stream, stream.endsOnDrain { endStream(.complete) }
        if machine.isIdle { advance(.now()) }
    }

    /// A number that rises with every byte that the client takes.
    ///
    /// The channel alone does not know: the kernel's send buffer grows to megabytes, of which a third must become free before the channel
    /// sends more, and a slow client may need minutes for that.
    private var takenByteCount: Int? {
        guard let channel = context?.channel else { return nil }
        if let acknowledged = SocketInfo.acknowledgedBytes(of: channel) { return acknowledged }
        // Fails only on a closed channel, which is not looked at again.
        return (try? channel.syncOptions?.getOption(.bufferedWritableBytes)).map { -$0 }
    }

    /// Called on every tick of the loop.
    func checkDeadlines(_ now: NIODeadline) {
        switch machine.tick(now, taken: machine.waitsForReader ? takenByteCount : nil) {
        case .wait: break
        case let action:
            perform(action, now)
            advance(now)
        }
    }
}

// MARK: - Actions

extension HTTPConnection {
    /// Performs actions until the machine says to wait, then sends the answers; during a read batch they are sent at its end.
    func advance(_ now: NIODeadline) {
        guard !isAdvancing, !isYielding else { return }
        isAdvancing = true
        var requests = 0
        while requests < Self.requestsPerTurn {
            let action = machine.next(at: now)
            if case .wait = action { break }
            if case .run = action { requests += 1 }
            perform(action, now)
        }
        isAdvancing = false
        if requests == Self.requestsPerTurn { yield() }
        if !isInReadBatch { flush() }
        adjustReading()
    }

    private func yield() {
        isYielding = true
        loop.eventLoop.execute {
            self.isYielding = false
            self.advance(.now())
        }
    }

    private func perform(_ action: HTTPConnectionStateMachine.Action, _ now: NIODeadline) {
        switch action {
        case .run(let head, let bytes, let chunks, let number):
            givenID = head.givenID(in: bytes)
            let number32 = UInt32(truncatingIfNeeded: number)
            if let log { log.begin(head, bytes, number: number32, given: givenID, at: now) }
            run(
                HTTPRequest(
                    head: head, bytes: bytes, chunks: chunks, origin: origin, receivedAt: now, number: number32, waited: waited), number,
                now)
            waited = -1
        case .runLarge(let head, let bytes, let body, let number):
            runLarge(head, bytes, body, number, now)
        case .askLargeBody(let head, let bytes, let length):
            askLargeBody(head, bytes, length, now)
        case .refuse(let refusal, let form):
            largeBodyPermit = nil
            loop.counters.rejectedRequests.add()
            let refused = machine.takeRefusedRequest()
            note(refused, form, now)
            if let crossOrigin = loop.crossOrigin {
                crossOriginFields = crossOrigin.fields(forRefused: refused?.bytes, limits: loop.limits)
            }
            render(loop.refusalResponse(refusal), form, now)
        case .sendContinue:
            withOutput { $0.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n") }
        case .sendLast: sendLast()
        case .shutDownOutput: context?.close(mode: .output, promise: nil)
        case .close: cut()
        case .wait: break
        }
    }

    private func run(_ request: consuming HTTPRequest, _ number: Int, _ now: NIODeadline) {
        if let crossOrigin = loop.crossOrigin { crossOriginFields = crossOrigin.fields(for: request) }
        // The answer to a preflight takes nothing that is short, and without it a page could not read the 429 either.
        guard loop.mayRun || (loop.crossOrigin != nil && request.method == .options) else {
            loop.counters.refusedRequests.add()
            return answer(number, loop.refusalResponse(.tooManyRequests), now)
        }
        loop.counters.requests.add()
        let reply = loop.handler(request)
        if let log { log.readNotes() }
        take(reply, number, now)
    }

    private func take(_ reply: HTTPAnswer, _ number: Int, _ now: NIODeadline) {
        switch reply {
        case .now(let response):
            answer(number, response, now)
        case .callback(let begin):
            loop.context.requestsInFlight.increment()
            begin { self.finished(number, $0) }
        case .task(let work):
            start(work, number)
        case .cancellableTask(let work):
            let task = start(work, number)
            if machine.inputHasEnded || context == nil { task.cancel() }
            cancellable = task
        case .deferred(let begin):
            loop.context.requestsInFlight.increment()
            begin { self.decided($0, number) }
        case .deferredTask(let work):
            decide(work, number)
        case .stream(let stream):
            begin(stream, number, now)
        }
    }

    private func decide(_ work: @escaping @Sendable () async throws -> HTTPAnswer, _ number: Int) {
        loop.context.requestsInFlight.increment()
        Task.immediate(executorPreference: loop.executor) {
            do {
                let answer = try await work()
                self.onLoop { self.decided(answer, number) }
            } catch {
                self.finished(number, .failure(error))
            }
        }
    }

    private func onLoop(_ work: @escaping @Sendable () -> Void) {
        if loop.eventLoop.inEventLoop { work() } else { loop.eventLoop.execute(work) }
    }

    /// Goes on with a request whose answer was deferred, also where the client has hung up meanwhile: its answer is then dropped.
    private func decided(_ answer: HTTPAnswer, _ number: Int) {
        loop.eventLoop.assertInEventLoop()
        loop.context.requestsInFlight.decrement()
        let now = NIODeadline.now()
        take(answer, number, now)
        advance(now)
    }

    @discardableResult
    private func start(_ work: @escaping @Sendable () async throws -> HTTPResponse, _ number: Int) -> Task<Void, Never> {
        loop.context.requestsInFlight.increment()
        return Task.immediate(executorPreference: loop.executor) {
            do { self.finished(number, .success(try await work())) } catch { self.finished(number, .failure(error)) }
        }
    }

    /// Takes the result of a handler that did not answer at once, on any thread.
    private func finished(_ number: Int, _ result: Result<HTTPResponse, any Error>) {
        loop.context.requestsInFlight.decrement()
        guard loop.eventLoop.inEventLoop else {
            return loop.eventLoop.execute { self.answerLate(number, result) }
        }
        answerLate(number, result)
    }

    private func answerLate(_ number: Int, _ result: Result<HTTPResponse, any Error>) {
        let now = NIODeadline.now()
        switch result {
        case .success(let response): answer(number, response, now)
        case .failure: answer(number, loop.refusalResponse(.handlerFailed), now)
        }
        advance(now)
    }

    private func answer(_ number: Int, _ response: HTTPResponse, _ now: NIODeadline) {
        guard let form = machine.answered(number, at: now) else { return logUnsent(response) }
        render(response, form, now)
    }
}

// MARK: - Large bodies

extension HTTPConnection {
    private func askLargeBody(_ head: RequestHead, _ bytes: ByteBuffer, _ length: Int?, _ now: NIODeadline) {
        // The number is that of a request which has none yet, and nobody sees it.
        let request = HTTPRequest(
            head: head, bytes: bytes, largeBody: nil, permit: nil, origin: origin, receivedAt: now, number: 0)
        let action: HTTPConnectionStateMachine.Action
        switch loop.largeBodies?(request, length) ?? .refused(.payloadTooLarge) {
        case .admitted(let permit):
            largeBodyPermit = permit
            action = machine.decidedLargeBody(limit: permit.maximumBytes, refusal: nil, at: now)
        case .refused(let refusal):
            action = machine.decidedLargeBody(limit: 0, refusal: refusal, at: now)
        }
        perform(action, now)
    }

    private func runLarge(_ head: RequestHead, _ bytes: ByteBuffer, _ body: ByteBuffer, _ number: Int, _ now: NIODeadline) {
        let permit = largeBodyPermit.take()
        givenID = head.givenID(in: bytes)
        let number32 = UInt32(truncatingIfNeeded: number)
        if let log { log.begin(head, bytes, number: number32, given: givenID, at: now) }
        run(
            HTTPRequest(
                head: head, bytes: bytes, largeBody: body, permit: permit, origin: origin, receivedAt: now, number: number32), number, now)
    }
}

// MARK: - Ids, notes and the access log

extension HTTPConnection {
    /// Notes the request that the server refuses by itself, as far as it was read.
    private func note(
        _ refused: HTTPConnectionStateMachine.RefusedRequest?, _ form: HTTPConnectionStateMachine.AnswerForm, _ now: NIODeadline
    ) {
        givenID = refused.flatMap { $0.head?.givenID(in: $0.bytes) }
        if let log { log.begin(refused?.head, refused?.bytes, number: UInt32(truncatingIfNeeded: form.number), given: givenID, at: now) }
    }

    /// Logs a request whose client hung up before the answer.
    func logUnsent(_ response: HTTPResponse) {
        if let log { log.end(status: response.status, answerBytes: 0) }
    }

    /// Logs the request in progress when the server closes its connection at the drain's deadline.
    private func logUnanswered() {
        if let log { log.end(status: nil, answerBytes: 0) }
    }
}

// MARK: - Bytes

extension HTTPConnection {
    func render(_ response: HTTPResponse, _ form: HTTPConnectionStateMachine.AnswerForm, _ now: NIODeadline) {
        let byteCount = write(response, form, now)
        if let log { log.end(status: response.status, answerBytes: byteCount) }
        // Flushed beyond the high-water mark, so that the channel reports a client that does not read before its next request runs.
        if let output, output.readableBytes >= loop.limits.writeHighWaterMark { flush() }
    }

    /// Appends an answer to the output; returns its length.
    @inline(__always)
    func write(_ response: HTTPResponse, _ form: HTTPConnectionStateMachine.AnswerForm, _ now: NIODeadline) -> Int {
        let additions = AnswerAdditions(
            id: GeneratedIDText(idText, UInt32(truncatingIfNeeded: form.number)), given: givenID, connection: form.connection,
            fields: crossOriginFields, isHead: form.isHead)
        let byteCountBefore = output?.readableBytes ?? 0
        withOutput { loop.render(response, additions, into: &$0, now) }
        if givenID != nil { givenID = nil }
        return (output?.readableBytes ?? 0) - byteCountBefore
    }

    func withOutput(_ write: (inout ByteBuffer) -> Void) {
        // Moved out during the write, so that the buffer is uniquely owned and not copied.
        var buffer = output ?? loop.takeBuffer()
        output = nil
        write(&buffer)
        output = buffer
    }

    func flush() {
        guard let buffer = output, let context else { return }
        output = nil
        context.writeAndFlush(HTTPConnection.wrapOutboundOut(buffer), promise: nil)
        loop.giveBack(buffer)
    }

    /// Hands the remaining answers to the channel and learns when all are sent. An empty write does so for answers that are in the channel.
    private func sendLast() {
        guard let context else { return }
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { result in
            switch result {
            case .success:
                let now = NIODeadline.now()
                self.perform(self.machine.lastAnswerSent(at: now), now)
                self.advance(now)
            case .failure:
                self.cut()
            }
        }
        let buffer = output ?? ByteBuffer()
        output = nil
        context.writeAndFlush(HTTPConnection.wrapOutboundOut(buffer), promise: sent)
    }

    /// Stops reading while the machine has enough bytes of later requests, and resumes when it wants more.
    private func adjustReading() {
        let wantsBytes = machine.wantsBytes
        guard wantsBytes != isReading, let context else { return }
        isReading = wantsBytes
        // Fails only on a closed channel, which reads nothing anyway.
        context.channel.setOption(.autoRead, value: wantsBytes).whenFailure { _ in }
    }
}
