import NIOCore
import Testing

@testable import Redis

@Suite struct SlotTests {
    /// The first is the test vector of the Redis Cluster specification; the others were read from `CLUSTER KEYSLOT` of Redis 7.0.15.
    static let keys: [(String, Int)] = [
        ("123456789", 0x31C3 % 16_384), ("", 0), ("foo", 12_182), ("{foo}bar", 12_182), ("bar{foo}", 12_182), ("{}foo", 9_500),
        ("foo{}{bar}", 8_363), ("foo{{bar}}zap", 4_015), ("foo{bar}{zap}", 5_061), ("foo{bar", 15_278), ("키{쿠폰}", 12_151),
        ("ranking:{sales}:store", 2_067), ("coupon:{1}", 9_842), ("coupon:{1}:claims", 9_842),
    ]

    @Test("a key's slot is the server's", arguments: keys)
    func slot(key: String, number: Int) {
        #expect(RedisSlot(of: key.utf8).number == number)
        #expect(RedisSlot(of: .string(key)).number == number)
        #expect(RedisSlot(of: .bytes(ByteBuffer(string: key))).number == number)
    }

    static let script = RedisScript(name: "s", source: "return 1", keyCount: 2)
    static let keyless = RedisScript(name: "s", source: "return 1", keyCount: 0)
    static let commands: [(RedisCommand, RedisArgument?)] = [
        (RedisCommand("GET", "k"), "k"), (RedisCommand("set", "k", "v"), "k"), (RedisCommand("DEL", 7, "other"), 7),
        (RedisCommand("HGET", .bytes(ByteBuffer(string: "k")), "f"), "k"),
        (RedisCommand("PING"), nil), (RedisCommand("ping", "k"), nil), (RedisCommand("TIME"), nil), (RedisCommand("SCAN", 0), nil),
        (RedisCommand("CLIENT", "LIST"), nil), (RedisCommand("SCRIPT", "LOAD", "return 1"), nil), (RedisCommand("GET"), nil),
        (RedisCommand("EVAL", "return 1", 0, "x"), nil), (RedisCommand("EVAL", "return 1", "0", "x"), nil),
        (RedisCommand("EVALSHA", "digest", 1, "k", "x"), "k"), (RedisCommand("EVAL", "return 1", "1", "k"), "k"),
        (RedisCommand("OBJECT", "ENCODING", "k"), "k"), (RedisCommand("XINFO", "STREAM", "k"), "k"),
        (RedisCommand("XREAD", "COUNT", 1, "streams", "k", "0"), "k"), (RedisCommand("XREAD", "COUNT", 1), nil),
        (RedisCommand("ZUNION", 2, "k", "l"), "k"), (RedisCommand("ZUNIONSTORE", "k", 2, "l", "m"), "k"),
        (RedisCommand(script, keys: ["k", "l"], arguments: ["m"]), "k"), (RedisCommand(keyless, keys: []), nil),
        (RedisCommand(RedisPreparedCall(script, keys: ["k", "l"]), arguments: [1]), "k"),
        (RedisCommand(RedisPreparedCall(keyless, keys: []), arguments: [1]), nil),
        (RedisCommand("TIME").beside("k"), "k"), (RedisCommand("GET", "l").beside("k"), "k"),
    ]

    @Test("a command belongs to the slot of its first key, or beside the key that it is sent to", arguments: commands)
    func command(command: RedisCommand, key: RedisArgument?) {
        #expect(command.slot == key.map { RedisSlot(of: $0) })
    }

    @Test("a command that is sent beside a key has the same bytes")
    func beside() {
        var (plain, beside) = (ByteBuffer(), ByteBuffer())
        RedisCommand("TIME").encode(into: &plain)
        RedisCommand("TIME").beside("k").encode(into: &beside)
        #expect(plain == beside)
    }
}
