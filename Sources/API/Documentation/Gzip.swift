import CZlib
import NIOCore

/// Compression in the gzip format (RFC 1952), by the system's zlib.
enum Gzip {
    /// The bytes compressed as far as zlib can, for documents that are compressed once and sent often. The same zlib makes the same bytes
    /// of the same document, because the header names neither a time nor a file. Nil where zlib has no memory.
    static func compressed(_ plain: ByteBuffer) -> ByteBuffer? {
        var stream = z_stream()
        guard czlib_begin_gzip(&stream, Z_BEST_COMPRESSION) == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(plain.readableBytes)))
        var output = ByteBuffer()
        var isComplete = false
        plain.withUnsafeReadableBytes { input in
            _ = output.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
                stream.next_in = input.bindMemory(to: UInt8.self).baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = target.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = UInt32(target.count)
                isComplete = deflate(&stream, Z_FINISH) == Z_STREAM_END
                return target.count - Int(stream.avail_out)
            }
        }
        return isComplete ? output : nil
    }
}
