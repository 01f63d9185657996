import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A blocking TCP or unix socket client that sends exactly the bytes it is given, for tests of HTTP servers.
///
/// Every wait has a deadline, which only a hanging server exceeds. Its calls block, so use it inside ``offPool(_:)``.
package final class RawHTTPClient {
    /// What went wrong.
    package enum Failure: Error, Equatable {
        case socket(errno: Int32)
        case timedOut
        case closedByServer
        case malformed(String)
    }

    private var descriptor: Int32
    var received: [UInt8] = []
    /// How long one wait for the server may take.
    package var timeoutMilliseconds: Int32

    /// Connects to a TCP port on loopback, with a small receive buffer where a slow reader is wanted.
    package init(port: Int, timeoutMilliseconds: Int32 = 60_000, receiveBufferBytes: Int32? = nil) throws {
        self.timeoutMilliseconds = timeoutMilliseconds
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure.socket(errno: errno) }
        if var size = receiveBufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        try RawHTTPClient.connect(descriptor, try SocketAddress(ipAddress: "127.0.0.1", port: port))
    }

    /// Connects to a unix socket.
    package init(unixSocketPath path: String, timeoutMilliseconds: Int32 = 60_000) throws {
        self.timeoutMilliseconds = timeoutMilliseconds
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure.socket(errno: errno) }
        try RawHTTPClient.connect(descriptor, try SocketAddress(unixDomainSocketPath: path))
    }

    deinit { close() }

    private static func connect(_ descriptor: Int32, _ address: SocketAddress) throws {
        let result = address.withSockAddr { Glibc.connect(descriptor, $0, socklen_t($1)) }
        // On failure only `deinit` closes the descriptor: closing it twice could close another client's.
        guard result == 0 else { throw Failure.socket(errno: errno) }
    }

    /// Closes the socket.
    package func close() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
    }

    /// Closes the socket so that the server sees a reset instead of an end.
    package func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Shuts our side down and keeps reading.
    package func finishWriting() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Sends all of the text.
    package func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    /// Sends all of the bytes.
    package func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            try wait(for: Int16(POLLOUT))
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, flags) }
            guard count >= 0 || errno == EAGAIN else { throw Failure.socket(errno: errno) }
            sent += max(count, 0)
        }
    }

    private func wait(for events: Int16) throws {
        var poll = pollfd(fd: descriptor, events: events, revents: 0)
        let ready = Glibc.poll(&poll, 1, timeoutMilliseconds)
        guard ready >= 0 else { throw Failure.socket(errno: errno) }
        guard ready > 0 else { throw Failure.timedOut }
    }

    /// Reads available bytes into the buffer; false at the end of the stream.
    func fill() throws -> Bool {
        try wait(for: Int16(POLLIN))
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count >= 0 else { throw Failure.socket(errno: errno) }
        received += chunk[..<count]
        return count > 0
    }

    /// Whether bytes, or the end of the stream, can be read within this time.
    package func hasBytesToRead(withinMilliseconds limit: Int32) throws -> Bool {
        guard received.isEmpty else { return true }
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = Glibc.poll(&poll, 1, limit)
        guard ready >= 0 else { throw Failure.socket(errno: errno) }
        return ready > 0
    }

    /// Whether the server ends the connection in order, with nothing more to read.
    package func readsEnd() throws -> Bool {
        guard received.isEmpty else { return false }
        return try !fill()
    }

    /// Everything until the server ends the connection.
    package func readToEnd() throws -> String {
        while try fill() {}
        defer { received = [] }
        return String(decoding: received, as: UTF8.self)
    }

    /// Reads one answer by its `Content-Length`; an interim answer (1xx) and the answer to HEAD have no body.
    package func readResponse(isHead: Bool = false) throws -> RawHTTPResponse {
        var end = endOfHead
        while end == nil {
            guard try fill() else { throw Failure.closedByServer }
            end = endOfHead
        }
        guard let end else { throw Failure.closedByServer }
        var response = try RawHTTPResponse(head: String(decoding: received[..<end], as: UTF8.self))
        received.removeFirst(end + 4)
        let hasBody = !isHead && response.status >= 200 && response.status != 204 && response.status != 304
        let length = hasBody ? Int(response["content-length"] ?? "") ?? 0 : 0
        while received.count < length {
            guard try fill() else { throw Failure.closedByServer }
        }
        response.body = String(decoding: received[..<length], as: UTF8.self)
        received.removeFirst(length)
        return response
    }

    var endOfHead: Int? {
        guard received.count >= 4 else { return nil }
        for index in 0...(received.count - 4) where received[index] == 13 {
            if received[index + 1] == 10, received[index + 2] == 13, received[index + 3] == 10 { return index }
        }
        return nil
    }

    /// Sends as much as the socket takes now; nil where it takes nothing.
    package func sendAvailable(_ bytes: ArraySlice<UInt8>) throws -> Int? {
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, flags) }
        guard count >= 0 else {
            guard errno == EAGAIN || errno == EINTR else { throw Failure.socket(errno: errno) }
            return nil
        }
        return count
    }

    /// Reads up to this many bytes, waiting for the first; empty at the end of the stream.
    package func readSome(atMost limit: Int = 65_536) throws -> [UInt8] {
        if received.isEmpty {
            try wait(for: Int16(POLLIN))
            var chunk = [UInt8](repeating: 0, count: limit)
            let count = recv(descriptor, &chunk, limit, 0)
            guard count >= 0 else { throw Failure.socket(errno: errno) }
            return Array(chunk[..<count])
        }
        defer { received.removeFirst(min(limit, received.count)) }
        return Array(received.prefix(limit))
    }

    /// Sends all of the bytes and reads answers meanwhile, so that neither side waits for the other.
    ///
    /// - Parameter take: is called with the bytes that were read, until it returns false or the server ends the connection.
    package func converse(_ bytes: [UInt8], halfCloses: Bool = false, take: ([UInt8]) throws -> Bool) throws {
        var unsent = bytes[...]
        while true {
            if !unsent.isEmpty {
                unsent.removeFirst(try sendAvailable(unsent.prefix(65_536)) ?? 0)
                if unsent.isEmpty, halfCloses { finishWriting() }
            }
            let events = unsent.isEmpty ? POLLIN : POLLIN | POLLOUT
            var poll = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            guard Glibc.poll(&poll, 1, timeoutMilliseconds) != 0 else { throw Failure.timedOut }
            guard Int32(poll.revents) & ~POLLOUT != 0 else { continue }
            let read = try readSome()
            guard !read.isEmpty, try take(read) else { return }
        }
    }

    /// Sends a request and reads its answer.
    package func exchange(_ request: String, isHead: Bool = false) throws -> RawHTTPResponse {
        try send(request)
        return try readResponse(isHead: isHead)
    }
}

