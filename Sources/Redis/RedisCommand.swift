import NIOCore

/// A command and whether sending it twice is the same as sending it once.
package struct RedisCommand: Sendable, Equatable {
    enum Content: Sendable, Equatable {
        case words([RedisArgument])
        case script(RedisScript, keys: [RedisArgument], arguments: [RedisArgument])
    }

    let content: Content
    /// Sent again after a connection broke before its reply, while its deadline lasts.
    package let isRepeatable: Bool

    /// A command by its words, for example `RedisCommand("SET", "key", 1)`.
    package init(_ words: RedisArgument..., isRepeatable: Bool = false) {
        self.init(words: words, isRepeatable: isRepeatable)
    }

    /// A command by its words, the first of which is its name.
    package init(words: [RedisArgument], isRepeatable: Bool = false) {
        precondition(!words.isEmpty, "a command has at least a name")
        content = .words(words)
        self.isRepeatable = isRepeatable
    }

    /// A call of `script`, with as many keys as it declares.
    package init(_ script: RedisScript, keys: [RedisArgument], arguments: [RedisArgument] = []) {
        precondition(keys.count == script.keyCount, "\(script.name) takes \(script.keyCount) keys, not \(keys.count)")
        content = .script(script, keys: keys, arguments: arguments)
        isRepeatable = script.isRepeatable
    }

    /// The script this command calls, if it calls one.
    var script: RedisScript? {
        if case .script(let script, _, _) = content { script } else { nil }
    }

    /// Writes the command in RESP; scripts are called by digest, or with their source where `withSource` says so.
    func encode(into buffer: inout ByteBuffer, withSource: Bool = false) {
        switch content {
        case .words(let words):
            buffer.writeRedisArrayHeader(words.count)
            for word in words { buffer.writeRedisArgument(word) }
        case .script(let script, let keys, let arguments):
            buffer.writeRedisArrayHeader(3 + keys.count + arguments.count)
            if withSource {
                buffer.writeRedisArgument("EVAL")
                buffer.writeRedisArgument(.string(script.source))
                buffer.writeRedisArgument(.integer(Int64(script.keyCount)))
            } else {
                buffer.writeBytes(script.encodedByDigest)
            }
            for key in keys { buffer.writeRedisArgument(key) }
            for argument in arguments { buffer.writeRedisArgument(argument) }
        }
    }
}
