import NIOCore

/// A command and whether sending it twice is the same as sending it once.
package struct RedisCommand: Sendable, Equatable {
    enum Content: Sendable, Equatable {
        case words([RedisArgument])
        case script(RedisScript, keys: [RedisArgument], arguments: [RedisArgument])
        case prepared(RedisPreparedCall, [Int64])
    }

    let content: Content
    /// Whether the command is sent again, until its deadline, if the connection breaks before its reply.
    package let isRepeatable: Bool
    /// The slot of the key that the command was placed beside; nil where its own keys decide.
    private(set) var placement: RedisSlot?

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

    /// A prepared call with its arguments.
    package init(_ call: RedisPreparedCall, arguments: [Int64]) {
        content = .prepared(call, arguments)
        isRepeatable = call.script.isRepeatable
    }

    /// The same command, sent to the node that holds `key`: for commands without keys, such as `TIME`. With one server it changes nothing.
    package func beside(_ key: String) -> RedisCommand {
        var command = self
        command.placement = RedisSlot(of: key.utf8)
        return command
    }

    /// The script this command calls, if it calls one.
    var script: RedisScript? {
        switch content {
        case .words: nil
        case .script(let script, _, _): script
        case .prepared(let call, _): call.script
        }
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
        case .prepared(let call, let arguments):
            guard !withSource else {
                let command = RedisCommand(call.script, keys: call.keys, arguments: call.arguments + arguments.map { .integer($0) })
                return command.encode(into: &buffer, withSource: true)
            }
            buffer.writeRedisArrayHeader(3 + call.keys.count + call.arguments.count + arguments.count)
            call.encoded.withUnsafeBytes { _ = buffer.writeBytes($0) }
            for argument in arguments { buffer.writeRedisArgument(.integer(argument)) }
        }
    }
}

/// A script's call whose keys and first arguments are rendered once, for calls that differ only in the arguments that follow.
///
/// Copying it copies one reference.
package final class RedisPreparedCall: Sendable, Equatable {
    let script: RedisScript
    let keys: [RedisArgument]
    let arguments: [RedisArgument]
    /// `EVALSHA digest keyCount key ... argument ...` as RESP, without the array header, whose count differs from call to call.
    let encoded: [UInt8]
    /// The slot of the first key; nil without keys.
    let slot: RedisSlot?

    /// Renders the call; any number of arguments may follow.
    package init(_ script: RedisScript, keys: [RedisArgument], arguments: [RedisArgument] = []) {
        precondition(keys.count == script.keyCount, "\(script.name) takes \(script.keyCount) keys, not \(keys.count)")
        var buffer = ByteBuffer()
        buffer.writeBytes(script.encodedByDigest)
        for word in keys + arguments { buffer.writeRedisArgument(word) }
        self.script = script
        (self.keys, self.arguments) = (keys, arguments)
        encoded = Array(buffer.readableBytesView)
        slot = keys.first.map { RedisSlot(of: $0) }
    }

    package static func == (left: RedisPreparedCall, right: RedisPreparedCall) -> Bool {
        left === right || (left.script == right.script && left.keys == right.keys && left.arguments == right.arguments)
    }
}
