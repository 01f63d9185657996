import NIOCore
import Synchronization

/// Takes a stream that nobody reads while it is made.
final class BodyCollector: BodyTarget {
    private let collected = Mutex(ByteBuffer())

    /// What was written.
    var bytes: ByteBuffer { collected.withLock { $0 } }

    func write(_ piece: ByteBuffer) async throws {
        try collected.withLock { all in
            guard all.readableBytes + piece.readableBytes <= HTTPStream.largestCollected else { throw HTTPStreamIsOver() }
            all.writeImmutableBuffer(piece)
        }
    }
}
