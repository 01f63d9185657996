import Redis
import Services
import Testing

/// What a Redis that may not evict does when it is full: it refuses writes, and a script must not have written before.
@Suite("a full Redis", .redisServer, .serialized)
struct OutOfMemoryTests {
    /// A gate, an offset and a day, in a Redis that takes nothing more.
    private func full() async throws -> LuaServer {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.claimed(["9": "1"]))
        _ = try await redis.send("SET", .string(RedisKeys.applied), 8)
        _ = try await redis.send("ZADD", .string(SalesKeys.days[0]), 3, "1")
        _ = try await redis.send("HSET", .string(RedisKeys.products), .string(SalesKeys.days[0]), 1)
        // What an older call of rank_products has left, and new sales have made stale.
        _ = try await redis.send("RPUSH", .string(RedisKeys.rankingResult), 1, "5", "7", 0)
        _ = try await redis.send("SET", .string(RedisKeys.rankingUnchanged), 1)
        _ = try await redis.send("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1mb")
        let refusal = try await redis.pipeline([RedisCommand("SET", "probe", "x")])[0]
        guard case .error(let error) = refusal, error.kind == .outOfMemory else { throw UnexpectedAnswer(value: refusal) }
        return redis
    }

    private func withFullServer(_ body: (LuaServer) async throws -> Void) async throws {
        let redis = try await full()
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(redis)) } catch { outcome = .failure(error) }
        _ = try await redis.send("CONFIG", "SET", "maxmemory", 0)
        try outcome.get()
    }

    static let sales: [RedisArgument] = [9, 9, .integer(SalesKeys.expiry), .string(Gate.store), "1", 2]
    static let writers: [(RedisScript, [String], [RedisArgument])] = [
        (Scripts.claimCoupon, Gate.keys, [.string(Gate.store), "42"]),
        (Scripts.claimCoupon, Gate.keys, [.string(Gate.store), "9", "42", "43", "42"]),
        (Scripts.claimCoupon, Gate.keys, [.string(Gate.store), "early", "42", "43"]),
        (Scripts.adjustCoupon, Gate.keys, [5, 0, 0, .string(Gate.store)]),
        (Scripts.recordSales, RecordSalesTests.keys, sales),
        (Scripts.recordViews, [SalesKeys.views[0], RedisKeys.rankingUnchanged], [.integer(SalesKeys.expiry), "1", 2]),
        (Scripts.rankProducts, RankProductsTests.keys, RankProductsTests.arguments),
        (Scripts.takeTokens, TakeTokensTests.keys, TakeTokensTests.rates),
    ]

    @Test("a script that would write is an error and changes nothing", arguments: writers.indices)
    func refused(_ row: Int) async throws {
        let (script, keys, arguments) = Self.writers[row]
        try await withFullServer { redis in try await redis.expectError("OOM", from: script, keys, arguments) }
    }

    @Test("a gate under construction takes no claims and does not open")
    func build() async throws {
        try await withFullServer { redis in
            // Deleting is allowed, and so is what a script writes after it: the build itself begins.
            #expect(
                try await redis.numbers(Scripts.loadCoupon, Gate.keys, [6, 10, 0, 0, .string(Gate.store)]) == [LoadCode.loading.rawValue])
            try await redis.expectError("OOM", from: Scripts.loadClaims, Gate.keys, [6, 1, 11])
            try await redis.expectError("OOM", from: Scripts.openCoupon, Gate.keys, [6, 0])
        }
    }

    @Test("the gate of an archived campaign can go")
    func archive() async throws {
        try await withFullServer { redis in
            let answer = try await redis.numbers(Scripts.archiveCoupon, Gate.keys, [5])
            #expect(answer == [ArchiveCode.removed.rawValue, 2])
        }
    }

    @Test("who has won is still told, and a claim that failed for memory is decided anew once there is room")
    func afterwards() async throws {
        try await withFullServer { redis in
            #expect(try await redis.claim(["9", "9"]) == [Verdict(.alreadyClaimed, 1), Verdict(.alreadyClaimed, 1)])
            try await redis.expectError("OOM", from: Scripts.claimCoupon, Gate.keys, [.string(Gate.store), "42"])
            _ = try await redis.send("CONFIG", "SET", "maxmemory", 0)
            #expect(try await redis.claim("42") == Verdict(.claimed, 1))
        }
    }
}
