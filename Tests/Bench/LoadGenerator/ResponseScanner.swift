package import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Finds the end of one HTTP/1.1 response by its `Content-Length`, and reads only the status and `Connection` besides.
///
/// A load generator that parsed as much as the server does would measure itself. What the scanner does not support (chunks, interim
/// responses, an older version) is an error. Do not send HEAD: its response looks like one whose body is missing.
package struct ResponseScanner: Sendable {
    package struct Malformed: Error {}

    package struct Answer: Sendable, Equatable {
        package var status: Int
        /// False where the response says `Connection: close`.
        package var keepsAlive: Bool

        package init(status: Int, keepsAlive: Bool) { (self.status, self.keepsAlive) = (status, keepsAlive) }
    }

    private enum State {
        /// The head so far, where it came in more than one piece.
        case head(ByteBuffer)
        case body(Answer, missing: Int)
    }

    private var state = State.head(ByteBuffer())

    package init() {}

    /// Takes the next bytes from the socket; returns the answer once its last byte has arrived.
    package mutating func take(_ bytes: ByteBuffer) throws(Malformed) -> Answer? {
        switch state {
        case .body(let answer, let missing):
            return try finish(answer, missing: missing - bytes.readableBytes)
        case .head(var received):
            if received.readableBytes > 0 { received.writeImmutableBuffer(bytes) } else { received = bytes }
            guard let head = try received.withUnsafeReadableBytes({ (bytes) throws(Malformed) in try Head(bytes) }) else {
                // The same limit as the service has for a request's head.
                guard received.readableBytes <= 16_384 else { throw Malformed() }
                state = .head(received)
                return nil
            }
            return try finish(head.answer, missing: head.byteCount + head.contentLength - received.readableBytes)
        }
    }

    private mutating func finish(_ answer: Answer, missing: Int) throws(Malformed) -> Answer? {
        // More bytes than the response has: there is no request that they could answer.
        guard missing >= 0 else { throw Malformed() }
        guard missing == 0 else {
            state = .body(answer, missing: missing)
            return nil
        }
        state = .head(ByteBuffer())
        return answer
    }
}

/// The parts of a complete head that are needed.
private struct Head {
    var answer: ResponseScanner.Answer
    var byteCount: Int
    var contentLength: Int

    /// Nil where the empty line is missing.
    init?(_ bytes: UnsafeRawBufferPointer) throws(ResponseScanner.Malformed) {
        guard let base = bytes.baseAddress, let firstEnd = Self.endOfLine(base, from: 0, bytes.count) else { return nil }
        // "HTTP/1.1 200"
        guard firstEnd >= 13, memcmp(base, "HTTP/1.1 ", 9) == 0, let status = Self.number(bytes[9..<12]), status >= 200 else {
            throw ResponseScanner.Malformed()
        }
        answer = ResponseScanner.Answer(status: status, keepsAlive: true)
        var length: Int?
        var start = firstEnd
        while let end = Self.endOfLine(base, from: start, bytes.count) {
            let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            start = end
            if line.count <= 2 {
                guard let length = status == 204 || status == 304 ? 0 : length else { throw ResponseScanner.Malformed() }
                (byteCount, contentLength) = (end, length)
                return
            }
            if let value = Self.value(line, of: "content-length:") {
                guard length == nil, let number = Self.number(value[...]) else { throw ResponseScanner.Malformed() }
                length = number
            } else if let value = Self.value(line, of: "connection:") {
                if value.count == 5, Self.begins(value, "close") { answer.keepsAlive = false }
            } else if Self.value(line, of: "transfer-encoding:") != nil {
                throw ResponseScanner.Malformed()
            }
        }
        return nil
    }

    /// Where the line that begins here ends, its line feed included.
    private static func endOfLine(_ base: UnsafeRawPointer, from start: Int, _ count: Int) -> Int? {
        guard let feed = memchr(base + start, 10, count - start) else { return nil }
        return UnsafeRawPointer(feed) - base + 1
    }

    /// The value of a line that has this name, without the white space around it.
    private static func value(_ line: UnsafeRawBufferPointer, of name: StaticString) -> UnsafeRawBufferPointer? {
        // The first letter alone rules out nearly all lines.
        guard line.count > name.utf8CodeUnitCount, line[0] | 0x20 == name.utf8Start[0], begins(line, name)
        else { return nil }
        var (start, end) = (name.utf8CodeUnitCount, line.count)
        while start < end, line[start] <= 32 { start += 1 }
        while end > start, line[end - 1] <= 32 { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: line[start..<end])
    }

    /// Whether the bytes begin with this text, whatever the case of their letters.
    private static func begins(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        for index in 0..<text.utf8CodeUnitCount where bytes[index] | 0x20 != text.utf8Start[index] | 0x20 { return false }
        return true
    }

    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard (1...9).contains(digits.count) else { return nil }
        var number = 0
        for digit in digits {
            guard (48...57).contains(digit) else { return nil }
            number = number * 10 + Int(digit - 48)
        }
        return number
    }
}
