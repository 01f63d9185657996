import NIOCore
import TraceContext

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Makes JSON lines of records, on the writer's thread. Every line is valid JSON in UTF-8, whatever a client sent.
struct AccessLogLines {
    /// Each route's template as a JSON string.
    private let routes: [[UInt8]]
    /// The lines that were made and not written yet.
    private(set) var text = ByteBuffer()
    /// The difference of the wall clock and the monotonic clock.
    private var clockOffset: Int64 = 0
    /// The text of the second that was rendered last.
    private var second: (number: Int64, text: [UInt8]) = (.min, [])

    init(routes: [String]) {
        self.routes = routes.map { route in
            var text = ByteBuffer()
            Array(route.utf8).withUnsafeBytes { text.writeJSONText($0) }
            return Array(text.readableBytesView)
        }
    }

    mutating func removeAll() { text.clear() }

    /// Appends the lines of a chunk.
    mutating func append(_ chunk: AccessLogChunk) {
        readClocks()
        var offset = 0
        while offset < chunk.byteCount {
            let record = chunk.bytes.load(fromByteOffset: offset, as: AccessLogRecord.self)
            let end = offset + Int(record.byteCount)
            append(record, UnsafeRawBufferPointer(rebasing: chunk.bytes[(offset + MemoryLayout<AccessLogRecord>.size)..<end]))
            offset = end
        }
    }

    /// Appends a line that says how many requests are missing before the next line.
    mutating func append(dropped count: Int) {
        readClocks()
        text.writeStaticString("{\"time\":\"")
        writeTime(UInt64(clamping: Int64(NIODeadline.now().uptimeNanoseconds)))
        text.writeStaticString("\",\"dropped\":")
        text.writeDecimalDigits(Int64(count))
        text.writeStaticString("}\n")
    }

    private mutating func append(_ record: AccessLogRecord, _ texts: UnsafeRawBufferPointer) {
        var rest = texts
        func next(_ count: some BinaryInteger) -> UnsafeRawBufferPointer {
            defer { rest = UnsafeRawBufferPointer(rebasing: rest[Int(count)...]) }
            return UnsafeRawBufferPointer(rebasing: rest[..<Int(count)])
        }
        let (method, path) = (next(record.methodByteCount), next(record.pathByteCount))
        let (agent, trace) = (next(record.agentByteCount), next(record.traceByteCount))
        let (given, subject, address) = (next(record.givenIDByteCount), next(record.subjectByteCount), next(record.addressByteCount))

        text.writeStaticString("{\"time\":\"")
        writeTime(record.receivedAt)
        text.writeStaticString("\",\"request\":\"")
        if given.isEmpty {
            text.writeWithUnsafeMutableBytes(minimumWritableBytes: GeneratedIDText.byteCount) { bytes in
                GeneratedIDText(ConnectionIDText(record.connection), record.number).write(into: bytes, at: 0)
                return GeneratedIDText.byteCount
            }
        } else {
            text.writeBytes(given)
        }
        if let trace = TraceParent(trace) {
            text.writeStaticString("\",\"trace\":\"")
            text.writeString(trace.traceIDText)
        }
        text.writeStaticString("\",\"method\":")
        if method.isEmpty { text.writeStaticString("null") } else { text.writeJSONText(method) }
        text.writeStaticString(",\"path\":")
        writePath(path, record.flags)
        text.writeStaticString(",\"route\":")
        if record.route >= 0, Int(record.route) < routes.count {
            text.writeBytes(routes[Int(record.route)])
        } else {
            text.writeStaticString("null")
        }
        text.writeStaticString(",\"status\":")
        if record.status == 0 { text.writeStaticString("null") } else { text.writeDecimalDigits(Int64(record.status)) }
        text.writeStaticString(",\"bytes\":")
        text.writeDecimalDigits(record.answerBytes)
        text.writeStaticString(",\"microseconds\":")
        text.writeDecimalDigits(max(0, record.nanoseconds / 1_000))
        text.writeStaticString(",\"remote\":")
        if address.isEmpty { text.writeStaticString("null") } else { text.writeJSONText(address) }
        if record.user != 0 {
            text.writeStaticString(",\"role\":\"user\",\"user\":")
            text.writeDecimalDigits(record.user)
        } else if record.flags.contains(.isAdmin) {
            text.writeStaticString(",\"role\":\"admin\",\"subject\":")
            text.writeJSONText(subject)
        }
        if record.flags.contains(.hasHead) {
            text.writeStaticString(record.flags.contains(.isHTTP10) ? ",\"http\":\"1.0\"" : ",\"http\":\"1.1\"")
        }
        if !agent.isEmpty {
            text.writeStaticString(",\"userAgent\":")
            text.writeJSONText(agent)
        }
        text.writeStaticString("}\n")
    }

