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
    private var clock = AccessLogClock()

    init(routes: [String]) {
        self.routes = routes.map { route in
            [UInt8](unsafeUninitializedCapacity: 2 + AccessLogCursor.longestEscape * route.utf8.count) { target, count in
                guard let base = target.baseAddress else { return }
                var line = AccessLogCursor(base)
                line.put(text: route)
                count = line.byteCount
            }
        }
    }

    mutating func removeAll() { text.clear() }

    /// Appends the lines of a chunk.
    mutating func append(_ chunk: AccessLogChunk) {
        clock.read()
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
        clock.read()
        let now = UInt64(clamping: Int64(NIODeadline.now().uptimeNanoseconds))
        clock.renderSecond(of: now)
        let clock = clock
        text.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.fixedByteCount) { target in
            guard let base = target.baseAddress else { return 0 }
            var line = AccessLogCursor(base)
            line.put("{\"time\":\"")
            clock.put(now, into: &line)
            line.put("\",\"dropped\":")
            line.put(decimal: Int64(count))
            line.put("}\n")
            return line.byteCount
        }
    }

    private mutating func append(_ record: AccessLogRecord, _ texts: UnsafeRawBufferPointer) {
        clock.renderSecond(of: record.receivedAt)
        let clock = clock
        let route = Int(record.route) < routes.count && record.route >= 0 ? routes[Int(record.route)] : []
        let room = Self.fixedByteCount + AccessLogCursor.longestEscape * texts.count + route.count
        text.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
            guard let base = target.baseAddress else { return 0 }
            var line = AccessLogCursor(base)
            Self.put(record, texts, route, clock, into: &line)
            return line.byteCount
        }
    }

    /// More than the parts of a line take that no client decides: names, numbers and punctuation.
    private static let fixedByteCount = 640

    private static func put(
        _ record: AccessLogRecord, _ texts: UnsafeRawBufferPointer, _ route: [UInt8], _ clock: AccessLogClock,
        into line: inout AccessLogCursor
    ) {
        var rest = texts
        @inline(__always)
        func next(_ count: some BinaryInteger) -> UnsafeRawBufferPointer {
            defer { rest = UnsafeRawBufferPointer(rebasing: rest[Int(count)...]) }
            return UnsafeRawBufferPointer(rebasing: rest[..<Int(count)])
        }
        let (method, path) = (next(record.methodByteCount), next(record.pathByteCount))
        let (agent, trace) = (next(record.agentByteCount), next(record.traceByteCount))
        let (given, subject, address) = (next(record.givenIDByteCount), next(record.subjectByteCount), next(record.addressByteCount))

        line.put("{\"time\":\"")
        clock.put(record.receivedAt, into: &line)
        line.put("\",\"request\":\"")
        if given.isEmpty {
            line.put(GeneratedIDText(ConnectionIDText(record.connection), record.number))
        } else {
            line.put(given)
        }
        if TraceParent(trace) != nil {
            line.put("\",\"trace\":\"")
            line.put(UnsafeRawBufferPointer(rebasing: trace[TraceParent.traceIDRange]))
        }
        line.put("\",\"method\":")
        // A method is a token of RFC 9110, in which neither a quotation mark nor a backslash can be.
        if method.isEmpty { line.put("null") } else { line.put(plainText: method) }
        line.put(",\"path\":")
        put(path: path, record.flags, into: &line)
        line.put(",\"route\":")
        if route.isEmpty { line.put("null") } else { route.withUnsafeBytes { line.put($0) } }
        line.put(",\"status\":")
        if record.status == 0 { line.put("null") } else { line.put(decimal: Int64(record.status)) }
        line.put(",\"bytes\":")
        line.put(decimal: record.answerBytes)
        if record.flags.contains(.isIncomplete) { line.put(",\"incomplete\":true") }
        line.put(",\"microseconds\":")
        line.put(decimal: max(0, record.nanoseconds / 1_000))
        line.put(",\"remote\":")
        if address.isEmpty { line.put("null") } else { line.put(plainText: address) }
        if record.user != 0 {
            line.put(",\"role\":\"user\",\"user\":")
            line.put(decimal: record.user)
        } else if record.flags.contains(.isAdmin) {
            line.put(",\"role\":\"admin\",\"subject\":")
            line.put(text: subject)
        }
        if record.flags.contains(.hasHead) {
            if record.flags.contains(.isHTTP10) { line.put(",\"http\":\"1.0\"") } else { line.put(",\"http\":\"1.1\"") }
        }
        if !agent.isEmpty {
            line.put(",\"userAgent\":")
            line.put(text: agent)
        }
        line.put("}\n")
    }

    private static func put(path: UnsafeRawBufferPointer, _ flags: AccessLogRecord.Flags, into line: inout AccessLogCursor) {
        if !flags.contains(.hasPath) {
            line.put("null")
        } else if path.isEmpty {
            // The absolute form of a target may have no path, which means the same as `/`.
            line.put("\"/\"")
        } else {
            line.put(text: path)
        }
        if flags.contains(.pathIsCut) { line.put(",\"pathIsCut\":true") }
    }
}

/// Makes wall clock times of what the loops note, which is the monotonic clock.
private struct AccessLogClock {
    /// The difference of the wall clock and the monotonic clock.
    private var offset: Int64 = 0
    /// The text of the second that was rendered last.
    private var second: (number: Int64, text: [UInt8]) = (.min, [])

    mutating func read() {
        var (wall, steady) = (timespec(), timespec())
        clock_gettime(CLOCK_REALTIME, &wall)
        clock_gettime(CLOCK_MONOTONIC, &steady)
        offset = (Int64(wall.tv_sec) - Int64(steady.tv_sec)) * 1_000_000_000 + Int64(wall.tv_nsec) - Int64(steady.tv_nsec)
    }

    private func milliseconds(of uptimeNanoseconds: UInt64) -> Int64 {
        (Int64(clamping: uptimeNanoseconds) + offset) / 1_000_000
    }

    /// Makes the text of the second, where it is another one than before.
    mutating func renderSecond(of uptimeNanoseconds: UInt64) {
        let number = milliseconds(of: uptimeNanoseconds) / 1_000
        if second.number != number { second = (number, Self.secondText(number)) }
    }

    /// Writes RFC 3339 in UTC with milliseconds. The second must be the one that was rendered.
    func put(_ uptimeNanoseconds: UInt64, into line: inout AccessLogCursor) {
        second.text.withUnsafeBytes { line.put($0) }
        line.put(threeDigits: UInt32(truncatingIfNeeded: milliseconds(of: uptimeNanoseconds) - second.number * 1_000))
        line.put(UInt8(ascii: "Z"))
    }

    /// Such as `2026-11-20T03:04:05.`
    private static func secondText(_ second: Int64) -> [UInt8] {
        let (year, month, day) = DateField.civil(daysSinceEpoch: Int(second / 86_400))
        let time = Int(second % 86_400)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return Array("\(year)-\(two(month))-\(two(day))T\(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)).".utf8)
    }
}