/// Splits the bytes of a connection into answers, and keeps the status of each.
package struct AnswerStream: Sendable {
    /// The statuses of the answers that have begun, interim ones (1xx) left out.
    package private(set) var statuses: [Int] = []
    /// Whether the last answer has all of its body.
    package private(set) var isComplete = true
    /// Whether an answer had `Connection: close`.
    package private(set) var saidClose = false
    /// Whether the answer of this number, from 0, has no body because its request was HEAD.
    private let isHead: @Sendable (Int) -> Bool
    private var head: [UInt8] = []
    private var bodyLeft = 0

    package init(isHead: @escaping @Sendable (Int) -> Bool = { _ in false }) {
        self.isHead = isHead
    }

    package mutating func take(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            if bodyLeft > 0 {
                let count = min(bodyLeft, rest.count)
                bodyLeft -= count
                rest.removeFirst(count)
            } else {
                let line = rest.firstIndex(of: 10).map { rest[...$0] } ?? rest
                head += line
                rest = rest[line.endIndex...]
                if head.suffix(4) == [13, 10, 13, 10] { try headEnded() }
            }
            isComplete = bodyLeft == 0 && head.isEmpty
        }
    }

    private mutating func headEnded() throws {
        let response = try RawHTTPResponse(head: String(decoding: head.dropLast(4), as: UTF8.self))
        head = []
        guard response.status >= 200 else { return }
        if response["connection"] == "close" { saidClose = true }
        let hasBody = !isHead(statuses.count) && response.status != 204 && response.status != 304
        statuses.append(response.status)
        guard hasBody else { return }
        guard let length = response["content-length"].flatMap(Int.init) else { throw RawHTTPClient.Failure.malformed("no content-length") }
        bodyLeft = length
    }
}

/// One answer as it was received.
package struct RawHTTPResponse: Sendable {
    /// The first line.
    package let statusLine: String
    /// The status code.
    package let status: Int
    /// The header fields in order, names in lowercase.
    package let headers: [(name: String, value: String)]
    /// The body, as text.
    package var body = ""

    init(head: String) throws {
        var lines = head.components("\r\n")
        statusLine = lines.removeFirst()
        let parts = statusLine.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0] == "HTTP/1.1", let status = Int(parts[1]) else {
            throw RawHTTPClient.Failure.malformed(statusLine)
        }
        self.status = status
        headers = try lines.map { line in
            guard let colon = line.firstIndex(of: ":") else { throw RawHTTPClient.Failure.malformed(line) }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            return (line[..<colon].lowercased(), String(value))
        }
    }

    /// The value of the only field of this name; nil when absent or repeated.
    package subscript(name: String) -> String? {
        let values = headers.filter { $0.name == name }
        return values.count == 1 ? values[0].value : nil
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = utf8[...]
        let pattern = Array(separator.utf8)
        var start = rest.startIndex
        while start < rest.endIndex {
            if rest[start...].starts(with: pattern) {
                parts.append(String(rest[rest.startIndex..<start]) ?? "")
                rest = rest[rest.index(start, offsetBy: pattern.count)...]
                start = rest.startIndex
            } else {
                start = rest.index(after: start)
            }
        }
        parts.append(String(rest) ?? "")
        return parts
    }
}
