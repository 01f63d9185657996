package import NIOCore

/// One word of a command. Words are written into the connection's buffer as they are: no intermediate strings.
package enum RedisArgument: Sendable, Equatable {
    case string(String)
    /// Sent in decimal.
    case integer(Int64)
    case bytes(ByteBuffer)

    /// A word for any integer that fits 64 bits.
    package init(_ value: some FixedWidthInteger) { self = .integer(Int64(value)) }

    /// A word of text, sent as UTF-8.
    package init(_ value: some StringProtocol) { self = .string(String(value)) }
}

extension RedisArgument: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringInterpolation {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
}
