/// Reads one request head in place, in one pass over its bytes (RFC 9112 sections 2 to 6, RFC 9110 section 5).
///
/// Stricter than the RFC asks wherever two readers of the same bytes could understand them differently: a bare CR or LF, white
/// space before a colon, folded fields, repeated `Host`, `Content-Length` or `Transfer-Encoding`, and the last two together are
/// refused. No byte is copied: the result is positions.
struct RequestHeadParser {
    /// The outcome of reading.
    enum Result: Equatable {
        case complete(RequestHead)
        /// The head is well-formed so far, and its end has not been read.
        case incomplete
        /// The bytes are not an acceptable head; with what was read of it before the fault was found.
        case refused(HTTPRefusal, RequestHead)
    }

    private let bytes: UnsafeRawBufferPointer
    private let limits: HTTPLimits
    private var position = 0
    private var head = RequestHead()
    private var framing = Framing()

    /// What the fields say about host, framing and connection; judged together once all are read.
    private struct Framing {
        var fieldCount = 0
        var hostCount = 0
        var contentLength: Int?
        var contentLengthCount = 0
        var transferEncodingCount = 0
        var isChunked = false
        var saysClose = false
        var saysKeepAlive = false
        var asksForUpgrade = false
        var expectationCount = 0
        var expectsContinue = false
    }

    private init(_ bytes: UnsafeRawBufferPointer, _ limits: HTTPLimits) {
        (self.bytes, self.limits) = (bytes, limits)
    }

    /// Reads the head that begins at the first byte.
    static func parse(_ bytes: UnsafeRawBufferPointer, limits: HTTPLimits) -> Result {
        var parser = RequestHeadParser(bytes, limits)
        do throws(HTTPRefusal) {
            guard try parser.readHead() else {
                guard bytes.count <= limits.maximumHeaderBytes else { throw .headersTooLarge }
                return .incomplete
            }
            guard parser.head.byteCount <= limits.maximumHeaderBytes else { throw .headersTooLarge }
            try parser.finish()
            return .complete(parser.head)
        } catch {
            // Positions beyond what a range can hold are not passed on.
            return .refused(error, bytes.count <= Int(UInt16.max) ? parser.head : RequestHead(method: parser.head.method))
        }
    }

    /// False where the bytes end before the head does.
    private mutating func readHead() throws(HTTPRefusal) -> Bool {
        guard try readMethod(), try readTarget(), try readVersion() else { return false }
        let linesStart = position
        while position < bytes.count {
            guard bytes[position] != Self.cr else {
                guard position + 1 < bytes.count else { return false }
                guard bytes[position + 1] == Self.lf else { throw .malformedField }
                head.lines = ByteRange(linesStart, position)
                head.byteCount = position + 2
                return true
            }
            guard try readField() else { return false }
        }
        return false
    }

    @inline(__always)
    private mutating func skipToken() {
        let (tokens, bytes, count) = (ByteClass.tokens.utf8Start, bytes, bytes.count)
        var index = position
        while index < count, tokens[Int(bytes[index])] == UInt8(ascii: "1") { index += 1 }
        position = index
    }

    static let cr = UInt8(ascii: "\r")
    static let lf = UInt8(ascii: "\n")
}

// MARK: - The request line

extension RequestHeadParser {
    private mutating func readMethod() throws(HTTPRefusal) -> Bool {
        let start = position
        skipToken()
        guard position < bytes.count else { return false }
        guard bytes[position] == UInt8(ascii: " "), position > start else { throw .badRequest(reason: "The method is malformed.") }
        head.method = HTTPMethod(slice(start, position))
        head.methodName = ByteRange(start, position)
        position += 1
        return true
    }

    private mutating func readTarget() throws(HTTPRefusal) -> Bool {
        let start = position
        var questionMark = -1
        let count = bytes.count
        var index = start
        while index < count, ByteClass.isTarget(bytes[index]) {
            if bytes[index] == UInt8(ascii: "?"), questionMark < 0 { questionMark = index }
            index += 1
        }
        position = index
        guard position < bytes.count else { return false }
        guard bytes[position] == UInt8(ascii: " "), position > start else { throw .malformedTarget }
        head.target = ByteRange(start, position)
        let pathEnd = questionMark < 0 ? position : questionMark
        if questionMark >= 0 { head.query = ByteRange(questionMark + 1, position) }
        if bytes[start] == UInt8(ascii: "/") {
            head.path = ByteRange(start, pathEnd)
        } else {
            try readOtherForm(from: start, to: pathEnd)
        }
        position += 1
        return true
    }

