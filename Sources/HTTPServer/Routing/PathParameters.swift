/// The positions of a matched template's parameters in the path, in the template's order. Stored inline, without an array.
package struct PathParameters: Sendable {
    /// Parameters one template may have.
    static let maximumCount = 4

    private var storage = (ByteRange.absent, ByteRange.absent, ByteRange.absent, ByteRange.absent)
    package private(set) var count = 0

    init() {}

    mutating func append(_ start: Int, _ end: Int) {
        let range = ByteRange(start, end)
        switch count {
        case 0: storage.0 = range
        case 1: storage.1 = range
        case 2: storage.2 = range
        case 3: storage.3 = range
        default: preconditionFailure("templates have at most \(PathParameters.maximumCount) parameters")
        }
        count += 1
    }

    mutating func removeLast() { count -= 1 }

    private func range(_ index: Int) -> Range<Int> {
        precondition(index < count, "the template has \(count) parameters")
        switch index {
        case 0: return storage.0.range
        case 1: return storage.1.range
        case 2: return storage.2.range
        default: return storage.3.range
        }
    }

    /// The bytes of one parameter in its path.
    func bytes(_ index: Int, of path: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: path[range(index)])
    }

    /// One parameter of the request's path, percent-decoded; nil where its escapes are malformed, which a match excludes.
    package func text(_ index: Int, of request: HTTPRequest) -> String? {
        request.withPath { PercentEncoding.decode(bytes(index, of: $0)) }
    }

    /// One parameter as a plain decimal integer: digits only, no sign, no leading zero, at most `Int64.max`; else nil.
    package func int64(_ index: Int, of request: HTTPRequest) -> Int64? {
        request.withPath { PathParameters.int64(bytes(index, of: $0)) }
    }

    static func int64(_ digits: UnsafeRawBufferPointer) -> Int64? {
        guard let first = digits.first, digits.count == 1 || first != UInt8(ascii: "0"), digits.count <= 19 else { return nil }
        // 19 digits fit 64 bits without a sign.
        var value: UInt64 = 0
        for byte in digits {
            let digit = byte &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + UInt64(digit)
        }
        return Int64(exactly: value)
    }
}
