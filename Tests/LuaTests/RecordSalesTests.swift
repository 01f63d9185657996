import Commerce
import Redis
import Services
import Testing

/// The keys of the ranking on three days that every test uses, and on days of its own.
enum SalesKeys {
    static let applied = RedisKeys.applied
    static let days = [20_777, 20_776, 20_775].map { RedisKeys.sales(on: BusinessDay(number: $0)) }
    static let views = [20_777, 20_776, 20_775].map { RedisKeys.views(on: BusinessDay(number: $0)) }
    /// An instant at which every key of the tests may go, in seconds: the year 2255.
    static let expiry: Int64 = 9_000_000_000
}

@Suite("record_sales", .redisServer, .serialized)
struct RecordSalesTests {
    static let day = SalesKeys.days[0]
    static let keys = [SalesKeys.applied, day, RedisKeys.products, RedisKeys.store]
    static let store = RedisArgument.string(Gate.store)

    /// Event 8 was counted last; product 1 has sold three, product 2 one.
    private func counted() async throws -> LuaServer {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("SET", .string(SalesKeys.applied), 8)
        _ = try await redis.send("ZADD", .string(Self.day), 3, "1", 1, "2")
        _ = try await redis.send("HSET", .string(RedisKeys.products), .string(Self.day), 2)
        return redis
    }

    private static func snapshot(offset: String, _ scores: [String: String], expiry: Int64? = SalesKeys.expiry) -> Snapshot {
        var snapshot = Snapshot(keys: [SalesKeys.applied: .string(offset)])
        if !scores.isEmpty {
            snapshot.keys[day] = .sortedSet(scores)
            snapshot.keys[RedisKeys.products] = .hash([day: "\(scores.count)"])
            snapshot.expiries[day] = expiry
        }
        return snapshot
    }

    static let applied: [(String, [RedisArgument], [String: String])] = [
        ("units add up", ["1", 2, "2", 5], ["1": "5", "2": "6"]),
        ("a new product begins at its units", ["31", 4], ["1": "3", "2": "1", "31": "4"]),
        ("one product in two lines counts twice", ["1", 2, "1", 3], ["1": "8", "2": "1"]),
        ("a refund takes units away", ["1", -2], ["1": "1", "2": "1"]),
        ("a refund of everything removes the member", ["2", -1], ["1": "3"]),
        ("a refund of the last product removes the key", ["1", -3, "2", -1], [:]),
        ("a refund before its sale stands below zero", ["5", -2], ["1": "3", "2": "1", "5": "-2"]),
        ("an event without products moves the offset alone", [], ["1": "3", "2": "1"]),
        ("no units add no member", ["5", 0], ["1": "3", "2": "1"]),
        (
            "ids beyond 2^53 stay exact", ["9007199254740992", 1, "9007199254740993", 2],
            ["1": "3", "2": "1", "9007199254740992": "1", "9007199254740993": "2"]
        ),
    ]

    @Test("the next event moves scores and offset together and sets when the day may go", arguments: applied)
    func counts(_ name: String, _ pairs: [RedisArgument], _ scores: [String: String]) async throws {
        let redis = try await counted()
        let answer = try await redis.numbers(Scripts.recordSales, Self.keys, [9, 9, .integer(SalesKeys.expiry), Self.store] + pairs)
        #expect(answer == [RecordSalesCode.applied.rawValue, 9])
        #expect(try await redis.snapshot() == Self.snapshot(offset: "9", scores))
    }

    @Test("many events count as one, from the offset to the last of them, and again not at all")
    func run() async throws {
        let redis = try await counted()
        let run: [RedisArgument] = [9, 12, .integer(SalesKeys.expiry), Self.store, "1", 4, "2", -1]
        #expect(try await redis.numbers(Scripts.recordSales, Self.keys, run) == [RecordSalesCode.applied.rawValue, 12])
        #expect(try await redis.snapshot() == Self.snapshot(offset: "12", ["1": "7"]))
        let notNext = [RecordSalesCode.notNext.rawValue, 12]
        try await redis.expectRefusal(notNext, from: Scripts.recordSales, Self.keys, run)
        // Some of these are counted already, so none of them is now: the relay goes on from the offset.
        try await redis.expectRefusal(
            notNext, from: Scripts.recordSales, Self.keys, [11, 14, .integer(SalesKeys.expiry), Self.store, "1", 4])
    }