    /// The asterisk of OPTIONS, the absolute form of `http` and `https` URIs, and the authority of CONNECT, which is refused later.
    private mutating func readOtherForm(from start: Int, to end: Int) throws(HTTPRefusal) {
        if head.method == .connect {
            head.path = ByteRange(start, end)
            return
        }
        if head.method == .options, end == start + 1, bytes[start] == UInt8(ascii: "*"), head.query.isAbsent {
            head.path = ByteRange(start, end)
            return
        }
        var authority = start
        while authority < end, bytes[authority] != UInt8(ascii: ":") { authority += 1 }
        let scheme = slice(start, authority)
        guard scheme.equalsIgnoringCase("http") || scheme.equalsIgnoringCase("https") else { throw .malformedTarget }
        guard end - authority > 3, slice(authority, authority + 3).equals("://") else { throw .malformedTarget }
        authority += 3
        var path = authority
        while path < end, bytes[path] != UInt8(ascii: "/") { path += 1 }
        // An empty host and user information are refused (RFC 9110 sections 4.2.1 and 4.2.4).
        guard path > authority, bytes[authority] != UInt8(ascii: ":"), HostSyntax.isValid(slice(authority, path)) else {
            throw .malformedTarget
        }
        head.path = ByteRange(path, end)
    }

    private mutating func readVersion() throws(HTTPRefusal) -> Bool {
        guard position + 10 <= bytes.count else {
            // With a line feed in these few bytes, the line is too short to hold a version.
            guard !slice(position, bytes.count).contains(Self.lf) else { throw .badRequest(reason: "The HTTP version is not supported.") }
            return false
        }
        let name = slice(position, position + 8)
        if name.equals("HTTP/1.1") {
            head.version = .http11
        } else if name.equals("HTTP/1.0") {
            head.version = .http10
        } else {
            throw .badRequest(reason: "The HTTP version is not supported.")
        }
        guard bytes[position + 8] == Self.cr, bytes[position + 9] == Self.lf else { throw .malformedRequest }
        position += 10
        return true
    }
}

// MARK: - The fields

extension RequestHeadParser {
    private mutating func readField() throws(HTTPRefusal) -> Bool {
        let (bytes, count) = (bytes, bytes.count)
        let nameStart = position
        skipToken()
        var index = position
        guard index < count else { return false }
        guard bytes[index] == UInt8(ascii: ":"), index > nameStart else { throw .malformedField }
        let nameEnd = index
        index += 1
        while index < count, ByteClass.isSpace(bytes[index]) { index += 1 }
        let valueStart = index
        index = endOfValue(from: index)
        guard index < count else { return false }
        guard bytes[index] == Self.cr else { throw .malformedField }
        guard index + 1 < count else { return false }
        guard bytes[index + 1] == Self.lf else { throw .malformedField }
        position = index + 2
        while index > valueStart, ByteClass.isSpace(bytes[index - 1]) { index -= 1 }
        framing.fieldCount += 1
        guard framing.fieldCount <= limits.maximumHeaderFields else { throw .headersTooLarge }
        try note(slice(nameStart, nameEnd), valueStart, index)
        return true
    }

