import Redis
import Services
import Testing

@Suite("record_views", .redisServer, .serialized)
struct RecordViewsTests {
    static let key = SalesKeys.views[0]
    static let keys = [key, RedisKeys.rankingUnchanged]

    static let rows: [(String, [RedisArgument], Int64, [String: String])] = [
        ("views add up", ["1", 2, "2", 1], 2, ["1": "5", "2": "1"]),
        ("one product in two pairs counts twice", ["1", 2, "1", 3], 2, ["1": "8"]),
        ("no products", [], 0, ["1": "3"]),
        (
            "ids beyond 2^53 stay exact", ["9007199254740992", 1, "9007199254740993", 2], 2,
            ["1": "3", "9007199254740992": "1", "9007199254740993": "2"]
        ),
    ]

    @Test(
        "views are added to the day, which may go at the given instant, and the last ranking is not that of all views any more",
        arguments: rows)
    func recorded(_ name: String, _ pairs: [RedisArgument], _ products: Int64, _ scores: [String: String]) async throws {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("ZADD", .string(Self.key), 3, "1")
        _ = try await redis.send("SET", .string(RedisKeys.rankingUnchanged), 1)
        let answer = try await redis.numbers(Scripts.recordViews, Self.keys, [.integer(SalesKeys.expiry)] + pairs)
        #expect(answer == [RecordViewsCode.recorded.rawValue, products])
        #expect(try await redis.snapshot() == Snapshot(keys: [Self.key: .sortedSet(scores)], expiries: [Self.key: SalesKeys.expiry]))
    }

    @Test("views of a day whose time is over leave no key")
    func pastDay() async throws {
        let redis = try await LuaServer.emptied()
        let yesterday = try await redis.now / 1000 - 86_400
        #expect(
            try await redis.numbers(Scripts.recordViews, Self.keys, [.integer(yesterday), "1", 2]) == [
                RecordViewsCode.recorded.rawValue, 1,
            ])
        #expect(try await redis.snapshot() == Snapshot())
    }

    static let garbage: [(String, [RedisArgument])] = [
        ("no arguments", []),
        ("an expiry that is no number", ["soon", "1", 2]),
        ("an expiry that Redis does not take", ["1.5", "1", 2]),
        ("an expiry beyond Redis' clock", ["9000000000000000", "1", 2]),
        ("a product without views", [9_000_000_000, "1", 2, "2"]),
        ("a bad pair in the middle", [9_000_000_000, "1", 2, "2", "x", "3", 1]),
        ("views nan in the middle", [9_000_000_000, "1", 2, "2", "nan", "3", 1]),
        ("views with a space in the middle", [9_000_000_000, "1", 2, "2", " 5", "3", 1]),
    ]

    @Test("garbage arguments are an error and change nothing, not even by the pairs before", arguments: garbage)
    func noHalfApplication(_ name: String, _ arguments: [RedisArgument]) async throws {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("ZADD", .string(Self.key), 3, "1")
        _ = try await redis.send("SET", .string(RedisKeys.rankingUnchanged), 1)
        try await redis.expectError("ERR", from: Scripts.recordViews, Self.keys, arguments)
    }

    @Test("a key of another type is an error and nothing changes", arguments: ForeignType.allCases)
    func wrongType(_ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(type, at: Self.key)
        try await redis.expectError("WRONGTYPE", from: Scripts.recordViews, Self.keys, [.integer(SalesKeys.expiry), "1", 2])
        // Without products only the expiry would be written, which Redis takes for a key of any type.
        try await redis.expectError("WRONGTYPE", from: Scripts.recordViews, Self.keys, [.integer(SalesKeys.expiry)])
    }
}
