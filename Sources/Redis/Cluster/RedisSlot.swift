import NIOCore

/// One of the 16,384 parts of a cluster's keys (Redis Cluster specification, "Key distribution model").
struct RedisSlot: Sendable, Hashable {
    static let count = 16_384

    let number: UInt16

    /// Nil for a number that is no slot.
    init?(_ number: Int) {
        guard (0..<Self.count).contains(number) else { return nil }
        self.number = UInt16(number)
    }

    /// The slot of a key: CRC16 of its hash tag, the text between the first `{` and the next `}`, or of all of it without a tag.
    init(of key: some Collection<UInt8>) {
        var sum: UInt16 = 0
        if let open = key.firstIndex(of: UInt8(ascii: "{")) {
            let start = key.index(after: open)
            if let end = key[start...].firstIndex(of: UInt8(ascii: "}")), end != start {
                for byte in key[start..<end] { Self.add(byte, to: &sum) }
                number = sum % UInt16(Self.count)
                return
            }
        }
        for byte in key { Self.add(byte, to: &sum) }
        number = sum % UInt16(Self.count)
    }

    init(of key: RedisArgument) {
        switch key {
        case .string(let text): self.init(of: text.utf8)
        case .integer(let number): self.init(of: String(number).utf8)
        case .bytes(let bytes): self.init(of: bytes.readableBytesView)
        }
    }

    @inline(__always)
    private static func add(_ byte: UInt8, to sum: inout UInt16) {
        sum = sum << 8 ^ table[Int(UInt8(truncatingIfNeeded: sum >> 8) ^ byte)]
    }

    /// CRC-16/XMODEM: polynomial 0x1021, initial value 0, not reflected.
    private static let table: [UInt16] = (0..<256).map { byte in
        (0..<8).reduce(UInt16(byte) << 8) { sum, _ in sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x1021 }
    }
}

extension RedisCommand {
    /// The slot of the command's first key, or of the key it has been placed beside; nil for a command without a key.
    var slot: RedisSlot? {
        if let placement { return placement }
        switch content {
        case .prepared(let call, _): return call.slot
        case .script(_, let keys, _): return keys.first.map { RedisSlot(of: $0) }
        case .words(let words): return Self.key(of: words).map { RedisSlot(of: $0) }
        }
    }

    /// The first key among the words of a command. It is the second word unless the command's name is in the table.
    private static func key(of words: [RedisArgument]) -> RedisArgument? {
        guard case .string(let name)? = words.first else { return nil }
        switch name.uppercased() {
        case "ACL", "ASKING", "AUTH", "BGREWRITEAOF", "BGSAVE", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "DEBUG", "DISCARD",
            "ECHO", "EXEC", "FAILOVER", "FLUSHALL", "FLUSHDB", "FUNCTION", "HELLO", "INFO", "KEYS", "LASTSAVE", "LATENCY", "MODULE",
            "MULTI", "PING", "PUBLISH", "QUIT", "RANDOMKEY", "READONLY", "READWRITE", "RESET", "ROLE", "SAVE", "SCAN", "SCRIPT", "SELECT",
            "SHUTDOWN", "SLOWLOG", "TIME", "UNWATCH", "WAIT", "WAITAOF":
            return nil
        case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
            guard words.count > 3, words[2] != "0", words[2] != 0 else { return nil }
            return words[3]
        case "BITOP", "MEMORY", "OBJECT", "XGROUP", "XINFO", "LMPOP", "SINTERCARD", "ZDIFF", "ZINTER", "ZINTERCARD", "ZMPOP", "ZUNION":
            return words.count > 2 ? words[2] : nil
        case "BLMPOP", "BZMPOP": return words.count > 3 ? words[3] : nil
        case "XREAD", "XREADGROUP":
            let streams = words.firstIndex { if case .string(let word) = $0 { word.uppercased() == "STREAMS" } else { false } }
            guard let streams, streams + 1 < words.count else { return nil }
            return words[streams + 1]
        default: return words.count > 1 ? words[1] : nil
        }
    }
}
