package import NIOCore

/// A reply of the server in RESP 2, the protocol this client speaks.
package enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int64)
    /// A status line such as `OK`.
    case simple(String)
    case bulk(ByteBuffer)
    case array([RedisValue])
    case error(RedisServerError)
}

extension RedisValue {
    /// The number, where the reply is an integer or a string that spells one in decimal.
    package var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .simple(let text): Int64(text)
        case .bulk(let buffer): Int64(String(buffer: buffer))
        case .null, .array, .error: nil
        }
    }

    /// The text, where the reply is a status line, a string (invalid UTF-8 is repaired) or a number.
    package var string: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let buffer): String(buffer: buffer)
        case .integer(let value): String(value)
        case .null, .array, .error: nil
        }
    }

    /// The elements, where the reply is an array.
    package var array: [RedisValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// The bytes, where the reply is a string.
    package var bytes: ByteBuffer? {
        if case .bulk(let buffer) = self { buffer } else { nil }
    }

    /// True for the null string and the null array.
    package var isNull: Bool {
        if case .null = self { true } else { false }
    }

    /// True for the refusal of a cluster's node that does not serve the key's slot.
    var isMoved: Bool {
        if case .error(let error) = self { error.kind == .moved } else { false }
    }
}
