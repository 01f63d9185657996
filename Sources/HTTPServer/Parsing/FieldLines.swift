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
        guard let base = bytes.baseAddress else { return }
        let (count, length) = (bytes.count, name.utf8CodeUnitCount)
        var start = 0
        while start + length < count, let lineFeed = memchr(base + start, Int32(RequestHeadParser.lf), count - start) {
            let end = UnsafeRawPointer(lineFeed) - base
            let colon = start + length
            if colon < end, bytes[colon] == UInt8(ascii: ":"),
                UnsafeRawBufferPointer(rebasing: bytes[start..<colon]).equalsIgnoringCase(name)
            {
                let hasReturn = bytes[end - 1] == RequestHeadParser.cr
                body(UnsafeRawBufferPointer(rebasing: bytes[(colon + 1)..<(hasReturn ? end - 1 : end)]).trimmed)
            }
            start = end + 1
        }
    }

    /// The value of the one field with this lowercase name; nil where there is none, or more than one.
    func onlyValue(of name: StaticString) -> UnsafeRawBufferPointer? {
        var (found, count): (UnsafeRawBufferPointer?, Int) = (nil, 0)
        forEachValue(of: name) { value in
            found = value
            count += 1
        }
        return count == 1 ? found : nil
    }
}
