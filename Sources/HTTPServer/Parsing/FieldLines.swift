#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Field lines with their line ends, in which fields are searched that the parser does not note.
struct FieldLines {
    private let bytes: UnsafeRawBufferPointer

    /// - Parameter bytes: the lines, of which the last one may be cut.
    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The lines of a head of which only the beginning was read, or which is malformed.
    init(ofHead bytes: UnsafeRawBufferPointer) {
        let start = bytes.firstIndex(of: RequestHeadParser.lf).map { $0 + 1 } ?? bytes.count
        self.bytes = UnsafeRawBufferPointer(rebasing: bytes[start...])
    }

    /// Calls `body` with the value of each field of this lowercase name, in the order sent and without white space at the ends. The bytes
    /// are valid during a call.
    @inline(__always)
    func forEachValue(of name: StaticString, _ body: (UnsafeRawBufferPointer) -> Void) {
        forEachLine(longerThan: name.utf8CodeUnitCount) { line in
            if let value = Self.value(of: name, in: line) { body(value) }
        }
    }

    /// The value of the one field with this lowercase name; nil where there is none, or more than one.
    func onlyValue(of name: StaticString) -> UnsafeRawBufferPointer? {
        var found = OnlyValue()
        forEachValue(of: name) { found.take($0) }
        return found.value
    }

    /// The values of two fields, each as ``onlyValue(of:)`` finds it.
    @inline(__always)
    func onlyValues(of first: StaticString, _ second: StaticString) -> (first: UnsafeRawBufferPointer?, second: UnsafeRawBufferPointer?) {
        var (one, other) = (OnlyValue(), OnlyValue())
        forEachLine(longerThan: min(first.utf8CodeUnitCount, second.utf8CodeUnitCount)) { line in
            if let value = Self.value(of: first, in: line) { one.take(value) }
            if let value = Self.value(of: second, in: line) { other.take(value) }
        }
        return (one.value, other.value)
    }

    /// What is known of a field that may be there once.
    private struct OnlyValue {
        private(set) var value: UnsafeRawBufferPointer?
        private var wasFound = false

        mutating func take(_ found: UnsafeRawBufferPointer) {
            value = wasFound ? nil : found
            wasFound = true
        }
    }

    /// Calls `body` with each line, up to its line feed, which is not among the bytes.
    @inline(__always)
    private func forEachLine(longerThan length: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        guard let base = bytes.baseAddress else { return }
        var start = 0
        while start + length < bytes.count, let lineFeed = memchr(base + start, Int32(RequestHeadParser.lf), bytes.count - start) {
            let end = UnsafeRawPointer(lineFeed) - base
            body(UnsafeRawBufferPointer(start: base + start, count: end - start))
            start = end + 1
        }
    }

    /// The value of the field in this line; nil where it is another field.
    @inline(__always)
    private static func value(of name: StaticString, in line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let length = name.utf8CodeUnitCount
        guard length < line.count, line[length] == UInt8(ascii: ":"),
            UnsafeRawBufferPointer(rebasing: line[..<length]).equalsIgnoringCase(name)
        else { return nil }
        let hasReturn = line[line.count - 1] == RequestHeadParser.cr
        return UnsafeRawBufferPointer(rebasing: line[(length + 1)..<(hasReturn ? line.count - 1 : line.count)]).trimmed
    }
}
