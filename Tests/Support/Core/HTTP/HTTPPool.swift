package import NIOCore
import NIOPosix
import Synchronization

/// A keep-alive HTTP/1.1 client with a bounded number of connections, for thousands of requests at once.
///
/// Each connection carries one request at a time; further requests wait for the first free connection.
package final class HTTPPool: Sendable {
    package struct Closed: Error {}
    package struct TimedOut: Error {}

    private struct State {
        var idle: [any Channel] = []
        var open = 0
        var waiters: [CheckedContinuation<(any Channel)?, Never>] = []
        var firstWaiter = 0
    }

    private let port: Int
    private let maximumConnections: Int
    private let state = Mutex(State())

    package init(port: Int, maximumConnections: Int) {
        (self.port, self.maximumConnections) = (port, maximumConnections)
    }

    /// Opens this many connections, so that later requests need not wait for one.
    package func warm(_ count: Int) async throws {
        try await withThrowingTaskGroup { group in
            for _ in 0..<count { group.addTask { try await self.take() } }
            var channels: [any Channel] = []
            for try await channel in group { channels.append(channel) }
            for channel in channels { give(back: channel) }
        }
    }

    /// Sends the bytes of one request and returns its response.
    ///
    /// - Parameter limit: how long the response may take once the request is sent; nil for no limit.
    package func send(_ request: ByteBuffer, isHead: Bool = false, within limit: Duration? = nil) async throws -> HTTPAnswer {
        let channel = try await take()
        let answer: HTTPAnswer
        do {
            let promise = channel.eventLoop.makePromise(of: HTTPAnswer.self)
            // A closed channel has no handlers, so only the write's promise reports that the request was not sent.
            let written = channel.eventLoop.makePromise(of: Void.self)
            written.futureResult.whenFailure { promise.fail($0) }
            channel.writeAndFlush(Exchange(request: request, isHead: isHead, answer: promise), promise: written)
            let timeout = limit.map { channel.eventLoop.scheduleTask(in: TimeAmount($0)) { promise.fail(TimedOut()) } }
            defer { timeout?.cancel() }
            answer = try await promise.futureResult.get()
        } catch {
            drop(channel)
            throw error
        }
        if answer[header: "connection"] == "close" { drop(channel) } else { give(back: channel) }
        return answer
    }

    package func close() async {
        for channel in state.withLock({ state in
            defer { state.idle = [] }
            return state.idle
        }) {
            try? await channel.close()
        }
    }

    private enum Place {
        case free(any Channel)
        case unopened
        case none
    }

    private func findPlace(_ state: inout State) -> Place {
        while let channel = state.idle.popLast() {
            if channel.isActive { return .free(channel) }
            state.open -= 1
        }
        guard state.open < maximumConnections else { return .none }
        state.open += 1
        return .unopened
    }

    private func take() async throws -> any Channel {
        switch state.withLock({ findPlace(&$0) }) {
        case .free(let channel): return channel
        case .unopened: return try await connect()
        case .none: break
        }
        let given = await withCheckedContinuation { continuation in
            let place = state.withLock { state -> Place in
                let place = findPlace(&state)
                if case .none = place { state.waiters.append(continuation) }
                return place
            }
            switch place {
            case .free(let channel): continuation.resume(returning: channel)
            case .unopened: continuation.resume(returning: nil)
            case .none: break
            }
        }
        if let given { return given }
        return try await connect()
    }

    private func connect() async throws -> any Channel {
        do {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelOption(.socketOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(AnswerReader()) }
                }
                .connect(host: "127.0.0.1", port: port).get()
        } catch {
            freePlace()
            throw error
        }
    }

    private func nextWaiter(_ state: inout State) -> CheckedContinuation<(any Channel)?, Never>? {
        guard state.firstWaiter < state.waiters.count else { return nil }
        defer {
            state.firstWaiter += 1
            if state.firstWaiter == state.waiters.count { (state.waiters, state.firstWaiter) = ([], 0) }
        }
        return state.waiters[state.firstWaiter]
    }

    private func give(back channel: any Channel) {
        let waiter = state.withLock { state in
            let waiter = nextWaiter(&state)
            if waiter == nil { state.idle.append(channel) }
            return waiter
        }
        waiter?.resume(returning: channel)
    }

    private func drop(_ channel: any Channel) {
        channel.close(promise: nil)
        freePlace()
    }

    /// Lets a waiting request open a connection in place of one that has ended.
    private func freePlace() {
        let waiter = state.withLock { state in
            let waiter = nextWaiter(&state)
            if waiter == nil { state.open -= 1 }
            return waiter
        }
        waiter?.resume(returning: nil)
    }
}

/// A request to be sent, with the promise of its answer.
private struct Exchange: Sendable {
    let request: ByteBuffer
    let isHead: Bool
    let answer: EventLoopPromise<HTTPAnswer>
}

/// Reads answers by their `Content-Length`, the only framing that the service uses. Confined to its channel's loop.
private final class AnswerReader: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Exchange
    typealias OutboundOut = ByteBuffer

    private var received = ByteBuffer()
    private var current: Exchange?

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let exchange = unwrapOutboundIn(data)
        guard context.channel.isActive, current == nil else { return exchange.answer.fail(HTTPPool.Closed()) }
        current = exchange
        context.write(wrapOutboundOut(exchange.request), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        received.writeBuffer(&bytes)
        guard let exchange = current else { return }
        do {
            guard let answer = try takeAnswer(isHead: exchange.isHead) else { return }
            current = nil
            exchange.answer.succeed(answer)
        } catch {
            fail(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { fail(HTTPPool.Closed()) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    private func fail(_ error: any Error) {
        current?.answer.fail(error)
        current = nil
    }

    private func takeAnswer(isHead: Bool) throws -> HTTPAnswer? {
        let view = received.readableBytesView
        guard let end = view.indices.first(where: { view[$0...].starts(with: [13, 10, 13, 10]) }) else { return nil }
        let lines = String(decoding: view[..<end], as: UTF8.self).split(separator: "\r\n")
        guard let status = lines.first.flatMap({ Int($0.split(separator: " ").dropFirst().first ?? "") }) else {
            throw HTTPAnswer.NotAsExpected(description: "no status line: \(lines)")
        }
        let headers = lines.dropFirst().map { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return (name: parts[0].lowercased(), value: String((parts.count > 1 ? parts[1] : "").drop { $0 == " " }))
        }
        let length = isHead ? 0 : headers.first { $0.name == "content-length" }.flatMap { Int($0.value) } ?? 0
        let headLength = end - view.startIndex + 4
        guard received.readableBytes >= headLength + length else { return nil }
        received.moveReaderIndex(forwardBy: headLength)
        let body = received.readSlice(length: length) ?? ByteBuffer()
        received.discardReadBytes()
        return HTTPAnswer(status: status, headers: Array(headers), body: body)
    }
}