    @Test("the first sale of a day makes its key, with the expiry that is given")
    func firstSale() async throws {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("SET", .string(SalesKeys.applied), 0)
        let expiry = try await redis.now / 1000 + 3_600
        #expect(
            try await redis.numbers(Scripts.recordSales, Self.keys, [1, 1, .integer(expiry), Self.store, "7", 2]) == [
                RecordSalesCode.applied.rawValue, 1,
            ])
        #expect(try await redis.snapshot() == Self.snapshot(offset: "1", ["7": "2"], expiry: expiry))
    }

    static let tampering: [(String, [RedisArgument])] = [
        ("the day is deleted", ["DEL", .string(day)]),
        ("a product is taken out", ["ZREM", .string(day), "1"]),
        ("a product is put in", ["ZADD", .string(day), 1, "77"]),
        ("what was counted is forgotten", ["DEL", .string(RedisKeys.products)]),
        ("what was counted is no number", ["HSET", .string(RedisKeys.products), .string(day), "two"]),
    ]

    @Test("a day that holds another number of products than was counted is not counted on", arguments: tampering)
    func dayChanged(_ name: String, _ command: [RedisArgument]) async throws {
        let redis = try await counted()
        _ = try await redis.pipeline([RedisCommand(words: command)])
        let answer = [RecordSalesCode.dayChanged.rawValue]
        try await redis.expectRefusal(answer, from: Scripts.recordSales, Self.keys, [9, 9, .integer(SalesKeys.expiry), Self.store, "1", 2])
    }

    static let refusals: [(String, String?, Int64, [Int64])] = [
        ("a repetition", "8", 8, [2, 8]),
        ("an event long counted", "8", 3, [2, 8]),
        ("a gap", "8", 10, [2, 8]),
        ("no offset", nil, 9, [3]),
        ("no offset, and the very first event", nil, 1, [3]),
        ("an offset that is no number", "many", 9, [3]),
        ("an offset that only Lua takes for a number", "nan", 9, [3]),
        ("an offset between two events", "8.5", 9, [3]),
        ("an empty offset", "", 1, [3]),
    ]

    @Test("an event that is not the next one is refused and changes nothing", arguments: refusals)
    func refused(_ name: String, _ offset: String?, _ event: Int64, _ answer: [Int64]) async throws {
        let redis = try await counted()
        _ = try await redis.send("DEL", .string(SalesKeys.applied))
        if let offset { _ = try await redis.send("SET", .string(SalesKeys.applied), .string(offset)) }
        try await redis.expectRefusal(
            answer, from: Scripts.recordSales, Self.keys,
            [.integer(event), .integer(event), .integer(SalesKeys.expiry), Self.store, "1", 2])
    }

    @Test("scores of another store, or of another incarnation, are not counted on; scores that name no store are")
    func otherStore() async throws {
        let redis = try await counted()
        let arguments: [RedisArgument] = [9, 9, .integer(SalesKeys.expiry), Self.store, "1", 2]
        _ = try await redis.send("SET", .string(RedisKeys.store), .string(Gate.otherStore))
        try await redis.expectRefusal([RecordSalesCode.otherStore.rawValue], from: Scripts.recordSales, Self.keys, arguments)
        _ = try await redis.send("DEL", .string(RedisKeys.store))
        #expect(try await redis.numbers(Scripts.recordSales, Self.keys, arguments) == [RecordSalesCode.applied.rawValue, 9])
    }

    @Test("the refusals reach every code but APPLIED")
    func everyCode() {
        #expect(Set(Self.refusals.map { $0.3[0] }).union([4, 5]) == Set(RecordSalesCode.allCases.map(\.rawValue)).subtracting([1]))
    }

    @Test("of an event sent twice at once, one counts")
    func twice() async throws {
        let redis = try await counted()
        let command = Scripts.recordSales.command(Self.keys, [9, 9, .integer(SalesKeys.expiry), Self.store, "1", 2])
        let answers = try await redis.pipeline([command, command]).map(LuaServer.numbers)
        #expect(answers == [[RecordSalesCode.applied.rawValue, 9], [RecordSalesCode.notNext.rawValue, 9]])
        #expect(try await redis.snapshot() == Self.snapshot(offset: "9", ["1": "5", "2": "1"]))
    }

    @Test("a refund of a day that has left Redis moves the offset alone", arguments: [(0, false), (1_000, false), (1_001, true)])
    func expiredDay(_ expiry: Int64, _ counts: Bool) async throws {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("SET", .string(SalesKeys.applied), 8)
        // At second 1,000 of the script's frozen clock; the server's own clock would drop the key at once, so look at the answer of
        // the command that would have made it.
        let script = Scripts.recordSales.frozen(atMilliseconds: 1_000_999)
        _ = try await redis.send("CONFIG", "RESETSTAT")
        #expect(
            try await redis.numbers(script, Self.keys, [9, 9, .integer(expiry), Self.store, "1", -2]) == [
                RecordSalesCode.applied.rawValue, 9,
            ])
        #expect(try await redis.snapshot() == Self.snapshot(offset: "9", [:]))
        #expect((try await redis.info("cmdstat_zincrby") != nil) == counts)
    }

    @Test("a day in the past by Redis' own clock gets no key")
    func pastDay() async throws {
        let redis = try await counted()
        _ = try await redis.send("DEL", .string(Self.day), .string(RedisKeys.products))
        let yesterday = try await redis.now / 1000 - 86_400
        #expect(
            try await redis.numbers(Scripts.recordSales, Self.keys, [9, 9, .integer(yesterday), Self.store, "1", -2]) == [
                RecordSalesCode.applied.rawValue, 9,
            ])
        #expect(try await redis.snapshot() == Self.snapshot(offset: "9", [:]))
    }

    static let garbage: [(String, [RedisArgument])] = [
        ("no arguments", []),
        ("one event id", [9]),
        ("no expiry", [9, 9]),
        ("no store", [9, 9, 9_000_000_000]),
        ("a last event that is no number", [9, "x", 9_000_000_000, store, "1", 2]),
        ("a last event before the first", [9, 8, 9_000_000_000, store, "1", 2]),
        ("an event that is no number", ["x", 9, 9_000_000_000, store, "1", 2]),
        ("an event that only Lua takes", ["9.0", 9, 9_000_000_000, store, "1", 2]),
        ("an expiry that is no number", [9, 9, "soon", store, "1", 2]),
        ("an expiry that Redis does not take", [9, 9, "9000000000.5", store, "1", 2]),
        ("an expiry beyond Redis' clock", [9, 9, "9000000000000000", store, "1", 2]),
        ("a product without units", [9, 9, 9_000_000_000, store, "1"]),
        ("a bad pair in the middle", [9, 9, 9_000_000_000, store, "1", 2, "2", "x", "3", 1]),
        ("a bad pair at the end", [9, 9, 9_000_000_000, store, "1", 2, "2", 1, "3", ""]),
        ("units nan in the middle", [9, 9, 9_000_000_000, store, "1", 2, "2", "nan", "3", 1]),
        ("units inf in the middle", [9, 9, 9_000_000_000, store, "1", 2, "2", "inf", "3", 1]),
        ("units with a space in the middle", [9, 9, 9_000_000_000, store, "1", 2, "2", " 5", "3", 1]),
        ("half a unit", [9, 9, 9_000_000_000, store, "1", 2, "2", "0.5"]),
        ("more units than a score holds exactly", [9, 9, 9_000_000_000, store, "1", 2, "2", "9007199254740993"]),
    ]

    @Test("garbage arguments are an error and change nothing, not even by the pairs before", arguments: garbage)
    func noHalfApplication(_ name: String, _ arguments: [RedisArgument]) async throws {
        let redis = try await counted()
        try await redis.expectError("ERR", from: Scripts.recordSales, Self.keys, arguments)
    }

    @Test("a key of another type is an error and nothing changes", arguments: keys, [ForeignType.list, .set])
    func wrongType(_ key: String, _ type: ForeignType) async throws {
        let redis = try await counted()
        try await redis.put(type, at: key)
        try await redis.expectError(
            "WRONGTYPE", from: Scripts.recordSales, Self.keys, [9, 9, .integer(SalesKeys.expiry), Self.store, "1", 2])
    }

    @Test("a string at the day's key is an error and nothing changes")
    func stringDay() async throws {
        let redis = try await counted()
        try await redis.put(.string, at: Self.day)
        try await redis.expectError(
            "WRONGTYPE", from: Scripts.recordSales, Self.keys, [9, 9, .integer(SalesKeys.expiry), Self.store, "1", 2])
    }
}
