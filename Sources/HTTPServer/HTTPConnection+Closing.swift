import NIOCore

extension HTTPConnection {
    /// Sends what is left, shuts our side down, and waits a moment for the client to close.
    ///
    /// Closing at once would reset the connection where unread bytes are waiting, and the reset could overtake the answer.
    func sendLastAnswer() {
        guard let context else { return }
        guard let buffer = output else { return shutDown() }
        output = nil
        phase = .sendingLastAnswer
        readDeadline = now + limits.writeTimeout
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { result in
            switch result {
            case .success: self.shutDown()
            case .failure: self.cut()
            }
        }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: written)
        resumeReading()
    }

    private func shutDown() {
        guard phase != .closed, let context else { return }
        phase = .lingering
        readDeadline = .now() + limits.lingerTimeout
        if clientHasClosed { return cut() }
        context.close(mode: .output, promise: nil)
        resumeReading()
    }

    /// Closes the connection now, whatever it does.
    func cut() {
        context?.close(promise: nil)
    }

    /// Called when the server begins to drain: closes an idle connection, and ends any other with its next answer.
    func serverDrains() {
        guard phase == .open, exchanges.isEmpty, case .idle = input else { return }
        cut()
    }

    /// Called on every tick of the loop.
    func checkDeadlines(_ now: NIODeadline) {
        if now >= writeDeadline { return cut() }
        guard now >= readDeadline else { return }
        guard phase == .open else { return cut() }
        switch input {
        case .idle, .discarding:
            if exchanges.isEmpty { cut() }
        case .head, .body:
            if readIsHeld {
                // It is we who do not read; the client's time stands still meanwhile.
                readDeadline = now + limits.headTimeout
            } else {
                self.now = now
                reject(.requestTimeout)
                flush()
            }
        }
    }
}
