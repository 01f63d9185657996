import Redis
import Services
import TestSupport
import Testing

@Suite("rank_products", .redisServer, .serialized)
struct RankProductsTests {
    static let sharedKeys = [RedisKeys.applied, RedisKeys.rankingResult, RedisKeys.rankingUnchanged]
    static let keys = [RedisKeys.top] + SalesKeys.days + SalesKeys.views + sharedKeys
    static let arguments: [RedisArgument] = [5, 86_400, 2_000, 0]

    /// Units and views by product id, for today, yesterday and the day before.
    struct Days: Sendable {
        var units: [[String: Int64]]
        var views: [[String: Int64]] = []
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let days: Days
        /// `id units views` for each place.
        let places: [String]
    }

    static let rows = [
        Row(testDescription: "nothing sold: no places", days: Days(units: []), places: []),
        Row(testDescription: "views alone give no place", days: Days(units: [], views: [["1": 9]]), places: []),
        Row(
            testDescription: "fewer than five products: as many places",
            days: Days(units: [["1": 3, "2": 5]]), places: ["2 5 0", "1 3 0"]),
        Row(
            testDescription: "more units come first, whatever the views",
            days: Days(units: [["1": 3, "2": 4]], views: [["1": 1_000]]), places: ["2 4 0", "1 3 1000"]),
        Row(
            testDescription: "units of the three days are added, and only of these",
            days: Days(units: [["1": 1, "2": 2], ["1": 1, "2": 2], ["1": 4]]), places: ["1 6 0", "2 4 0"]),
        Row(
            testDescription: "views of the three days are added",
            days: Days(units: [["1": 2, "2": 2]], views: [["1": 1, "2": 2], ["1": 1, "2": 1], ["1": 2]]), places: ["1 2 4", "2 2 3"]),
        Row(
            testDescription: "equal units: more views first",
            days: Days(units: [["1": 2, "2": 2, "3": 2]], views: [["2": 7, "3": 5]]), places: ["2 2 7", "3 2 5", "1 2 0"]),
        Row(
            testDescription: "equal units and views: the newer product, 10 before 9",
            days: Days(units: [["9": 2, "10": 2]]), places: ["10 2 0", "9 2 0"]),
        Row(
            testDescription: "ids of any length: the greater number is newer",
            days: Days(units: [["9": 1, "10": 1, "99": 1, "100": 1, "9007199254740992": 1, "9007199254740993": 1]]),
            places: ["9007199254740993 1 0", "9007199254740992 1 0", "100 1 0", "99 1 0", "10 1 0"]),
        Row(
            testDescription: "a tie across places 5 and 6 is settled by views",
            days: Days(units: [["1": 9, "2": 8, "3": 7, "4": 6, "5": 5, "6": 5]], views: [["5": 2, "6": 1]]),
            places: ["1 9 0", "2 8 0", "3 7 0", "4 6 0", "5 5 2"]),
        Row(
            testDescription: "a tie across places 5 and 6 without views: the newer product",
            days: Days(units: [["1": 9, "2": 8, "3": 7, "4": 6, "9": 5, "10": 5]]),
            places: ["1 9 0", "2 8 0", "3 7 0", "4 6 0", "10 5 0"]),
        Row(
            testDescription: "seven tie for all five places",
            days: Days(units: [["8": 1, "9": 1, "10": 1, "11": 1, "12": 1, "13": 1, "14": 1]], views: [["8": 1]]),
            places: ["8 1 1", "14 1 0", "13 1 0", "12 1 0", "11 1 0"]),
        Row(
            testDescription: "members at 0 and below are no best sellers",
            days: Days(units: [["1": 2, "2": 3, "3": -1], ["1": -2, "2": -1], ["4": 1]]), places: ["2 2 0", "4 1 0"]),
        Row(
            testDescription: "refunds of yesterday count against sales of today",
            days: Days(units: [["1": 5, "2": 4], ["1": -3]]), places: ["2 4 0", "1 2 0"]),
        Row(
            testDescription: "large numbers are answered in full, not as 1e+15",
            days: Days(units: [["1": 1_000_000_000_000_000]], views: [["1": 2_000_000_000_000_000]]),
            places: ["1 1000000000000000 2000000000000000"]),
    ]

