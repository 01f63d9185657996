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
        return exchanges.count < configuration.maximumPipelinedRequests && (context?.channel.isWritable ?? false)
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
            if max(overheadBytes, leftOver) > configuration.maximumHeaderBytes { return reject(.headersTooLarge) }
            if case .idle = input, leftOver > 0 || overheadBytes > 0 {
                input = .head
                readDeadline = now + configuration.headTimeout
            }
        case .body(let partial):
            // A chunk of one byte has five bytes of framing; extensions and trailers share the allowance of the head.
            let allowed = configuration.maximumHeaderBytes + partial.request.body.readableBytes * 8
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
        let check: RequestHeadCheck
        do throws(RequestRefused) {
            check = try RequestHeadCheck(head, configuration: configuration)
        } catch {
            return reject(error.refusal, isHead: head.method == .HEAD)
        }
        let request = HTTPRequest(
            method: head.method, path: check.target.path, query: check.target.query, headers: head.headers, fields: check.fields,
            body: ByteBuffer(), eventLoop: loop.eventLoop, receivedAt: now
        )
        // The decoder stops at an upgrade, so such a request is answered as if it asked for none, and is the last one.
        let staysOpen = head.isKeepAlive && !check.fields.asksForUpgrade
        let connection: ConnectionHeader = !staysOpen ? .close : head.version == .http1_0 ? .keepAlive : .none
        input = .body(PartialRequest(request: request, connection: connection, awaitsContinue: check.awaitsContinue))
        readDeadline = now + configuration.bodyTimeout
        sendContinueIfDue()
    }

    private func bodyArrived(_ bytes: ByteBuffer) {
        guard case .body(var partial) = input else { return }
        // Otherwise `input` holds the body too, and appending would copy it every time.
        input = .idle
        overheadBytes -= bytes.readableBytes
        guard partial.request.body.readableBytes + bytes.readableBytes <= configuration.maximumBodyBytes else {
            return reject(.payloadTooLarge, isHead: partial.request.method == .HEAD)
        }
        partial.awaitsContinue = false
        if partial.request.body.readableBytes == 0 {
            partial.request.body = bytes
        } else {
            partial.request.body.writeImmutableBuffer(bytes)
        }
        input = .body(partial)
    }

    private func requestArrived() {
        guard case .body(let partial) = input else { return }
        overheadBytes = 0
        readDeadline = .distantFuture
        var request = partial.request
        request.receivedAt = now
        let staysOpen = if case .close = partial.connection { false } else { true }
        input = staysOpen ? .idle : .discarding
        exchanges.append(
            Exchange(
                state: .waiting(request), isHead: request.method == .HEAD, connection: partial.connection,
                isSafe: request.method.isSafe
            )
        )
        pump()
    }

    /// Tells a waiting client to send its body, once every earlier answer is on its way.
    func sendContinueIfDue() {
        guard exchanges.isEmpty, case .body(var partial) = input, partial.awaitsContinue else { return }
        partial.awaitsContinue = false
        input = .body(partial)
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
            readDeadline = .distantFuture
            flush()
        }
        context.fireUserInboundEventTriggered(event)
    }
}

extension HTTPMethod {
    /// Whether the method is defined to change nothing (RFC 9110 section 9.2.1).
    fileprivate var isSafe: Bool {
        switch self {
        case .GET, .HEAD, .OPTIONS, .TRACE: true
        default: false
        }
    }
}
