import NIOCore

/// The access log's part on one event loop: collects the loop's records and hands them to the writer, full chunks at once and others
/// after a tenth of a second. Without requests it does nothing.
///
/// Safety of `@unchecked Sendable`: the variables are touched on `eventLoop` only.
final class AccessLogLoop: @unchecked Sendable {
    let eventLoop: any EventLoop
    private let queue: AccessLogQueue
    private var chunk: AccessLogChunk?
    private var handOverIsScheduled = false

    /// How long a record may wait before it is handed over.
    private static let longestWait = TimeAmount.milliseconds(100)

    init(eventLoop: any EventLoop, queue: AccessLogQueue) {
        (self.eventLoop, self.queue) = (eventLoop, queue)
    }

    /// Adds one request.
    ///
    /// - Parameter write: writes the record to memory that has room for any, and returns its length.
    @inline(__always)
    func append(_ write: (UnsafeMutableRawPointer) -> Int) {
        guard let chunk = roomyChunk() else { return queue.drop(1) }
        chunk.byteCount += write(chunk.memory + chunk.byteCount)
        if !handOverIsScheduled { scheduleHandOver() }
    }

    /// The present chunk where it has room for any record, or a new one.
    @inline(__always)
    private func roomyChunk() -> AccessLogChunk? {
        if let chunk, chunk.byteCount + AccessLogRecord.maximumByteCount <= AccessLogChunk.capacity { return chunk }
        return nextChunk()
    }

    private func nextChunk() -> AccessLogChunk? {
        handOver()
        chunk = queue.take()
        return chunk
    }

    private func scheduleHandOver() {
        handOverIsScheduled = true
        eventLoop.scheduleTask(in: Self.longestWait) {
            self.handOverIsScheduled = false
            guard let chunk = self.chunk else { return }
            // While the writer is behind, small chunks would use up the permitted number of chunks.
            if self.queue.isLong, chunk.byteCount < AccessLogChunk.capacity / 2 { return self.scheduleHandOver() }
            self.handOver()
        }
    }

    /// Hands what is collected to the writer.
    func handOver() {
        guard let full = chunk else { return }
        chunk = nil
        queue.put(full)
    }
}
