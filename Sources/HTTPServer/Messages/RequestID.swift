/// The id of one request, which its answer, its log lines and its line in the access log carry.
///
/// A client's own id is taken over where it is valid. Otherwise the id is made from a number of the connection and the number of the
/// request on it, so that nothing has to be made or stored for a request whose id nobody asks for.
package struct RequestID: Sendable, Equatable {
    let connection: UInt64
    let number: UInt32
    /// The client's own id. Boxed, because few requests have one.
    let given: GivenRequestID?

    package static func == (left: RequestID, right: RequestID) -> Bool { left.description == right.description }
}

/// An id that a client sent with its request in `X-Request-Id`.
final class GivenRequestID: Sendable {
    let text: String

    /// The longest id that is taken over.
    static let maximumByteCount = 128

    /// Takes over the value of a field; nil where it is empty, too long, or has other bytes than ``isAllowed(_:)`` permits.
    init?(_ value: UnsafeRawBufferPointer) {
        guard (1...Self.maximumByteCount).contains(value.count), value.allSatisfy(Self.isAllowed) else { return nil }
        text = String(decoding: value, as: UTF8.self)
    }

    /// Letters, digits and `-._~+/=:@`: they need no escape in a log line, a URL's path, JSON or a shell.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"),
            UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"):
            true
        default: false
        }
    }
}

extension RequestID: CustomStringConvertible {
    package var description: String {
        if let given { return given.text }
        return String(unsafeUninitializedCapacity: GeneratedIDText.byteCount) { bytes in
            GeneratedIDText(ConnectionIDText(connection), number).write(into: UnsafeMutableRawBufferPointer(bytes), at: 0)
            return GeneratedIDText.byteCount
        }
    }
}

// MARK: - The text of generated ids

/// The numbers of a loop's connections.
///
/// A random number is counted up and then mixed by a bijection, so that no two connections of a loop have the same one, and those of
/// other loops, services and runs have the same one only by an unlikely chance (of 64 bits).
struct ConnectionNumbers {
    private var last = UInt64.random(in: 0...UInt64.max)

    /// The finalizer of SplitMix64, which is a bijection.
    mutating func next() -> UInt64 {
        last &+= 0x9E37_79B9_7F4A_7C15
        var number = last
        number = (number ^ number >> 30) &* 0xBF58_476D_1CE4_E5B9
        number = (number ^ number >> 27) &* 0x94D0_49BB_1331_11EB
        return number ^ number >> 31
    }
}

/// The first 16 digits of the ids of a connection's requests, made once for each connection.
struct ConnectionIDText {
    let number: UInt64
    fileprivate let start: UInt64
    fileprivate let end: UInt64

    init(_ number: UInt64) {
        self.number = number
        start = Self.digits(UInt32(truncatingIfNeeded: number >> 32))
        end = Self.digits(UInt32(truncatingIfNeeded: number))
    }

    /// Eight hexadecimal digits as the bytes of a word, the first digit lowest.
    @inline(__always)
    fileprivate static func digits(_ number: UInt32) -> UInt64 {
        // Spreads the eight half bytes over eight bytes, then turns 0 to 15 into digits and letters.
        var word = UInt64(number)
        word = (word | word << 16) & 0x0000_FFFF_0000_FFFF
        word = (word | word << 8) & 0x00FF_00FF_00FF_00FF
        word = (word | word << 4) & 0x0F0F_0F0F_0F0F_0F0F
        let letters = (word &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return (word &+ 0x3030_3030_3030_3030 &+ letters &* 39).byteSwapped
    }
}

/// A generated id as its 24 bytes: 16 digits of the connection, 8 of the request on it.
struct GeneratedIDText {
    private let connection: ConnectionIDText
    private let request: UInt64

    static let byteCount = 24

    @inline(__always)
    init(_ connection: ConnectionIDText, _ number: UInt32) {
        self.connection = connection
        request = ConnectionIDText.digits(number)
    }

    /// Writes the bytes; there must be room for them.
    @inline(__always)
    func write(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
        bytes.storeBytes(of: connection.start.littleEndian, toByteOffset: offset, as: UInt64.self)
        bytes.storeBytes(of: connection.end.littleEndian, toByteOffset: offset + 8, as: UInt64.self)
        bytes.storeBytes(of: request.littleEndian, toByteOffset: offset + 16, as: UInt64.self)
    }
}
