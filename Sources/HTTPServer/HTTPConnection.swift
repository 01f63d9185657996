import NIOCore
import NIOHTTP1

/// One connection: collects requests, runs the handler on them, and sends the answers in order.
///
/// Safety of `@unchecked Sendable`: everything mutable is touched on the connection's event loop only. Handlers finish on that loop,
/// since their tasks prefer its executor; where an embedder's executor does otherwise, `handlerFinished` hops back.
///
/// Parts: reading in `HTTPConnection+Reading`, running and answering in `HTTPConnection+Answering`, deadlines and the
/// end of the connection in `HTTPConnection+Closing`.
final class HTTPConnection: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the next bytes from the client belong to.
    enum Input {
        /// Nothing yet: between two requests, or before the first.
        case idle
        /// A head that has begun.
        case head
        /// The body of `partial`.
        case body
        /// Nothing any more: the last request was read, and what follows is dropped.
        case discarding
    }

    /// How far the end of the connection has come.
    enum Phase {
        case open
        /// The last answer is written, but not yet sent.
        case sendingLastAnswer
        /// All is sent and our side is shut down; the client may still read, and closes.
        case lingering
        case closed
    }

    let loop: HTTPServerLoop
    let limits: ConnectionLimits
    let server: ServerContext
    /// Set where the connection is refused as a whole, before anything is read.
    let refusedWith: HTTPRefusal?
    var context: ChannelHandlerContext?

    var input = Input.idle
    /// The request whose body is arriving. Beside `input` and not in it, so that it is filled in place and never copied.
    var partial: PartialRequest?
    var phase = Phase.open
    var clientHasClosed = false

    /// Requests in the order received that are not yet rendered into `output`.
    var exchanges = CircularBuffer<Exchange>(initialCapacity: 1)
    /// How many of `exchanges`, from the first, are no longer waiting.
    var startedCount = 0
    /// Number of the first of `exchanges`, counted from the connection's first request.
    var firstNumber = 0
    var runningCount = 0
    var runsUnsafeRequest = false
    var isPumping = false

    /// Answers of the current read batch.
    var output: ByteBuffer?
    var isInReadBatch = false
    /// Whether the client takes its answers: what the channel last said, which costs less than asking it.
    var isWritable = true
    var readIsHeld = false
    var now = NIODeadline.now()

    /// Bytes since the head began, or since it ended, that are not body.
    var overheadBytes = 0
    /// When the client must have sent what `input` and `phase` wait for.
    var readDeadline = NIODeadline.distantFuture
    /// When a full send buffer must have room again.
    var writeDeadline = NIODeadline.distantFuture

    init(loop: HTTPServerLoop, refusedWith: HTTPRefusal? = nil) {
        self.loop = loop
        self.limits = loop.limits
        self.server = loop.context
        self.refusedWith = refusedWith
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        now = .now()
        readDeadline = now + limits.headTimeout
        loop.add(self)
        if context.channel.isActive { refuseIfDue() }
    }

    func channelActive(context: ChannelHandlerContext) {
        refuseIfDue()
        context.fireChannelActive()
    }

    private func refuseIfDue() {
        guard let refusedWith, takesRequests else { return }
        enqueueRefusal(refusedWith)
        flush()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
    }

    /// Forgets the client. Handlers that still run finish, and their answers are dropped.
    private func end() {
        guard phase != .closed else { return }
        phase = .closed
        input = .discarding
        context = nil
        partial = nil
        exchanges.removeAll()
        output = nil
        if refusedWith == nil {
            server.counters.openConnections.decrement()
        } else {
            server.counters.openRefusals.decrement()
        }
        loop.remove(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is HTTPParserError {
            // The one error the decoder does not throw: a major version other than 1.
            decodingFailed(error)
        } else {
            // Resets and the like: the client is gone, and nobody is left to tell.
            context.close(promise: nil)
        }
    }
}