    @Test("units, then views, then the newer product; ties are settled before cutting", arguments: rows)
    func ranks(_ row: Row) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(row.days)
        #expect(try await redis.rank() == row.places)
    }

    @Test("the union of the three days stays in Redis for a while, and the days are as they were")
    func union() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Days(units: [["1": 1, "2": 2], ["1": 5], ["3": 4]], views: [["1": 1]]))
        let before = try await redis.snapshot()
        let start = try await redis.now / 1000
        _ = try await redis.rank()
        let end = try await redis.now / 1000
        var after = try await redis.snapshot()
        #expect(after.keys[RedisKeys.top] == .sortedSet(["1": "6", "2": "2", "3": "4"]))
        for key in [RedisKeys.top, RedisKeys.rankingResult, RedisKeys.rankingUnchanged] {
            #expect((start + 86_400...end + 86_401).contains(after.expiries.removeValue(forKey: key) ?? 0), "\(key)")
            after.keys[key] = nil
        }
        #expect(after == before)
    }

    @Test("a union from before is made anew, also from nothing and over another type")
    func anew() async throws {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("ZADD", .string(RedisKeys.top), 9, "old")
        #expect(try await redis.rank() == [])
        #expect(try await redis.snapshot().keys.keys.sorted() == [RedisKeys.rankingResult, RedisKeys.rankingUnchanged])
        for type in ForeignType.allCases {
            try await redis.put(Days(units: [["1": 1]]))
            for key in [RedisKeys.top, RedisKeys.rankingResult, RedisKeys.rankingUnchanged] {
                try await redis.put(type, at: key)
                #expect(try await redis.rank() == ["1 1 0"], "\(key)")
                #expect(try await redis.content(of: RedisKeys.top) == .sortedSet(["1": "1"]))
            }
        }
    }

    /// Lua's stack takes about 8,000 arguments, so 9,000 ties cannot be looked up in one call.
    @Test("thousands of products that tie at the last place are all candidates", arguments: [3_000, 9_000])
    func manyTies(_ count: Int) async throws {
        let redis = try await LuaServer.emptied()
        var days = Days(units: [[:], ["7": 9]], views: [[:], [:], [:]])
        for id in 10_000..<(10_000 + count) { days.units[0]["\(id)"] = 2 }
        // Winners at both ends and in the middle of what the script looks up piece by piece, with views on different days.
        let (first, middle, last) = (10_000, 10_000 + count / 2, 9_998 + count)
        days.views[0]["\(first)"] = 4
        days.views[1]["\(middle)"] = 5
        days.views[2]["\(last)"] = 3
        try await redis.put(days)
        let places = ["7 9 0", "\(middle) 2 5", "\(first) 2 4", "\(last) 2 3", "\(last + 1) 2 0"]
        #expect(try await redis.rank() == places)
    }

    @Test("where the best of each day decide, the rest is not looked at")
    func deepEnough() async throws {
        let redis = try await LuaServer.emptied()
        var days = Days(units: [["1": 9], ["2": 5, "1": 1], [:]])
        for id in 10...60 { days.units[id % 3]["\(id)"] = 1 }
        try await redis.put(days)
        #expect(try await redis.rank(places: 2, depth: 2) == ["1 10 0", "2 5 0"])
        #expect(try await redis.count(RedisKeys.top) < 10)
        #expect(try await redis.send("ZSCORE", .string(RedisKeys.top), "1").integer == 10)
    }

    @Test("who is among the best of no day may still be the best of all")
    func bestOfAll() async throws {
        let redis = try await LuaServer.emptied()
        var days = Days(units: [["7": 10], ["7": 10], ["7": 10]])
        for id in 100..<130 { days.units[id % 3]["\(id)"] = 11 }
        try await redis.put(days)
        #expect(try await redis.rank(places: 1, depth: 2) == ["7 30 0"])
    }

    @Test("who ties with the last place unseen is a candidate, for views may settle it")
    func unseenTie() async throws {
        let redis = try await LuaServer.emptied()
        var days = Days(units: [[:], [:], [:]], views: [["500": 1]])
        for id in 490..<530 { days.units[0]["\(id)"] = 3 }
        try await redis.put(days)
        #expect(try await redis.rank(places: 1, depth: 2) == ["500 3 1"])
    }

    @Test("any number of places", arguments: [1, 2, 3, 20])
    func places(_ places: Int) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Days(units: [["1": 1, "2": 1, "3": 1, "4": 2]]))
        #expect(try await redis.rank(places: places) == Array(["4 2 0", "3 1 0", "2 1 0", "1 1 0"].prefix(places)))
    }

    @Test("a day of another type is an error and nothing changes", arguments: keys[1...6], ForeignType.allCases)
    func wrongType(_ key: String, _ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Days(units: [["1": 1]], views: [["1": 1]]))
        try await redis.put(type, at: key)
        try await redis.expectError("WRONGTYPE", from: Scripts.rankProducts, Self.keys, Self.arguments)
    }

    @Test(
        "an argument that is no integer, or missing, is an error and nothing changes", arguments: 0..<4,
        ["", "x", "nan", "inf", "1.5", " 1"])
    func garbage(_ place: Int, _ value: String) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Days(units: [["1": 1]]))
        var arguments = Self.arguments
        arguments[place] = .string(value)
        try await redis.expectError("places, seconds, depth, age", from: Scripts.rankProducts, Self.keys, arguments)
        try await redis.expectError("places, seconds, depth, age", from: Scripts.rankProducts, Self.keys, Array(arguments[..<place]))
    }

    @Test("more places than a call can answer are an error and nothing changes")
    func tooManyPlaces() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Days(units: [["1": 1]]))
        #expect(try await redis.rank(places: 1_000) == ["1 1 0"])
        var arguments = Self.arguments
        arguments[0] = 1_001
        try await redis.expectError("places, seconds, depth, age", from: Scripts.rankProducts, Self.keys, arguments)
    }

    // MARK: One union for all callers

    /// Three products, the first of which leads, as `record_sales`, `record_views` and `swap_sales` leave them.
    private func market() async throws -> LuaServer {
        let redis = try await LuaServer.emptied()
        _ = try await redis.send("SET", .string(RedisKeys.applied), 0)
        try await redis.sell(1, ["1": 9, "2": 5, "3": 5])
        _ = try await redis.numbers(Scripts.recordViews, RecordViewsTests.keys, [.integer(SalesKeys.expiry), "3", 1])
        #expect(try await redis.rank() == Self.before)
        _ = try await redis.send("CONFIG", "RESETSTAT")
        return redis
    }
    static let before = ["1 9 0", "3 5 1", "2 5 0"]

    @Test("while nothing comes in the last result is given again, as of now, and nothing is written")
    func unchanged() async throws {
        let redis = try await market()
        try await redis.expectNothingWritten {
            for _ in 1...20 {
                let start = try await redis.now
                let answer = try await redis.answer()
                let end = try await redis.now
                #expect(answer.ranking == Self.before)
                #expect((start...end).contains(answer.instant))
            }
        }
        #expect(try await redis.unions() == 0)
    }

    /// What may come in after a result, and the ranking then. None of it changes how many products a day has, unless it says so.
    static let changes: [(String, @Sendable (LuaServer) async throws -> Void, [String])] = [
        ("a sale", { try await $0.sell(2, ["2": 1]) }, ["1 9 0", "2 6 0", "3 5 1"]),
        ("a sale on another day", { try await $0.sell(2, ["2": 5], day: 2) }, ["2 10 0", "1 9 0", "3 5 1"]),
        ("a refund", { try await $0.sell(2, ["1": -8]) }, ["3 5 1", "2 5 0", "1 1 0"]),
        ("a sale of a product that was not sold before", { try await $0.sell(2, ["4": 7]) }, ["1 9 0", "4 7 0", "3 5 1", "2 5 0"]),
        (
            "a view",
            { _ = try await $0.numbers(Scripts.recordViews, RecordViewsTests.keys, [.integer(SalesKeys.expiry), "3", 4]) },
            ["1 9 0", "3 5 5", "2 5 0"]
        ),
        (
            "a view on another day",
            {
                let keys = [SalesKeys.views[1], RedisKeys.rankingUnchanged]
                _ = try await $0.numbers(Scripts.recordViews, keys, [.integer(SalesKeys.expiry), "2", 2])
            }, ["1 9 0", "2 5 2", "3 5 1"]
        ),
        ("a rebuild up to the same event", { try await $0.swapToday(["1": 1, "2": 2, "3": 3], through: 1) }, ["3 3 1", "2 2 0", "1 1 0"]),
        ("the union deleted by hand", { _ = try await $0.send("DEL", .string(RedisKeys.top)) }, before),
        ("a member of the union taken out by hand", { _ = try await $0.send("ZREM", .string(RedisKeys.top), "2") }, before),
        ("a day deleted by hand", { _ = try await $0.send("DEL", .string(SalesKeys.days[0])) }, []),
        ("a product taken out by hand", { _ = try await $0.send("ZREM", .string(SalesKeys.days[0]), "1") }, ["3 5 1", "2 5 0"]),
        ("views deleted by hand", { _ = try await $0.send("DEL", .string(SalesKeys.views[0])) }, ["1 9 0", "3 5 0", "2 5 0"]),
        ("the result deleted by hand", { _ = try await $0.send("DEL", .string(RedisKeys.rankingResult)) }, before),
        ("a result of nobody", { _ = try await $0.send("LPUSH", .string(RedisKeys.rankingResult), "x") }, before),
        (
            "the offset lost, and a score changed by hand",
            {
                _ = try await $0.send("DEL", .string(RedisKeys.applied))
                _ = try await $0.send("ZADD", .string(SalesKeys.days[0]), 6, "2")
            }, ["1 9 0", "2 6 0", "3 5 1"]
        ),
        (
            "everything but the days lost, and a score changed by hand",
            {
                _ = try await $0.send("DEL", .string(RedisKeys.rankingUnchanged))
                _ = try await $0.send("ZADD", .string(SalesKeys.days[0]), 6, "2")
            }, ["1 9 0", "2 6 0", "3 5 1"]
        ),
    ]

    @Test("whatever comes in leads to one new union with the next call, and to none after it", arguments: changes.indices)
    func changed(_ index: Int) async throws {
        let (name, change, ranking) = Self.changes[index]
        let redis = try await market()
        try await change(redis)
        #expect(try await redis.rank() == ranking, "\(name)")
        #expect(try await redis.unions() == 1, "\(name)")
        try await redis.expectNothingWritten {
            let again = try await redis.rank()
            #expect(again == ranking, "\(name)")
        }
    }

    @Test("another day, and another number of places, have results of their own")
    func otherQuestions() async throws {
        let redis = try await market()
        try await redis.sell(2, ["3": 1], day: 2)
        #expect(try await redis.rank(sharing: 60_000) == Self.before, "shared")
        // A day later the last of the three days counts no more.
        let tomorrow = [RedisKeys.top, "ranking:{sales}:t", SalesKeys.days[0], SalesKeys.days[1], "ranking:{sales}:v"]
        let keys = tomorrow + SalesKeys.views[..<2] + Self.sharedKeys
        #expect(try await redis.answer(sharing: 60_000, keys: keys).ranking == Self.before)
        #expect(try await redis.unions() == 1)
        #expect(try await redis.rank(sharing: 60_000) == ["1 9 0", "3 6 1", "2 5 0"])
        #expect(try await redis.unions() == 2)
        #expect(try await redis.rank(places: 1, sharing: 60_000) == ["1 9 0"])
        #expect(try await redis.unions() == 3)
    }

    @Test(
        "a result that is younger than the caller's age is given again as of its union, to the millisecond",
        arguments: [0, 1, 999, 1_000, -5])
    func ages(_ age: Int64) async throws {
        let redis = try await market()
        let union = try await redis.now + 1_000_000
        func rank(at instant: Int64) async throws -> (instant: Int64, ranking: [String]) {
            try await redis.answer(sharing: 1_000, script: Scripts.rankProducts.frozen(atMilliseconds: instant))
        }
        try await redis.sell(2, ["2": 1])
        #expect(try await rank(at: union) == (union, ["1 9 0", "2 6 0", "3 5 1"]))
        #expect(try await redis.unions() == 1)
        try await redis.sell(3, ["2": 1])
        let answer = try await rank(at: union + age)
        if (0..<1_000).contains(age) {
            #expect(answer == (union, ["1 9 0", "2 6 0", "3 5 1"]))
            #expect(try await redis.unions() == 1)
        } else {
            // Also where Redis' clock has gone back.
            #expect(answer == (union + age, ["1 9 0", "2 7 0", "3 5 1"]))
            #expect(try await redis.unions() == 2)
        }
    }

    @Test("three callers while sales come in make one union, and their answers are one")
    func threeCallers() async throws {
        let redis = try await market()
        var answers: [(instant: Int64, ranking: [String])] = []
        for event in 2...31 {
            try await redis.sell(Int64(event), ["2": 1])
            if event.isMultiple(of: 10) { answers.append(try await redis.answer(sharing: 3_600_000)) }
        }
        // The union of the market is an hour young for these, too.
        #expect(try await redis.unions() == 0)
        #expect(Set(answers.map(\.instant)).count == 1 && answers.allSatisfy { $0.ranking == Self.before })
        #expect(try await redis.answer().ranking == ["2 35 0", "1 9 0", "3 5 1"])
        #expect(try await redis.unions() == 1)
    }

    // MARK: Against an oracle

    /// With a depth of 1 or 2 most draws have too many members for one union.
    @Test("300 random days rank as a plain sort of all products does, however deep each day is looked into", arguments: [1, 2, 2_000])
    func oracle(depth: Int) async throws {
        let redis = try await LuaServer.emptied()
        var random = SeededGenerator()
        for round in 1...300 {
            let days = Days.random(using: &random)
            _ = try await redis.send("FLUSHALL", "SYNC")
            try await redis.put(days)
            let (given, expected) = (try await redis.rank(depth: depth), days.ranking(places: 5))
            guard given == expected else {
                Issue.record("\(random), round \(round): \(given) is not \(expected) for \(days)")
                return
            }
        }
    }
}

