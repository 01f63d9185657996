import NIOCore
import NIOHTTP1

extension HTTPConnection {
    /// Takes a complete request: runs it at once where nothing is before it, and else queues it.
    func accept(_ request: HTTPRequest, _ connection: ConnectionHeader) {
        let method = request.method
        var exchange = Exchange(state: .running, isHead: method == .HEAD, connection: connection, isSafe: method.isSafe)
        guard exchanges.isEmpty, !isPumping, mayStartNext(isSafe: exchange.isSafe) else {
            exchange.state = .waiting(request)
            exchanges.append(exchange)
            return pump()
        }
        exchanges.append(exchange)
        startedCount = 1
        isPumping = true
        run(request, number: firstNumber, isSafe: exchange.isSafe)
        isPumping = false
    }

    /// Starts what may start and renders what is answered, until neither goes on.
    func pump() {
        // A handler that never suspends comes back here from inside `run`.
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        renderAnswers()
        while startedCount < exchanges.count, mayStartNext(isSafe: exchanges[offset: startedCount].isSafe) {
            startNext()
            renderAnswers()
        }
    }

    private func mayStartNext(isSafe: Bool) -> Bool {
        guard phase == .open else { return false }
        // Answers beyond the mark must leave first, and with a slow reader they wait for it.
        if let output, output.readableBytes >= limits.writeHighWaterMark { flushOutput() }
        guard isWritable else { return false }
        return runningCount == 0 || (isSafe && !runsUnsafeRequest && runningCount < limits.maximumPipelinedRequests)
    }

    private func startNext() {
        let index = startedCount
        startedCount += 1
        guard case .waiting(let request) = exchanges[offset: index].state else { return }
        exchanges[offset: index].state = .running
        run(request, number: firstNumber + index, isSafe: exchanges[offset: index].isSafe)
    }

    private func run(_ request: HTTPRequest, number: Int, isSafe: Bool) {
        let counters = server.counters
        guard ServerCounters.take(counters.requestsInFlight, limit: limits.maximumRequestsInFlight) else {
            counters.refusedRequests.increment()
            return settle(number, server.refusalResponse(.tooManyRequests))
        }
        counters.requests.increment()
        runningCount += 1
        runsUnsafeRequest = !isSafe
        switch server.handler(request) {
        case .now(let response):
            handlerFinished(number, response)
        case .later(let begin):
            begin { self.handlerFinished(number, $0) }
        case .task(let work):
            Task.immediate(executorPreference: loop.executor) {
                let response = await work()
                self.handlerFinished(number, response)
            }
        }
    }

    private func handlerFinished(_ number: Int, _ response: HTTPResponse) {
        server.counters.requestsInFlight.decrement()
        if loop.eventLoop.inEventLoop {
            answer(number, response)
        } else {
            loop.eventLoop.execute { self.answer(number, response) }
        }
    }

    private func answer(_ number: Int, _ response: HTTPResponse) {
        guard phase != .closed else { return }
        runningCount -= 1
        runsUnsafeRequest = false
        // A handler that did not suspend was started by `pump` or `accept`, which go on by themselves.
        guard !isPumping else { return settle(number, response) }
        now = .now()
        settle(number, response)
        pump()
        if !isInReadBatch { flush() }
    }

    /// Renders an answer if it is the next to leave, and else keeps it for its turn.
    private func settle(_ number: Int, _ response: HTTPResponse) {
        if number == firstNumber {
            renderFirst(response)
        } else {
            exchanges[offset: number - firstNumber].state = .answered(response)
        }
    }

    private func renderAnswers() {
        while let first = exchanges.first, case .answered(let response) = first.state { renderFirst(response) }
    }

    private func renderFirst(_ response: HTTPResponse) {
        let first = exchanges.removeFirst()
        firstNumber += 1
        startedCount = max(0, startedCount - 1)
        var connection = first.connection
        if exchanges.isEmpty, isLastAnswer { connection = .close }
        if case .close = connection { input = .discarding }
        let date = loop.renderedDate(now)
        withOutput { response.render(into: &$0, date: date, connection: connection, isHead: first.isHead) }
        guard exchanges.isEmpty else { return }
        sendContinueIfDue()
        if case .idle = input { readDeadline = now + limits.idleTimeout }
    }

    /// Whether nothing follows the answer being rendered, the last one in the queue.
    private var isLastAnswer: Bool {
        switch input {
        case .discarding: true
        case .idle: loop.isDraining
        case .head, .body: false
        }
    }

    func withOutput(_ write: (inout ByteBuffer) -> Void) {
        // Moved out while written to, so that the buffer is uniquely owned and not copied.
        var buffer = output ?? loop.takeBuffer()
        output = nil
        write(&buffer)
        output = buffer
    }

    /// Sends what is rendered, then closes or reads on, whichever is due.
    func flush() {
        guard phase != .closed else { return }
        if phase == .open, exchanges.isEmpty, !takesRequests { return sendLastAnswer() }
        flushOutput()
        resumeReading()
    }

    private func flushOutput() {
        guard let buffer = output, let context else { return }
        output = nil
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
        loop.giveBack(buffer)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        if isWritable {
            writeDeadline = .distantFuture
            if phase == .open {
                now = .now()
                pump()
                if !isInReadBatch { flush() }
            }
        } else {
            writeDeadline = .now() + limits.writeTimeout
        }
        context.fireChannelWritabilityChanged()
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
