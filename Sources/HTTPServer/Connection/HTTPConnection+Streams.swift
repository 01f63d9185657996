import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Answers whose bodies are sent while they are made.
extension HTTPConnection {
    /// How a stream ends.
    enum StreamEnding {
        /// Its end is sent, and the connection serves the next request.
        case complete
        /// The connection is closed before its end.
        case cut
    }

    /// Sends the head of a stream and runs its body in a task.
    func begin(_ stream: HTTPStream, _ number: Int, _ now: NIODeadline) {
        // A client that has ended its sending side looks like one that is gone.
        guard context != nil, !machine.inputHasEnded, let form = machine.streamBegan(number, at: now) else {
            logUnsent(stream.head)
            return cut()
        }
        let isChunked = !form.isHTTP10
        let head = isChunked ? stream.head.adding(fields: Self.chunkedField) : stream.head
        guard !form.isHead else { return render(head, form, now) }
        let inProgress = StreamInProgress(
            self, status: head.status, isChunked: isChunked, endsOnDrain: stream.endsOnDrain, byteCount: write(head, form, now))
        self.stream = inProgress
        if machine.isDraining, stream.endsOnDrain { return endStream(.complete) }
        flushUnlessLater()
        loop.context.requestsInFlight.increment()
        let body = stream.body
        let task = Task.immediate(executorPreference: loop.executor) {
            let ending: StreamEnding
            do {
                try await body(HTTPBodyWriter(inProgress))
                ending = .complete
            } catch {
                ending = .cut
            }
            self.bodyEnded(inProgress, ending)
        }
        inProgress.runs(in: task)
    }

    private static let chunkedField = ByteBuffer(string: "transfer-encoding: chunked\r\n")

    /// Takes the end of a body, on any thread. The stream may be over already.
    private func bodyEnded(_ ended: StreamInProgress, _ ending: StreamEnding) {
        loop.context.requestsInFlight.decrement()
        guard loop.eventLoop.inEventLoop else {
            return loop.eventLoop.execute { self.finish(ended, ending) }
        }
        finish(ended, ending)
    }

    private func finish(_ ended: StreamInProgress, _ ending: StreamEnding) {
        guard stream === ended else { return }
        switch ending {
        case .complete: endStream(.complete)
        case .cut: abandonStream()
        }
    }

    /// Whether the channel takes bytes of a stream now.
    var takesMore: Bool { context?.channel.isWritable ?? false }

    /// Sends a piece of the stream's body.
    func send(_ piece: ByteBuffer, of stream: StreamInProgress) {
        let before = output?.readableBytes ?? 0
        withOutput { output in
            if stream.isChunked {
                output.writeHexadecimal(piece.readableBytes)
                output.writeStaticString("\r\n")
            }
            output.writeImmutableBuffer(piece)
            if stream.isChunked { output.writeStaticString("\r\n") }
        }
        stream.byteCount += (output?.readableBytes ?? 0) - before
        flushUnlessLater()
    }

    /// Hands the output to the channel, unless the running call does so at its end and there is little.
    private func flushUnlessLater() {
        let isLater = isInReadBatch || isAdvancing
        if !isLater || (output?.readableBytes ?? 0) >= loop.limits.writeHighWaterMark { flush() }
    }

    /// Ends the stream in progress, and logs it. Where it is cut, the caller closes the connection.
    func endStream(_ ending: StreamEnding) {
        guard let ended = stream else { return }
        stream = nil
        ended.end()
        if ending == .complete, ended.isChunked {
            withOutput { $0.writeStaticString("0\r\n\r\n") }
            ended.byteCount += 5
        }
        if let log { log.end(status: ended.status, answerBytes: ended.byteCount, isIncomplete: ending == .cut) }
        switch ending {
        case .complete:
            let now = NIODeadline.now()
            machine.streamEnded(at: now)
            advance(now)
        case .cut:
            // Without chunks an ordered end would look like the end of the body.
            if !ended.isChunked { resetOnClose() }
        }
    }

    /// Cuts the connection in the middle of its stream.
    func abandonStream() {
        endStream(.cut)
        cut()
    }

    /// Has the close of the socket send a reset.
    private func resetOnClose() {
        let provider = context?.channel as? any SocketOptionProvider
        // Fails only on a socket that is closed already.
        provider?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in }
    }
}