extension LuaServer {
    /// `id units views` for each place.
    fileprivate func rank(places: Int = 5, depth: Int = 2_000, sharing age: Int64 = 0) async throws -> [String] {
        try await answer(places: places, depth: depth, sharing: age).ranking
    }

    fileprivate func answer(
        places: Int = 5, depth: Int = 2_000, sharing age: Int64 = 0, keys: [String] = RankProductsTests.keys,
        script: RedisScript = Scripts.rankProducts
    ) async throws -> (instant: Int64, ranking: [String]) {
        let words = try await strings(script, keys, [RedisArgument(places), 86_400, RedisArgument(depth), .integer(age)])
        try #require(words.count % 3 == 1)
        let ranking = stride(from: 1, to: words.count, by: 3).map { words[$0..<($0 + 3)].joined(separator: " ") }
        return (try #require(Int64(words[0])), ranking)
    }

    /// Unions since the statistics were reset.
    fileprivate func unions() async throws -> Int {
        let statistics = try await info("cmdstat_zunionstore") ?? "calls=0,"
        return Int(statistics.dropFirst("calls=".count).prefix { $0 != "," }) ?? -1
    }

    fileprivate func sell(_ event: Int64, _ units: [String: Int64], day: Int = 0) async throws {
        var arguments: [RedisArgument] = [.integer(event), .integer(event), .integer(SalesKeys.expiry), .string(Gate.store)]
        for (product, count) in units { arguments += [.string(product), .integer(count)] }
        let answer = try await numbers(
            Scripts.recordSales, [RedisKeys.applied, SalesKeys.days[day], RedisKeys.products, RedisKeys.store], arguments)
        #expect(answer == [RecordSalesCode.applied.rawValue, event])
    }

    /// Puts other scores in place of today's and removes the days before.
    fileprivate func swapToday(_ scores: [String: Int64], through event: Int64) async throws {
        var arguments: [RedisArgument] = [.integer(event), .string(Gate.store)]
        var keys = [RedisKeys.applied, RedisKeys.products, RedisKeys.rankingUnchanged, RedisKeys.store]
        for place in 0..<RankingDays.kept {
            keys += [place < 3 ? SalesKeys.days[place] : "ranking:{sales}:older\(place)", "ranking:{sales}:staged\(place)"]
            arguments += [.integer(SalesKeys.expiry), .integer(place == 0 ? Int64(scores.count) : 0)]
        }
        for (product, units) in scores { _ = try await send("ZADD", .string(keys[5]), .integer(units), .string(product)) }
        #expect(try await numbers(Scripts.swapSales, keys, arguments) == [SwapSalesCode.swapped.rawValue, 1])
    }

    fileprivate func count(_ key: String) async throws -> Int64 {
        try #require(try await send("ZCARD", .string(key)).integer)
    }

    fileprivate func put(_ days: RankProductsTests.Days) async throws {
        var commands: [RedisCommand] = []
        for (key, scores) in Array(zip(SalesKeys.days, days.units)) + Array(zip(SalesKeys.views, days.views)) {
            for (id, score) in scores { commands.append(RedisCommand("ZADD", .string(key), .integer(score), .string(id))) }
        }
        for case .error(let error) in try await pipeline(commands) { throw RedisError(error) }
    }
}

extension RankProductsTests.Days {
    /// Few products with few units and views: nearly every draw has ties, often across the last place.
    fileprivate static func random(using random: inout SeededGenerator) -> Self {
        let ids = (0..<Int.random(in: 0...30, using: &random)).map { _ in Int64.random(in: 1...120, using: &random) }
        let (most, mostViews) = (Int64.random(in: 1...4, using: &random), Int64.random(in: 0...3, using: &random))
        func day(_ scores: ClosedRange<Int64>) -> [String: Int64] {
            var day: [String: Int64] = [:]
            for id in ids where Bool.random(using: &random) { day["\(id)"] = Int64.random(in: scores, using: &random) }
            return day
        }
        return Self(units: (0..<3).map { _ in day(-1...most) }, views: (0..<3).map { _ in day(0...mostViews) })
    }

    /// What the headers promise, in the plainest way: add up, sort everything, cut.
    fileprivate func ranking(places: Int) -> [String] {
        func total(_ id: String, _ days: [[String: Int64]]) -> Int64 { days.reduce(0) { $0 + ($1[id] ?? 0) } }
        return Set(units.flatMap(\.keys))
            .map { (id: Int64($0) ?? 0, units: total($0, units), views: total($0, views)) }
            .filter { $0.units > 0 }
            .sorted { ($0.units, $0.views, $0.id) > ($1.units, $1.views, $1.id) }
            .prefix(places)
            .map { "\($0.id) \($0.units) \($0.views)" }
    }
}
