/// One request, parsed directly from the bytes: the predicates of differences need details that NIOHTTP1 does not report.
///
/// Up to this request both readers agree, so it only has to read lines that end with CR LF.
struct RawRequest {
    /// Empty lines before the request, with their line ends.
    let emptyLines: ArraySlice<UInt8>
    /// From the request line to the empty line; all remaining bytes where there is none.
    let head: ArraySlice<UInt8>
    /// Everything after the head.
    let rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8], number: Int) {
        var request = RawRequest(bytes[...])
        for _ in 0..<number { request = RawRequest(request.afterBody) }
        self = request
    }

    private init(_ bytes: ArraySlice<UInt8>) {
        var start = bytes.startIndex
        while bytes[start...].starts(with: [13, 10]) { start += 2 }
        emptyLines = bytes[..<start]
        var end = start
        while end < bytes.endIndex, !bytes[end...].starts(with: [13, 10, 13, 10]) { end += 1 }
        end = min(end + 4, bytes.endIndex)
        head = bytes[start..<end]
        rest = bytes[end...]
    }

    var lines: [String] {
        // Split as bytes, because in Swift's text CR LF is one character.
        var (lines, start) = ([String](), head.startIndex)
        for index in head.indices where head[index...].starts(with: [13, 10]) {
            lines.append(latin1(head[start..<index]))
            start = index + 2
        }
        return start < head.endIndex ? lines + [latin1(head[start...])] : lines
    }
    var requestLine: String { lines.first ?? "" }

    /// The values of the fields of this lowercase name as sent, with all white space.
    func values(_ name: String) -> [Substring] {
        lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name else { return nil }
            return line[line.index(after: colon)...]
        }
    }

    private var isChunked: Bool { !values("transfer-encoding").isEmpty }

    private var afterBody: ArraySlice<UInt8> {
        if isChunked { return Chunks(rest).rest }
        let length = values("content-length").first.flatMap { Int($0.filter(\.isNumber)) } ?? 0
        return rest.dropFirst(length)
    }

    /// The framing of a chunked body; nil for any other.
    var chunks: Chunks? { isChunked ? Chunks(rest) : nil }

    /// A chunked body, read by the grammar of RFC 9112 section 7.1 up to the first violation.
    struct Chunks {
        /// The kinds of violation that the known differences distinguish.
        enum Oddity: Equatable { case longSize, malformedExtension, other }

        private(set) var rest: ArraySlice<UInt8>
        private(set) var oddity: Oddity?
        private(set) var bodyByteCount = 0
        private(set) var framingByteCount = 0
        private(set) var trailers: [Substring] = []

        init(_ bytes: ArraySlice<UInt8>) {
            rest = bytes
            while oddity == nil, let line = takeLine() {
                let digits = line.prefix(while: \.isHexDigit)
                guard let size = Int(digits, radix: 16) ?? (digits.allSatisfy { $0 == "0" } && !digits.isEmpty ? 0 : nil) else {
                    oddity = .other
                    return
                }
                if digits.utf8.count > 8 { oddity = .longSize }
                if !line.dropFirst(digits.count).isEmpty, !Self.areExtensions(line.dropFirst(digits.count)) { oddity = .malformedExtension }
                guard size > 0 else { break }
                bodyByteCount += size
                rest = rest.dropFirst(size)
                guard rest.starts(with: [13, 10]) else {
                    oddity = oddity ?? .other
                    return
                }
                rest = rest.dropFirst(2)
                framingByteCount += 2
            }
            while let line = takeLine(), !line.isEmpty { trailers.append(line[...]) }
        }

        private mutating func takeLine() -> String? {
            var end = rest.startIndex
            while end < rest.endIndex, !rest[end...].starts(with: [13, 10]) { end += 1 }
            guard end < rest.endIndex else {
                framingByteCount += rest.count
                return nil
            }
            defer { rest = rest[(end + 2)...] }
            framingByteCount += end + 2 - rest.startIndex
            return latin1(rest[..<end])
        }

        private static func areExtensions(_ text: Substring) -> Bool {
            let token = #"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"#
            let quoted = #""(?:[\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t \x21-\x7E\x80-\xFF])*""#
            guard let pattern = try? Regex("(?:;\(token)(?:=(?:\(token)|\(quoted)))?)+") else { return false }
            return text.wholeMatch(of: pattern) != nil
        }
    }
}

/// The bytes as text: one scalar for each byte, with its value.
private func latin1(_ bytes: some Sequence<UInt8>) -> String {
    var scalars = String.UnicodeScalarView()
    for byte in bytes { scalars.append(Unicode.Scalar(byte)) }
    return String(scalars)
}
