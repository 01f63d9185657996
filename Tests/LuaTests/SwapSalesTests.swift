import Commerce
import Redis
import Services
import Testing

@Suite("swap_sales", .redisServer, .serialized)
struct SwapSalesTests {
    static let days = (0..<Int64(RankingDays.kept)).map { BusinessDay(number: 20_777 - $0) }
    static let dayKeys = days.map(RedisKeys.sales)
    static let stagedKeys = days.map { RedisKeys.stagedSales(on: $0, build: "b") }
    static let keys =
        [RedisKeys.applied, RedisKeys.products, RedisKeys.rankingUnchanged, RedisKeys.store]
        + zip(dayKeys, stagedKeys).flatMap { [$0, $1] }
    static let expiries = (0..<Int64(RankingDays.kept)).map { SalesKeys.expiry - $0 * 86_400 }
    /// Products that ``counted()`` stages for each day.
    static let staged: [Int64] = [1, 0, 1, 1, 0]
    static let arguments: [RedisArgument] = [40, .string(Gate.store)] + zip(expiries, staged).flatMap { [.integer($0), .integer($1)] }

    /// Old scores on the first three days, new ones staged for the first, third and fourth.
    private func counted() async throws -> LuaServer {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("SET", .string(RedisKeys.applied), 8)
        _ = try await redis.send("HSET", .string(RedisKeys.products), .string(Self.dayKeys[0]), 2, "a day long ago", 5)
        _ = try await redis.send("SET", .string(RedisKeys.rankingUnchanged), 1)
        for day in 0..<3 { _ = try await redis.send("ZADD", .string(Self.dayKeys[day]), 99, "1", 7, "old") }
        for (day, units) in [(0, Int64(5)), (2, 6), (3, 7)] {
            _ = try await redis.send("ZADD", .string(Self.stagedKeys[day]), .integer(units), "1")
            _ = try await redis.send("EXPIRE", .string(Self.stagedKeys[day]), 600)
        }
        return redis
    }

    static let swapped = Snapshot(
        keys: [
            RedisKeys.applied: .string("40"), RedisKeys.store: .string(Gate.store), dayKeys[0]: .sortedSet(["1": "5"]),
            dayKeys[2]: .sortedSet(["1": "6"]),
            dayKeys[3]: .sortedSet(["1": "7"]), RedisKeys.products: .hash([dayKeys[0]: "1", dayKeys[2]: "1", dayKeys[3]: "1"]),
        ],
        expiries: [dayKeys[0]: expiries[0], dayKeys[2]: expiries[2], dayKeys[3]: expiries[3]])

    @Test("days come in place with offset and expiry; a day without sales vanishes; no staged key stays")
    func swaps() async throws {
        let redis = try await counted()
        #expect(try await redis.numbers(Scripts.swapSales, Self.keys, Self.arguments) == [SwapSalesCode.swapped.rawValue, 3])
        #expect(try await redis.snapshot() == Self.swapped)
    }

    @Test("the relay goes on from the offset that came with the scores")
    func goesOn() async throws {
        let redis = try await counted()
        _ = try await redis.numbers(Scripts.swapSales, Self.keys, Self.arguments)
        func record(_ event: Int64) async throws -> [Int64] {
            let arguments: [RedisArgument] = [.integer(event), .integer(event), .integer(Self.expiries[0]), .string(Gate.store), "1", 2]
            return try await redis.numbers(
                Scripts.recordSales, [RedisKeys.applied, Self.dayKeys[0], RedisKeys.products, RedisKeys.store], arguments)
        }
        #expect(try await record(9) == [RecordSalesCode.notNext.rawValue, 40])
        #expect(try await record(41) == [RecordSalesCode.applied.rawValue, 41])
        #expect(try await redis.send("ZSCORE", .string(Self.dayKeys[0]), "1").string == "7")
    }