    private mutating func writePath(_ path: UnsafeRawBufferPointer, _ flags: AccessLogRecord.Flags) {
        if !flags.contains(.hasPath) {
            text.writeStaticString("null")
        } else if path.isEmpty {
            // The absolute form of a target may have no path, which means the same as `/`.
            text.writeStaticString("\"/\"")
        } else {
            text.writeJSONText(path)
        }
        if flags.contains(.pathIsCut) { text.writeStaticString(",\"pathIsCut\":true") }
    }

    // MARK: Times

    private mutating func readClocks() {
        var (wall, steady) = (timespec(), timespec())
        clock_gettime(CLOCK_REALTIME, &wall)
        clock_gettime(CLOCK_MONOTONIC, &steady)
        clockOffset = (Int64(wall.tv_sec) - Int64(steady.tv_sec)) * 1_000_000_000 + Int64(wall.tv_nsec) - Int64(steady.tv_nsec)
    }

    /// RFC 3339 in UTC with milliseconds.
    private mutating func writeTime(_ uptimeNanoseconds: UInt64) {
        let milliseconds = (Int64(clamping: uptimeNanoseconds) + clockOffset) / 1_000_000
        let number = milliseconds / 1_000
        if second.number != number { second = (number, Self.secondText(number)) }
        text.writeBytes(second.text)
        let rest = Int(milliseconds - number * 1_000)
        text.writeInteger(UInt8(ascii: "0") + UInt8(rest / 100))
        text.writeInteger(UInt8(ascii: "0") + UInt8(rest / 10 % 10))
        text.writeInteger(UInt8(ascii: "0") + UInt8(rest % 10))
        text.writeInteger(UInt8(ascii: "Z"))
    }

    /// Such as `2026-11-20T03:04:05.`
    private static func secondText(_ second: Int64) -> [UInt8] {
        let (year, month, day) = DateField.civil(daysSinceEpoch: Int(second / 86_400))
        let time = Int(second % 86_400)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return Array("\(year)-\(two(month))-\(two(day))T\(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)).".utf8)
    }
}

extension ByteBuffer {
    fileprivate mutating func writeDecimalDigits(_ value: Int64) {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
            var (rest, start) = (value.magnitude, 20)
            repeat {
                start -= 1
                digits[start] = UInt8(truncatingIfNeeded: rest % 10) + UInt8(ascii: "0")
                rest /= 10
            } while rest > 0
            if value < 0 { writeInteger(UInt8(ascii: "-")) }
            writeBytes(UnsafeRawBufferPointer(rebasing: digits[start...]))
        }
    }

    /// Appends bytes that a client sent as a JSON string. What is no UTF-8 becomes U+FFFD.
    fileprivate mutating func writeJSONText(_ bytes: UnsafeRawBufferPointer) {
        writeInteger(UInt8(ascii: "\""))
        if bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            writeBytes(bytes)
        } else {
            writeEscaped(String(decoding: bytes, as: UTF8.self))
        }
        writeInteger(UInt8(ascii: "\""))
    }

    private mutating func writeEscaped(_ text: String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": writeStaticString("\\\"")
            case "\\": writeStaticString("\\\\")
            // Also what some programs read as the end of a line.
            case "\u{0}"..<"\u{20}", "\u{7F}"..<"\u{A0}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                writeString("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
            default: writeString(String(scalar))
            }
        }
    }
}
