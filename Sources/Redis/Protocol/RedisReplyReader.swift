import CHiredis
import NIOCore

/// Turns bytes into replies with hiredis' `redisReader`, which keeps what is not yet a whole reply.
///
/// The reader's callbacks build `RedisValue`s directly, so there is no tree of C objects to walk and free. A reader is
/// used on one thread at a time (its connection's loop).
final class RedisReplyReader {
    /// Arrays within arrays that hiredis parses: 8 before version 1.0, 9 or more from there on.
    static let maximumDepth = Int(redisReaderMaximumDepth)

    /// hiredis moves what is left of its buffer to the front after a reply; small pieces keep that cheap.
    private static let feedSize = 16 << 10

    private let builder = RedisReplyBuilder()
    private let sink: UnsafeMutablePointer<redisReplySink>
    private let reader: UnsafeMutablePointer<redisReader>
    private let maximumReplyBytes: Int
    private var bytesSinceReply = 0

    init(maximumReplyBytes: Int) {
        self.maximumReplyBytes = maximumReplyBytes
        sink = .allocate(capacity: 1)
        sink.initialize(to: builder.makeSink())
        guard let reader = redisReaderCreateWithSink(sink) else { fatalError("out of memory") }
        // hiredis frees an empty buffer above this size before the next bytes; with the default of 16 KiB it would do so on every read.
        reader.pointee.maxbuf = 256 << 10
        self.reader = reader
    }

    deinit {
        redisReaderFree(reader)
        sink.deinitialize(count: 1)
        sink.deallocate()
    }

    /// Takes all of `bytes` and hands over each reply they complete.
    ///
    /// - Throws: `.protocolViolation`; the reader must not be used afterwards.
    func read(_ bytes: ByteBuffer, _ handle: (RedisValue) -> Void) throws(RedisError) {
        var rest = bytes
        while let piece = rest.readSlice(length: min(Self.feedSize, rest.readableBytes)), piece.readableBytes > 0 {
            let status = piece.withUnsafeReadableBytes { raw in
                redisReaderFeed(reader, raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count)
            }
            guard status == REDIS_OK else { throw violation() }
            bytesSinceReply += piece.readableBytes
            while let value = try next() {
                bytesSinceReply = reader.pointee.len - reader.pointee.pos
                handle(value)
            }
            guard bytesSinceReply <= maximumReplyBytes else {
                throw RedisError(.protocolViolation, "a reply is larger than \(maximumReplyBytes) bytes")
            }
        }
    }

    private func next() throws(RedisError) -> RedisValue? {
        var reply: UnsafeMutableRawPointer?
        guard redisReaderGetReply(reader, &reply) == REDIS_OK else { throw violation() }
        return reply == nil ? nil : builder.takeReply()
    }

    private func violation() -> RedisError {
        RedisError(.protocolViolation, "the server's reply cannot be read: \(builder.refusal ?? readerMessage)")
    }

    private var readerMessage: String {
        withUnsafeBytes(of: reader.pointee.errstr) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
