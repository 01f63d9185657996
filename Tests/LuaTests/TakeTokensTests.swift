import Commerce
import Redis
import Services
import TestSupport
import Testing

@Suite("take_tokens", .redisServer, .serialized)
struct TakeTokensTests {
    static let address = RedisKeys.bucket(ofAddress: "192.0.2.1")
    static let user = RedisKeys.bucket(of: UserID(7))
    static let keys = [address, user]
    /// The instant at which the clock stands, in microseconds: a frozen script adds 999.
    static let millisecond: Int64 = 1_795_000_000_000
    static let now = millisecond * 1_000 + 999
    /// Three requests at once and one in 100 seconds for the address, two at once and one in 500 seconds for the user: keys expire by the
    /// server's own clock, and none may do so during a test.
    static let rates: [RedisArgument] = [100_000_000, 3, 500_000_000, 2]
    static let taken = TakeTokensCode.taken.rawValue
    static let addressRefused = TakeTokensCode.addressRefused.rawValue
    static let userRefused = TakeTokensCode.userRefused.rawValue

    private func take(
        _ redis: LuaServer, _ rates: [RedisArgument] = Self.rates, at milliseconds: Int64 = Self.millisecond
    ) async throws -> [Int64] {
        try await redis.numbers(Scripts.takeTokens.frozen(atMilliseconds: milliseconds), Self.keys, rates)
    }

    @Test("each request takes a token of both buckets, until the user's is empty; then the address goes on paying, until its own is")
    func burst() async throws {
        let redis = try await LuaServer.emptied()
        #expect(try await take(redis) == [Self.taken, 100_000_000, 500_000_000])
        #expect(try await take(redis) == [Self.taken, 200_000_000, 1_000_000_000])
        #expect(try await take(redis) == [Self.userRefused, 300_000_000, 1_000_000_000])
        #expect(try await take(redis) == [Self.addressRefused, 300_000_000, 1_000_000_000])
        let before = try await redis.snapshot()
        #expect(try await take(redis) == [Self.addressRefused, 300_000_000, 1_000_000_000])
        #expect(try await redis.snapshot() == before)
        #expect(try await redis.send("GET", .string(Self.address)).string == String(Self.now + 300_000_000))
        #expect(try await redis.send("GET", .string(Self.user)).string == String(Self.now + 1_000_000_000))
    }

    @Test("a token comes back after its interval, not before")
    func refill() async throws {
        let redis = try await LuaServer.emptied()
        let rates: [RedisArgument] = [0, 0, 500_000_000, 2]
        for _ in 0..<2 { #expect(try await take(redis, rates)[0] == Self.taken) }
        #expect(try await take(redis, rates, at: Self.millisecond + 499_999)[0] == Self.userRefused)
        #expect(try await take(redis, rates, at: Self.millisecond + 500_000) == [Self.taken, 0, 1_000_000_000])
        #expect(try await take(redis, rates, at: Self.millisecond + 999_999)[0] == Self.userRefused)
        #expect(try await take(redis, rates, at: Self.millisecond + 3_000_000) == [Self.taken, 0, 500_000_000])
    }

    static let single: [([RedisArgument], String, [Int64])] = [
        ([100_000_000, 3, 0, 0], address, [1, 100_000_000, 0]), ([0, 0, 500_000_000, 2], user, [1, 0, 500_000_000]),
    ]

    @Test("a bucket without an interval is left out, and its key is not written", arguments: single)
    func leftOut(_ rates: [RedisArgument], _ key: String, _ answer: [Int64]) async throws {
        let redis = try await LuaServer.emptied()
        #expect(try await take(redis, rates) == answer)
        #expect(try await redis.send("KEYS", "*").array?.compactMap(\.string) == [key])
    }

    @Test("a key lives until its bucket is full, by the server's own clock")
    func expiry() async throws {
        let redis = try await LuaServer.emptied()
        let answer = try await redis.numbers(Scripts.takeTokens, Self.keys, [60_000_000, 60, 3_600_000_000, 5])
        #expect(answer == [1, 60_000_000, 3_600_000_000])
        let address = try #require(try await redis.send("PTTL", .string(Self.address)).integer)
        let user = try #require(try await redis.send("PTTL", .string(Self.user)).integer)
        #expect((1...60_000).contains(address) && (60_001...3_600_000).contains(user))
    }

    @Test("a key goes by itself")
    func gone() async throws {
        let redis = try await LuaServer.emptied()
        #expect(try await redis.numbers(Scripts.takeTokens, Self.keys, [1_000, 1, 0, 0])[0] == Self.taken)
        try await eventually("the key has expired") { try await redis.send("EXISTS", .string(Self.address)).integer == 0 }
    }

    @Test("after Redis' clock was set back, a bucket is empty no longer than it takes to fill")
    func clock() async throws {
        let redis = try await LuaServer.emptied()
        for _ in 0..<3 { _ = try await take(redis, [100_000_000, 3, 0, 0]) }
        let hourBefore = Self.millisecond - 3_600_000
        #expect(try await take(redis, [100_000_000, 3, 0, 0], at: hourBefore) == [Self.addressRefused, 300_000_000, 0])
    }

    @Test("the value of another program counts as a full bucket", arguments: ["", "nan", "-5", "1e9", "0x10", "99999999999999999", " 7"])
    func foreign(_ value: String) async throws {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("SET", .string(Self.address), .string(value))
        #expect(try await take(redis, [100_000_000, 3, 0, 0]) == [Self.taken, 100_000_000, 0])
    }

    static let garbage: [[RedisArgument]] = [
        [], [1, 1, 1], ["x", 1, 1, 1], [1, "nan", 1, 1], [1, 1, "-1", 1], [1, 1, 1, "1.5"], [1, 1, " 1", 1], ["1000000000000", 1, 1, 1],
    ]

    @Test("garbage arguments are an error and change nothing", arguments: garbage.indices)
    func badArguments(_ index: Int) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.expectError("ERR", from: Scripts.takeTokens, Self.keys, Self.garbage[index])
    }

    @Test("a key of another type is an error, and the other bucket pays nothing", arguments: [ForeignType.list, .set])
    func wrongType(_ type: ForeignType) async throws {
        for key in Self.keys {
            let redis = try await LuaServer.emptied()
            try await redis.put(type, at: key)
            try await redis.expectError("WRONGTYPE", from: Scripts.takeTokens, Self.keys, Self.rates)
        }
    }
}