    @Test("scores that are not all there any more do not replace the present ones", arguments: [0, 2, 3])
    func incomplete(_ day: Int) async throws {
        let redis = try await counted()
        _ = try await redis.send("DEL", .string(Self.stagedKeys[day]))
        try await redis.expectRefusal([SwapSalesCode.incomplete.rawValue], from: Scripts.swapSales, Self.keys, Self.arguments)
    }

    @Test("scores that nobody staged do not replace the present ones")
    func foreignScores() async throws {
        let redis = try await counted()
        _ = try await redis.send("ZADD", .string(Self.stagedKeys[1]), 1, "1")
        try await redis.expectRefusal([SwapSalesCode.incomplete.rawValue], from: Scripts.swapSales, Self.keys, Self.arguments)
    }

    @Test("scores of another store stay, and so do those of another incarnation")
    func otherStore() async throws {
        let redis = try await counted()
        _ = try await redis.send("SET", .string(RedisKeys.store), .string(Gate.otherStore))
        try await redis.expectRefusal([SwapSalesCode.otherStore.rawValue], from: Scripts.swapSales, Self.keys, Self.arguments)
    }

    @Test("nothing sold at all leaves the offset alone")
    func empty() async throws {
        let redis = try await LuaServer.emptied()
        let arguments: [RedisArgument] = [40, .string(Gate.store)] + Self.expiries.flatMap { [.integer($0), 0] }
        #expect(try await redis.numbers(Scripts.swapSales, Self.keys, arguments) == [SwapSalesCode.swapped.rawValue, 0])
        #expect(try await redis.snapshot() == Snapshot(keys: [RedisKeys.applied: .string("40"), RedisKeys.store: .string(Gate.store)]))
    }

    @Test("an offset or a day of another type is replaced", arguments: [keys[0], keys[1], keys[2], keys[4], keys[6]], ForeignType.allCases)
    func replaces(_ key: String, _ type: ForeignType) async throws {
        let redis = try await counted()
        try await redis.put(type, at: key)
        #expect(try await redis.numbers(Scripts.swapSales, Self.keys, Self.arguments) == [SwapSalesCode.swapped.rawValue, 3])
        #expect(try await redis.snapshot() == Self.swapped)
    }

    @Test("staged scores of another type are an error and the present ones stay", arguments: stagedKeys, ForeignType.allCases)
    func wrongType(_ key: String, _ type: ForeignType) async throws {
        let redis = try await counted()
        try await redis.put(type, at: key)
        try await redis.expectError("WRONGTYPE", from: Scripts.swapSales, Self.keys, Self.arguments)
    }

    static let wrongCounts: [(String, [String], [RedisArgument])] = [
        ("no keys", [], [40]),
        ("a day without its staged key", Array(keys[..<5]), [40, .string(Gate.store), 9_000_000_000]),
        ("one number too few", keys, Array(arguments.dropLast())),
        ("one number too many", keys, arguments + [9_000_000_000]),
        ("one day too many", keys + ["a{sales}", "b{sales}"], arguments),
        ("no arguments", keys, []),
    ]

    @Test("a number of keys that does not fit the arguments is an error and nothing changes", arguments: wrongCounts)
    func wrongCount(_ name: String, _ keys: [String], _ arguments: [RedisArgument]) async throws {
        let redis = try await counted()
        try await redis.expectError("ERR", from: Scripts.swapSales, keys, arguments)
    }

    @Test(
        "an offset or an expiry that is no integer is an error and nothing changes",
        arguments: arguments.indices.filter { $0 != 1 }, ["", "x", "nan", "inf", " 1", "1.5", "9000000000000000"])
    func garbage(_ place: Int, _ value: String) async throws {
        let redis = try await counted()
        var arguments = Self.arguments
        arguments[place] = .string(value)
        let complaint = place == 0 ? "event id" : place.isMultiple(of: 2) ? "expiry" : "products"
        try await redis.expectError(complaint, from: Scripts.swapSales, Self.keys, arguments)
    }
}