    /// The index of the first byte that a field value cannot hold; searches eight bytes at a time while there are eight.
    @inline(__always)
    private func endOfValue(from start: Int) -> Int {
        let (bytes, count) = (bytes, bytes.count)
        var index = start
        while true {
            while index + 8 <= count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                // Sets the high bit of each byte below 0x20 or equal to 0x7F. Only a bit above a true one may be false; the lowest is true.
                let controls = (word &- 0x2020_2020_2020_2020) & ~word
                let rubouts = word ^ 0x7F7F_7F7F_7F7F_7F7F
                let marks = (controls | (rubouts &- 0x0101_0101_0101_0101) & ~rubouts) & 0x8080_8080_8080_8080
                guard marks == 0 else {
                    index += UInt64(littleEndian: marks).trailingZeroBitCount / 8
                    break
                }
                index += 8
            }
            while index < count, ByteClass.isValue(bytes[index]), bytes[index] != 0x09 { index += 1 }
            // A value may contain tabs.
            guard index < count, bytes[index] == 0x09 else { return index }
            index += 1
        }
    }

    /// Notes the fields that the server or a handler needs. The length rules out nearly all other names before a byte is compared.
    private mutating func note(_ name: UnsafeRawBufferPointer, _ start: Int, _ end: Int) throws(HTTPRefusal) {
        switch name.count {
        case 4 where name.equalsIgnoringCase("host"):
            framing.hostCount += 1
            guard HostSyntax.isValid(slice(start, end)) else { throw .badRequest(reason: "The Host header is malformed.") }
        case 6 where name.equalsIgnoringCase("expect"):
            framing.expectationCount += 1
            framing.expectsContinue = slice(start, end).equalsIgnoringCase("100-continue")
        case 7 where name.equalsIgnoringCase("upgrade"):
            framing.asksForUpgrade = true
        case 8 where name.equalsIgnoringCase("if-match"):
            if Self.keep(&head.ifMatch, start, end) { head.hasRepeatedField = true }
        case 10 where name.equalsIgnoringCase("connection"):
            noteConnectionOptions(start, end)
        case 12 where name.equalsIgnoringCase("content-type"):
            if Self.keep(&head.contentType, start, end) { head.hasRepeatedField = true }
        case 12 where name.equalsIgnoringCase("x-request-id"):
            if Self.keep(&head.requestID, start, end) { head.hasRepeatedField = true }
        case 13 where name.equalsIgnoringCase("authorization"):
            if Self.keep(&head.authorization, start, end) { head.hasRepeatedField = true }
        case 13 where name.equalsIgnoringCase("if-none-match"):
            if Self.keep(&head.ifNoneMatch, start, end) { head.hasRepeatedField = true }
        case 14 where name.equalsIgnoringCase("content-length"):
            framing.contentLengthCount += 1
            framing.contentLength = try contentLength(start, end)
        case 15 where name.equalsIgnoringCase("idempotency-key"):
            if Self.keep(&head.idempotencyKey, start, end) { head.hasRepeatedField = true }
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            framing.transferEncodingCount += 1
            framing.isChunked = slice(start, end).equalsIgnoringCase("chunked")
        default:
            break
        }
    }

    /// Notes the position of a field's value; true where the field came before.
    private static func keep(_ field: inout ByteRange, _ start: Int, _ end: Int) -> Bool {
        let isRepeated = !field.isAbsent
        field = ByteRange(start, end)
        return isRepeated
    }

    /// Looks for `close` and `keep-alive` among the options, which commas separate.
    private mutating func noteConnectionOptions(_ start: Int, _ end: Int) {
        var optionStart = start
        for index in start...end where index == end || bytes[index] == UInt8(ascii: ",") {
            let option = slice(optionStart, index).trimmed
            if option.equalsIgnoringCase("close") { framing.saysClose = true }
            if option.equalsIgnoringCase("keep-alive") { framing.saysKeepAlive = true }
            optionStart = index + 1
        }
    }

    /// Any number of digits and nothing else (RFC 9110 section 8.6). What does not fit an `Int` becomes `Int.max`, above every limit.
    private func contentLength(_ start: Int, _ end: Int) throws(HTTPRefusal) -> Int {
        guard start < end else { throw .malformedContentLength }
        var length = 0
        for index in start..<end {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit < 10 else { throw .malformedContentLength }
            length = length > Int.max / 10 - 1 ? Int.max : length * 10 + Int(digit)
        }
        return length
    }

    /// Judges the fields together, once all are read; the first fault decides the refusal.
    private mutating func finish() throws(HTTPRefusal) {
        guard framing.hostCount <= 1 else { throw .badRequest(reason: "The Host header is repeated.") }
        guard framing.hostCount == 1 || head.version == .http10 else { throw .badRequest(reason: "The Host header is missing.") }
        guard head.method != .connect else { throw .connectNotSupported }
        try judgeFraming()
        // HTTP/1.0 has no expectations; a server ignores them there (RFC 9110 section 10.1.1).
        if framing.expectationCount > 0, head.version == .http11 {
            guard framing.expectationCount == 1, framing.expectsContinue else { throw .expectationFailed }
            head.expectsContinue = head.framing != .length(0)
        }
        // A server may ignore an upgrade (RFC 9110 section 7.8). What follows may be of the other protocol, so it is not read.
        let stays = !framing.saysClose && !framing.asksForUpgrade
        head.staysOpen = stays && (head.version == .http11 || framing.saysKeepAlive)
        // Last, because a request with a large body may be admitted, and its head must then be complete.
        if case .length(let length) = head.framing, length > limits.maximumBodyBytes { throw .payloadTooLarge }
    }

    /// Decides the framing by RFC 9112 section 6.3, and refuses the messages that it allows a server to repair.
    private mutating func judgeFraming() throws(HTTPRefusal) {
        guard framing.contentLengthCount <= 1 else { throw .badRequest(reason: "The Content-Length header is repeated.") }
        guard framing.transferEncodingCount > 0 else {
            head.framing = .length(framing.contentLength ?? 0)
            return
        }
        guard framing.contentLengthCount == 0 else {
            throw .badRequest(reason: "Content-Length and Transfer-Encoding exclude each other.")
        }
        guard head.version == .http11 else { throw .badRequest(reason: "HTTP/1.0 has no Transfer-Encoding.") }
        guard framing.transferEncodingCount == 1, framing.isChunked else {
            throw .badRequest(reason: "The only supported Transfer-Encoding is chunked.")
        }
        head.framing = .chunked
    }

    private func slice(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }
}

extension HTTPRefusal {
    static let malformedRequest = HTTPRefusal.badRequest(reason: "The request line is malformed.")
    static let malformedTarget = HTTPRefusal.badRequest(reason: "The request target is malformed.")
    static let malformedField = HTTPRefusal.badRequest(reason: "A header field is malformed.")
    static let malformedContentLength = HTTPRefusal.badRequest(reason: "The Content-Length header is invalid.")
    static let malformedChunk = HTTPRefusal.badRequest(reason: "The chunked body is malformed.")
    static let endsEarly = HTTPRefusal.badRequest(reason: "The request ends too early.")
}
