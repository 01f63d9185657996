import NIOCore
import NIOHTTP1

extension HTTPConnection {
    /// Whether another request may follow on this connection.
    var takesRequests: Bool {
        if case .discarding = input { return false }
        return true
    }

    /// Whether more bytes are wanted: not while enough requests wait, and not while the client leaves its answers unread.
    private var mayRead: Bool {
        guard takesRequests else { return true }
        return exchanges.count < limits.maximumPipelinedRequests && isWritable
    }

    func read(context: ChannelHandlerContext) {
        if mayRead {
            context.read()
        } else {
            readIsHeld = true
        }
    }

    func resumeReading() {
        guard readIsHeld, mayRead, let context else { return }
        readIsHeld = false
        context.read()
    }

    /// Called by the decoder with the count of new bytes, before it looks at them.
    func bytesArrived(_ count: Int) {
        isInReadBatch = true
        now = .now()
        overheadBytes += count
    }

    /// Called by the decoder after it has looked at all there is.
    func bytesDecoded(leftOver: Int) {
        switch input {
        case .idle, .head:
            if max(overheadBytes, leftOver) > limits.maximumHeaderBytes { return reject(.headersTooLarge) }
            if case .idle = input, leftOver > 0 || overheadBytes > 0 {
                input = .head
                readDeadline = now + limits.headTimeout
            }
        case .body:
            // A chunk of one byte has five bytes of framing; extensions and trailers share the allowance of the head.
            let allowed = limits.maximumHeaderBytes + (partial?.request.body.readableBytes ?? 0) * 8
            if overheadBytes > allowed { reject(.badRequest(reason: "The chunked body has too much framing.")) }
        case .discarding:
            break
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Before unwrapping: a connection refused as a whole has no decoder, and drops plain bytes here.
        guard takesRequests else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): headArrived(head)
        case .body(let bytes): bodyArrived(bytes)
        case .end: requestArrived()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInReadBatch = false
        flush()
        context.fireChannelReadComplete()
    }

    private func headArrived(_ head: HTTPRequestHead) {
        overheadBytes = 0
        let fields = RequestFields(head.headers)
        let check: RequestHeadCheck
        do throws(RequestRefused) {
            check = try RequestHeadCheck(head, fields, limits: limits)
        } catch {
            return reject(error.refusal, isHead: head.method == .HEAD)
        }
        // The decoder stops at an upgrade, so such a request is answered as if it asked for none, and is the last one.
        let staysOpen = head.isKeepAlive && !fields.asksForUpgrade
        let request = HTTPRequest(
            method: head.method, path: check.target.path, query: check.target.query, headers: head.headers, fields: fields,
            body: ByteBuffer(), eventLoop: loop.eventLoop, receivedAt: now)
        partial = PartialRequest(
            request: request, connection: !staysOpen ? .close : head.version == .http1_0 ? .keepAlive : .none,
            awaitsContinue: check.awaitsContinue
        )
        input = .body
        readDeadline = now + limits.bodyTimeout
        if check.awaitsContinue { sendContinueIfDue() }
    }

    private func bodyArrived(_ bytes: ByteBuffer) {
        overheadBytes -= bytes.readableBytes
        guard let request = partial?.request else { return }
        let received = request.body.readableBytes
        guard received + bytes.readableBytes <= limits.maximumBodyBytes else {
            return reject(.payloadTooLarge, isHead: request.method == .HEAD)
        }
        partial?.awaitsContinue = false
        if received == 0 {
            request.body = bytes
        } else {
            request.body.writeImmutableBuffer(bytes)
        }
    }

    private func requestArrived() {
        guard let complete = partial.take() else { return }
        overheadBytes = 0
        readDeadline = .distantFuture
        complete.request.receivedAt = now
        let staysOpen = if case .close = complete.connection { false } else { true }
        input = staysOpen ? .idle : .discarding
        accept(complete.request, complete.connection)
    }

    /// Tells a waiting client to send its body, once every earlier answer is on its way.
    func sendContinueIfDue() {
        guard exchanges.isEmpty, partial?.awaitsContinue == true else { return }
        partial?.awaitsContinue = false
        withOutput { $0.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n") }
    }

    func decodingFailed(_ error: any Error) {
        reject(HTTPRefusal(decodingError: error))
    }

    /// Answers the request being read by a refusal, after the earlier answers, and takes no other.
    func reject(_ refusal: HTTPRefusal, isHead: Bool = false) {
        guard takesRequests, phase == .open else { return }
        server.counters.rejectedRequests.increment()
        enqueueRefusal(refusal, isHead: isHead)
    }

    func enqueueRefusal(_ refusal: HTTPRefusal, isHead: Bool = false) {
        input = .discarding
        partial = nil
        readDeadline = .distantFuture
        exchanges.append(
            Exchange(state: .answered(server.refusalResponse(refusal)), isHead: isHead, connection: .close, isSafe: true)
        )
        pump()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            clientHasClosed = true
            input = .discarding
            partial = nil
            readDeadline = .distantFuture
            flush()
        }
        context.fireUserInboundEventTriggered(event)
    }
}
