import NIOCore

/// A Lua script, run by its digest with `EVALSHA`. Copying it copies one reference.
package struct RedisScript: Sendable {
    private let content: Content

    /// - Parameters:
    ///   - name: for messages, for example the file's name.
    ///   - keyCount: how many keys every call passes.
    ///   - isRepeatable: true when running it twice with the same keys and arguments has the same answer and effect as running it once.
    ///     Only such a script is sent again when a connection broke before its reply.
    package init(name: String, source: String, keyCount: Int, isRepeatable: Bool = false) {
        content = Content(name: name, source: source, keyCount: keyCount, isRepeatable: isRepeatable)
    }

    package var name: String { content.name }
    package var source: String { content.source }
    /// SHA-1 of the source in lower-case hexadecimal, as the server computes it.
    package var sha1: String { content.sha1 }
    package var keyCount: Int { content.keyCount }
    package var isRepeatable: Bool { content.isRepeatable }

    /// `EVALSHA digest keyCount` as RESP, without the array header, whose count differs from call to call.
    var encodedByDigest: [UInt8] { content.encodedByDigest }

    private final class Content: Sendable {
        let name: String
        let source: String
        let sha1: String
        let keyCount: Int
        let isRepeatable: Bool
        let encodedByDigest: [UInt8]

        init(name: String, source: String, keyCount: Int, isRepeatable: Bool) {
            self.name = name
            self.source = source
            self.keyCount = keyCount
            self.isRepeatable = isRepeatable
            sha1 = SHA1.hexadecimal(of: source.utf8)
            var buffer = ByteBuffer()
            buffer.writeRedisArgument("EVALSHA")
            buffer.writeRedisArgument(.string(sha1))
            buffer.writeRedisArgument(.integer(Int64(keyCount)))
            encodedByDigest = Array(buffer.readableBytesView)
        }
    }
}

extension RedisScript: Equatable {
    package static func == (left: RedisScript, right: RedisScript) -> Bool {
        left.content === right.content
            || (left.sha1 == right.sha1 && left.keyCount == right.keyCount && left.isRepeatable == right.isRepeatable)
    }
}
