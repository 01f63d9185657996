import NIOCore

/// One connection of a run, with at most one request in flight, and the instant since which it is free. Confined to the run's loop.
final class LoadConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private(set) var freeSince: NIODeadline
    private let run: OpenLoopRun
    private var context: ChannelHandlerContext?
    private var scanner = ResponseScanner()
    /// When the request in flight was due; nil without one.
    private var due: NIODeadline?
    private var isEnded = false

    init(_ run: OpenLoopRun) {
        self.run = run
        freeSince = .now()
    }

    func send(_ request: ByteBuffer, due: NIODeadline) {
        assert(self.due == nil, "no pipelining")
        self.due = due
        context?.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func close() { context?.close(promise: nil) }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        freeSince = .now()
        run.connected(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnded else { return }
        do throws(ResponseScanner.Malformed) {
            guard let answer = try scanner.take(unwrapInboundIn(data)) else { return }
            guard let due else { throw ResponseScanner.Malformed() }
            self.due = nil
            freeSince = .now()
            if !answer.keepsAlive { isEnded = true }
            run.answered(status: answer.status, due: due, at: freeSince, by: self, isFree: answer.keepsAlive)
            if isEnded { close() }
        } catch {
            end(.malformed)
            close()
        }
    }

    func channelInactive(context: ChannelHandlerContext) { end(.closed) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // For example a reset; the close is reported as the end of the connection.
        context.close(promise: nil)
    }

    private func end(_ reason: OpenLoopRun.End) {
        guard !isEnded else { return }
        isEnded = true
        run.ended(self, reason, hadRequest: due != nil)
        due = nil
    }
}
