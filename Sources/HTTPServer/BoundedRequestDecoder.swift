import NIOCore
import NIOHTTP1

/// NIOHTTP1's request decoder, with what it leaves unbounded bounded.
///
/// The decoder counts names, values and target, but neither the spaces around them nor what chunked framing adds, and after an
/// error or an upgrade it keeps whatever arrives. Here every byte that is not body counts, and nothing is kept once the
/// connection takes no more requests.
final class BoundedRequestDecoder: ByteToMessageDecoder {
    typealias InboundOut = HTTPServerRequestPart

    private let decoder: HTTPRequestDecoder
    private let connection: HTTPConnection
    /// Bytes an earlier call left in the buffer: the part of a head that is not complete.
    private var leftOver = 0

    init(connection: HTTPConnection, configuration: HTTPServerConfiguration) {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderListSize = configuration.maximumHeaderBytes
        limits.maxHeaderFieldSize = configuration.maximumHeaderBytes
        limits.maxHeaderFieldCount = configuration.maximumHeaderFields
        self.decoder = HTTPRequestDecoder(limitConfiguration: limits)
        self.connection = connection
    }

    func decoderAdded(context: ChannelHandlerContext) {
        decoder.decoderAdded(context: context)
    }

    func decoderRemoved(context: ChannelHandlerContext) {
        decoder.decoderRemoved(context: context)
    }

    func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) -> DecodingState {
        connection.bytesArrived(buffer.readableBytes - leftOver)
        feed(&buffer) { try decoder.decode(context: context, buffer: &$0) }
        return .needMoreData
    }

    func decodeLast(context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool) -> DecodingState {
        // Once both sides are closed there is nobody to tell that a request was cut short.
        guard context.channel.isActive else { return .needMoreData }
        feed(&buffer) { try decoder.decodeLast(context: context, buffer: &$0, seenEOF: seenEOF) }
        return .needMoreData
    }

    private func feed(_ buffer: inout ByteBuffer, _ body: (inout ByteBuffer) throws -> DecodingState) {
        if connection.takesRequests {
            do {
                _ = try body(&buffer)
            } catch {
                connection.decodingFailed(error)
            }
            connection.bytesDecoded(leftOver: buffer.readableBytes)
        }
        // Checked again: what was just decoded may have been the last request.
        if !connection.takesRequests { buffer.moveReaderIndex(to: buffer.writerIndex) }
        leftOver = buffer.readableBytes
    }
}
