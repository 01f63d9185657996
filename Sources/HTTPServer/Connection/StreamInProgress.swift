import NIOCore

/// One stream that a connection sends: who waits to write, and what was sent.
///
/// Safety of `@unchecked Sendable`: every variable is touched on the connection's event loop only, which every entry asserts or hops to.
final class StreamInProgress: BodyTarget, @unchecked Sendable {
    let status: Int
    /// Whether the body is sent in chunks; else until the connection ends.
    let isChunked: Bool
    let endsOnDrain: Bool
    /// Bytes of head and body that were handed to the channel.
    var byteCount: Int
    /// Runs the body; nil before it was begun.
    private var task: Task<Void, Never>?
    private let eventLoop: any EventLoop
    /// Nil once the stream is over.
    private var connection: HTTPConnection?
    /// Writes that wait for the channel, in the order of their coming. Each keeps its own piece.
    private var waiting: [Write] = []

    /// A write that waits.
    ///
    /// Safety of `@unchecked Sendable`: as for the stream.
    private final class Write: @unchecked Sendable {
        var isCancelled = false
        var continuation: CheckedContinuation<Void, any Error>?
        let piece: ByteBuffer

        init(_ piece: ByteBuffer) { self.piece = piece }
    }

    init(_ connection: HTTPConnection, status: Int, isChunked: Bool, endsOnDrain: Bool, byteCount: Int) {
        (self.connection, self.status, self.isChunked) = (connection, status, isChunked)
        (self.endsOnDrain, self.byteCount) = (endsOnDrain, byteCount)
        eventLoop = connection.loop.eventLoop
    }

    /// Notes the task of the body, which is cancelled at once where the stream is over already.
    func runs(in task: Task<Void, Never>) {
        eventLoop.assertInEventLoop()
        if connection == nil { task.cancel() } else { self.task = task }
    }

    func write(_ piece: ByteBuffer) async throws {
        try Task.checkCancellation()
        if eventLoop.inEventLoop, try writeAtOnce(piece) { return }
        let write = Write(piece)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { self.begin(write, continuation) }
            }
        } onCancel: {
            onLoop { self.cancel(write) }
        }
    }

    /// Sends a piece where no other waits and the client takes it; otherwise returns false.
    private func writeAtOnce(_ piece: ByteBuffer) throws -> Bool {
        guard let connection else { throw HTTPStreamIsOver() }
        guard waiting.isEmpty, connection.takesMore else { return false }
        connection.send(piece, of: self)
        return true
    }

    private func begin(_ write: Write, _ continuation: CheckedContinuation<Void, any Error>) {
        guard !write.isCancelled else { return continuation.resume(throwing: CancellationError()) }
        do {
            guard try !writeAtOnce(write.piece) else { return continuation.resume() }
        } catch {
            return continuation.resume(throwing: error)
        }
        write.continuation = continuation
        waiting.append(write)
    }

    private func cancel(_ write: Write) {
        write.isCancelled = true
        guard let continuation = write.continuation.take() else { return }
        waiting.removeAll { $0 === write }
        continuation.resume(throwing: CancellationError())
    }

    /// Sends what waits, as much as the channel takes.
    func resumeWriters() {
        eventLoop.assertInEventLoop()
        while let connection, !waiting.isEmpty, connection.takesMore {
            let write = waiting.removeFirst()
            connection.send(write.piece, of: self)
            write.continuation.take()?.resume()
        }
    }

    /// Ends the body: its task is cancelled, and its writes fail.
    func end() {
        eventLoop.assertInEventLoop()
        connection = nil
        task?.cancel()
        task = nil
        let writes = waiting
        waiting = []
        for write in writes { write.continuation.take()?.resume(throwing: HTTPStreamIsOver()) }
    }

    private func onLoop(_ work: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { work() } else { eventLoop.execute(work) }
    }
}
