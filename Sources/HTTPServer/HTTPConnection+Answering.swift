import NIOCore

extension HTTPConnection {
    /// Starts what may start and renders what is answered, until neither goes on.
    func pump() {
        // A handler that never suspends comes back here from inside `start`.
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        renderAnswers()
        while startedCount < exchanges.count, mayStartNext {
            startNext()
            renderAnswers()
        }
    }

    private var mayStartNext: Bool {
        guard phase == .open, let context else { return false }
        // Answers beyond the mark must leave first, and with a slow reader they wait for it.
        if let output, output.readableBytes >= configuration.writeHighWaterMark {
            flushOutput()
            guard context.channel.isWritable else { return false }
        }
        if runningCount == 0 { return context.channel.isWritable }
        let next = exchanges[offset: startedCount]
        return next.isSafe && !runsUnsafeRequest && runningCount < configuration.maximumPipelinedRequests
    }

    private func startNext() {
        let index = startedCount
        startedCount += 1
        guard case .waiting(let request) = exchanges[offset: index].state else { return }
        let counters = server.counters
        guard ServerCounters.take(counters.requestsInFlight, limit: configuration.maximumRequestsInFlight) else {
            counters.refusedRequests.increment()
            exchanges[offset: index].state = .answered(server.refusalResponse(.tooManyRequests))
            return
        }
        counters.requests.increment()
        exchanges[offset: index].state = .running
        runningCount += 1
        runsUnsafeRequest = !exchanges[offset: index].isSafe
        let number = firstNumber + index
        Task.immediate(executorPreference: loop.executor) { [server] in
            let response = await server.handler(request)
            self.handlerFinished(number, response)
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
        exchanges[offset: number - firstNumber].state = .answered(response)
        // A handler that did not suspend was started by `pump`, which goes on by itself.
        guard !isPumping else { return }
        now = .now()
        pump()
        if !isInReadBatch { flush() }
    }

    private func renderAnswers() {
        while let first = exchanges.first, case .answered(let response) = first.state {
            exchanges.removeFirst()
            firstNumber += 1
            startedCount = max(0, startedCount - 1)
            var connection = first.connection
            if exchanges.isEmpty, isLastAnswer { connection = .close }
            if case .close = connection { input = .discarding }
            let date = loop.renderedDate(now)
            withOutput { response.render(into: &$0, date: date, connection: connection, isHead: first.isHead) }
        }
        if exchanges.isEmpty {
            sendContinueIfDue()
            if case .idle = input { readDeadline = now + configuration.idleTimeout }
        }
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
        if context.channel.isWritable {
            writeDeadline = .distantFuture
            if phase == .open {
                now = .now()
                pump()
                if !isInReadBatch { flush() }
            }
        } else {
            writeDeadline = .now() + configuration.writeTimeout
        }
        context.fireChannelWritabilityChanged()
    }
}
