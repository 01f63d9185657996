import NIOCore
import TraceContext

/// The access log of one connection: what all its lines have in common, and the request in progress.
///
/// An object of its own, so that nothing is copied on the way to a record; connections of a server without an access log have none.
///
/// Safety of `@unchecked Sendable`: the variables are touched on the connection's event loop only.
final class ConnectionLog: @unchecked Sendable {
    private let loop: AccessLogLoop
    private let notes: RequestNotes
    private let connection: UInt64
    /// The address of the peer as text.
    private let address: [UInt8]

    /// Whether a request was begun whose line is not written.
    private var isOpen = false
    /// Nil where the request was refused before its head was read.
    private var head: RequestHead?
    /// Begin with the head.
    private var bytes: ByteBuffer?
    private var number: UInt32 = 0
    private var given: GivenRequestID?
    private var receivedAt = NIODeadline.uptimeNanoseconds(0)
    private var route: Int?
    private var sender = RequestNotes.Sender.unknown
    /// The client's address, where a proxy names it.
    private var client: IPAddress?

    /// - Parameter connection: the number from which the ids of the connection's requests are made.
    init(_ loop: AccessLogLoop, notes: RequestNotes, connection: UInt64, peer: SocketAddress?) {
        (self.loop, self.notes, self.connection) = (loop, notes, connection)
        let text =
            switch peer {
            case .v4, .v6: peer?.ipAddress ?? ""
            case .unixDomainSocket: "unix"
            case nil: ""
            }
        address = Array(text.utf8.prefix(AccessLogRecord.longestAddress))
    }

    /// Begins a request, and clears the notes for its handler.
    func begin(_ head: RequestHead?, _ bytes: ByteBuffer?, number: UInt32, given: GivenRequestID?, at now: NIODeadline) {
        notes.clear()
        isOpen = true
        (self.head, self.bytes) = (head, bytes)
        (self.number, self.given, receivedAt) = (number, given, now)
        route = nil
        if case .unknown = sender {} else { sender = .unknown }
        client = nil
    }

    /// Reads what the handler has noted, before another request's handler is called.
    func readNotes() {
        route = notes.route
        if case .unknown = notes.sender {} else { sender = notes.sender }
        client = notes.client
    }

    /// Logs the request in progress, if there is one.
    ///
    /// - Parameters:
    ///   - status: nil where there was no answer.
    ///   - answerBytes: bytes of the answer, head and body; 0 where it could not be sent.
    ///   - isIncomplete: whether the connection ended before the answer.
    func end(status: Int?, answerBytes: Int, isIncomplete: Bool = false) {
        guard isOpen else { return }
        isOpen = false
        if case .unknown = sender, let late = notes.takeLateSender(connection: connection, number: number) { sender = late }
        loop.append { write(to: $0, status: status, answerBytes: answerBytes, isIncomplete) }
        // The buffer would otherwise be copied where the connection reads on.
        bytes = nil
    }

    /// Writes the record; returns its length.
    private func write(to base: UnsafeMutableRawPointer, status: Int?, answerBytes: Int, _ isIncomplete: Bool) -> Int {
        var record = AccessLogRecord()
        record.number = number
        record.connection = connection
        record.receivedAt = receivedAt.uptimeNanoseconds > 0 ? UInt64(receivedAt.uptimeNanoseconds) : 0
        record.nanoseconds = (.now() - receivedAt).nanoseconds
        record.answerBytes = Int64(answerBytes)
        record.status = UInt16(truncatingIfNeeded: status ?? 0)
        if isIncomplete { record.flags.insert(.isIncomplete) }
        record.route = Int16(truncatingIfNeeded: route ?? -1)
        var texts = AccessLogCursor(base + MemoryLayout<AccessLogRecord>.size)
        if let head, let bytes {
            record.flags.insert(.hasHead)
            if head.version == .http10 { record.flags.insert(.isHTTP10) }
            bytes.withUnsafeReadableBytes { bytes in
                record.methodByteCount = UInt8(texts.put(head.methodName, of: bytes, atMost: AccessLogRecord.longestMethod))
                if !head.path.isAbsent {
                    record.flags.insert(.hasPath)
                    record.pathByteCount = UInt16(texts.put(head.path, of: bytes, atMost: AccessLogRecord.longestPath))
                    if head.path.range.count > AccessLogRecord.longestPath { record.flags.insert(.pathIsCut) }
                }
                guard !head.lines.isAbsent, head.lines.range.upperBound <= bytes.count else { return }
                let lines = FieldLines(UnsafeRawBufferPointer(rebasing: bytes[head.lines.range]))
                let (agent, trace) = lines.onlyValues(of: "user-agent", "traceparent")
                if let agent { record.agentByteCount = UInt16(texts.put(agent, atMost: AccessLogRecord.longestAgent)) }
                // A longer value is one of a later version, of which the first 56 bytes say whether it is valid.
                if let trace { record.traceByteCount = UInt8(texts.put(trace, atMost: TraceParent.byteCount + 1)) }
            }
        }
        if let given { record.givenIDByteCount = UInt8(texts.put(given.text, atMost: GivenRequestID.maximumByteCount)) }
        switch sender {
        case .unknown: break
        case .user(let id): record.user = id
        case .admin(let subject):
            record.flags.insert(.isAdmin)
            record.subjectByteCount = UInt8(texts.put(subject, atMost: AccessLogRecord.longestSubject))
        }
        if let client {
            record.addressByteCount = UInt8(texts.put(client.description, atMost: AccessLogRecord.longestAddress))
        } else {
            record.addressByteCount = UInt8(address.withUnsafeBytes { texts.put($0, atMost: AccessLogRecord.longestAddress) })
        }
        let end = (MemoryLayout<AccessLogRecord>.size + texts.byteCount + 7) & ~7
        record.byteCount = UInt32(end)
        base.storeBytes(of: record, as: AccessLogRecord.self)
        return end
    }
}

extension AccessLogCursor {
    /// Writes the first bytes; returns how many.
    @inline(__always)
    fileprivate mutating func put(_ bytes: UnsafeRawBufferPointer, atMost longest: Int) -> Int {
        let count = min(bytes.count, longest)
        put(UnsafeRawBufferPointer(start: bytes.baseAddress, count: count))
        return count
    }

    /// Writes the first bytes of a range, which may be absent; returns how many.
    @inline(__always)
    fileprivate mutating func put(_ range: ByteRange, of bytes: UnsafeRawBufferPointer, atMost longest: Int) -> Int {
        guard !range.isAbsent, range.range.upperBound <= bytes.count else { return 0 }
        return put(UnsafeRawBufferPointer(rebasing: bytes[range.range]), atMost: longest)
    }

    fileprivate mutating func put(_ text: String, atMost longest: Int) -> Int {
        var text = text
        return text.withUTF8 { put(UnsafeRawBufferPointer($0), atMost: longest) }
    }
}
