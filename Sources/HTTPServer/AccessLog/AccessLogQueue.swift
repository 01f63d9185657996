import Dispatch
import Synchronization

/// Some records of one loop in a row, on their way to the writer.
///
/// Safety of `@unchecked Sendable`: one owner at a time, a loop or the writer; the queue's mutex hands it over.
final class AccessLogChunk: @unchecked Sendable {
    static let capacity = 64 * 1024

    let bytes: UnsafeMutableRawBufferPointer
    var byteCount = 0

    /// The texts of the last record are read eight bytes at a time as well.
    let memory = UnsafeMutableRawPointer.allocate(byteCount: AccessLogChunk.capacity + AccessLogCursor.slack, alignment: 16)

    init() {
        bytes = UnsafeMutableRawBufferPointer(start: memory, count: Self.capacity)
    }

    deinit { memory.deallocate() }
}

/// Passes chunks from the loops to the writer and back. Its number of chunks is the bound of the log's memory.
final class AccessLogQueue: Sendable {
    /// 4 MiB, about 30,000 requests.
    static let maximumChunks = 64

    private struct State {
        var full: [AccessLogChunk] = []
        var spare: [AccessLogChunk] = []
        var allocated = 0
        var isEnding = false
    }

    private let state = Mutex(State())
    private let droppedCount = Atomic<Int>(0)
    /// Signalled when the writer has something to do.
    private let wakeup = DispatchSemaphore(value: 0)

    var dropped: Int { droppedCount.load(ordering: .relaxed) }

    /// Counts requests that are missing from the log. Only where the log is too slow, so loops need no counters of their own.
    func drop(_ count: Int) { droppedCount.wrappingAdd(count, ordering: .relaxed) }

    /// An empty chunk; nil where as many as are permitted wait for the writer.
    func take() -> AccessLogChunk? {
        state.withLock { state in
            if let chunk = state.spare.popLast() { return chunk }
            guard state.allocated < Self.maximumChunks else { return nil }
            state.allocated += 1
            return AccessLogChunk()
        }
    }

    /// Hands a chunk with records to the writer.
    func put(_ chunk: AccessLogChunk) {
        state.withLock { $0.full.append(chunk) }
        wakeup.signal()
    }

    /// Whether the writer is so far behind that further chunks should be filled well before they are handed over.
    var isLong: Bool { state.withLock { $0.full.count >= Self.maximumChunks / 4 } }

    /// What waits for the writer, in order, and whether nothing follows.
    func takeFull() -> (chunks: [AccessLogChunk], isEnding: Bool) {
        state.withLock { state in
            let chunks = state.full
            state.full = []
            return (chunks, state.isEnding)
        }
    }

    /// Gives an emptied chunk back. Few are kept, so that the memory of a burst is freed.
    func giveBack(_ chunk: AccessLogChunk) {
        chunk.byteCount = 0
        state.withLock { state in
            if state.spare.count < 8 { state.spare.append(chunk) } else { state.allocated -= 1 }
        }
    }

    func end() {
        state.withLock { $0.isEnding = true }
        wakeup.signal()
    }

    /// Wakes the writer for something else than chunks.
    func wake() { wakeup.signal() }

    /// Blocks the writer until it is woken, or until the time has passed.
    func wait(atMost seconds: Double? = nil) {
        guard let seconds else { return wakeup.wait() }
        _ = wakeup.wait(timeout: .now() + seconds)
    }
}
