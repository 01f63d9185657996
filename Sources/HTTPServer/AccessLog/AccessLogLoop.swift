import NIOCore
import TraceContext

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
    /// - Parameters:
    ///   - answerBytes: bytes of the answer, head and body; 0 where it could not be sent.
    ///   - status: nil where there was no answer.
    func append(
        _ request: borrowing LoggedRequest, of connection: borrowing LoggedConnection, status: Int?, answerBytes: Int, at now: NIODeadline
    ) {
        guard let chunk = roomyChunk() else { return queue.drop(1) }
        let target = UnsafeMutableRawBufferPointer(rebasing: chunk.bytes[chunk.byteCount...])
        let count = request.write(into: target, of: connection, status: status, answerBytes: answerBytes, at: now)
        chunk.byteCount += count
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

/// What lines about all requests of a connection have in common.
struct LoggedConnection {
    let number: UInt64
    /// The address of the peer as text.
    let address: [UInt8]

    init(number: UInt64, peer: SocketAddress?) {
        self.number = number
        let text =
            switch peer {
            case .v4, .v6: peer?.ipAddress ?? ""
            case .unixDomainSocket: "unix"
            case nil: ""
            }
        address = Array(text.utf8.prefix(128))
    }
}

/// A request that was begun, with what its line needs.
struct LoggedRequest {
    /// Nil where the request was refused before its head was read.
    var head: RequestHead?
    /// Begin with the head.
    var bytes = ByteBuffer()
    var number: UInt32
    var given: GivenRequestID?
    var receivedAt: NIODeadline
    var route: Int?
    var sender = RequestNotes.Sender.unknown
    /// The client's address, where a proxy names it.
    var client: IPAddress?

    /// Writes the record; returns its length.
    func write(
        into target: UnsafeMutableRawBufferPointer, of connection: borrowing LoggedConnection, status: Int?, answerBytes: Int,
        at now: NIODeadline
    ) -> Int {
        var record = AccessLogRecord()
        record.number = number
        record.connection = connection.number
        record.receivedAt = receivedAt.uptimeNanoseconds > 0 ? UInt64(receivedAt.uptimeNanoseconds) : 0
        record.nanoseconds = (now - receivedAt).nanoseconds
        record.answerBytes = Int64(answerBytes)
        record.status = UInt16(truncatingIfNeeded: status ?? 0)
        record.route = Int16(truncatingIfNeeded: route ?? -1)
        var end = MemoryLayout<AccessLogRecord>.size
        func append(_ bytes: UnsafeRawBufferPointer, _ longest: Int) -> Int {
            let count = min(bytes.count, longest)
            UnsafeMutableRawBufferPointer(rebasing: target[end...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            end += count
            return count
        }
        if let head {
            record.flags.insert(.hasHead)
            if head.version == .http10 { record.flags.insert(.isHTTP10) }
            bytes.withUnsafeReadableBytes { bytes in
                func copy(_ range: ByteRange, _ longest: Int) -> Int {
                    guard !range.isAbsent, range.range.upperBound <= bytes.count else { return 0 }
                    return append(UnsafeRawBufferPointer(rebasing: bytes[range.range]), longest)
                }
                record.methodByteCount = UInt8(copy(head.methodName, AccessLogRecord.longestMethod))
                if !head.path.isAbsent {
                    record.flags.insert(.hasPath)
                    record.pathByteCount = UInt16(copy(head.path, AccessLogRecord.longestPath))
                    if head.path.range.count > AccessLogRecord.longestPath { record.flags.insert(.pathIsCut) }
                }
                guard !head.lines.isAbsent, head.lines.range.upperBound <= bytes.count else { return }
                let lines = FieldLines(UnsafeRawBufferPointer(rebasing: bytes[head.lines.range]))
                if let agent = lines.onlyValue(of: "user-agent") {
                    record.agentByteCount = UInt16(append(agent, AccessLogRecord.longestAgent))
                }
                // A longer value is one of a later version, of which the first 56 bytes say whether it is valid.
                if let trace = lines.onlyValue(of: "traceparent") {
                    record.traceByteCount = UInt8(append(trace, TraceParent.byteCount + 1))
                }
            }
        }
        if let given {
            var text = given.text
            record.givenIDByteCount = UInt8(text.withUTF8 { append(UnsafeRawBufferPointer($0), GivenRequestID.maximumByteCount) })
        }
        switch sender {
        case .unknown: break
        case .user(let id): record.user = id
        case .admin(var subject):
            record.flags.insert(.isAdmin)
            record.subjectByteCount = UInt8(subject.withUTF8 { append(UnsafeRawBufferPointer($0), 255) })
        }
        if let client {
            var text = client.description
            record.addressByteCount = UInt8(text.withUTF8 { append(UnsafeRawBufferPointer($0), 128) })
        } else {
            record.addressByteCount = UInt8(connection.address.withUnsafeBytes { append($0, 128) })
        }
        end = (end + 7) & ~7
        record.byteCount = UInt32(end)
        target.storeBytes(of: record, as: AccessLogRecord.self)
        return end
    }
}
