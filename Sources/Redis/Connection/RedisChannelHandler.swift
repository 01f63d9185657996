import NIOCore

/// The handler of one socket: parses its bytes with hiredis and passes the replies on. Each attempt to connect has its own handler.
final class RedisChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let reader: RedisReplyReader
    /// Nil after `detach()`.
    private var connection: RedisNodeConnection?
    private var context: ChannelHandlerContext?
    private var lastError: (any Error)?

    init(connection: RedisNodeConnection, maximumReplyBytes: Int) {
        self.connection = connection
        reader = RedisReplyReader(maximumReplyBytes: maximumReplyBytes)
    }

    /// Hands the bytes to the socket in one write.
    func write(_ buffer: ByteBuffer) {
        guard let context else { return }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    /// Closes the socket; the connection gets no more events from it.
    func detach() {
        connection = nil
        context?.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(RedisError) {
            try reader.read(unwrapInboundIn(data)) { connection?.received($0) }
        } catch {
            connection?.disconnect(because: error)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection?.readCompleted()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        lastError = error
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let error = RedisError(.notConnected, "the connection to Redis was closed", cause: lastError)
        connection?.disconnect(because: error)
    }
}
