import Redis
import Services
import Testing

@Suite("claim_coupon", .redisServer, .serialized)
struct ClaimCouponTests {
    @Test("a claim takes one unit and the next sequence, and adds exactly its member")
    func claimed() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        let before = try await redis.now
        let answer = try await redis.claim("42")
        let after = try await redis.now
        #expect(answer.count == 4)
        #expect(answer[0] == ClaimCode.claimed.rawValue && answer[1] == 1 && answer[3] == 5)
        #expect((before...after).contains(answer[2]))
        #expect(try await redis.snapshot() == Gate.open.setting(["remaining": "2", "sequence": "1"]).claimed(["42": "1"]).snapshot)
    }

    /// A gate, who asks, and the answer without Redis' time; -1 stands for that time.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let gate: Gate
        var user: RedisArgument = "42"
        let answer: [Int64]
    }

    static let past: Int64 = 1_000
    static let future: Int64 = 9_000_000_000_000
    static let refusals = [
        Refusal(testDescription: "already claimed", gate: .open.claimed(["42": "17"]), answer: [2, 17, -1, 5]),
        Refusal(testDescription: "already claimed, although sold out", gate: .soldOut, user: "2", answer: [2, 2, -1, 5]),
        Refusal(testDescription: "sold out", gate: .soldOut, answer: [3, 5, 3]),
        Refusal(testDescription: "sold out below zero", gate: .open.setting(["remaining": "-4"]), answer: [3, 5, 3]),
        Refusal(testDescription: "not open", gate: .open.setting(["opensAt": "\(future)"]), answer: [4, future, -1, 5]),
        Refusal(
            testDescription: "not open, although sold out", gate: .soldOut.setting(["opensAt": "\(future)"]), answer: [4, future, -1, 5]),
        Refusal(testDescription: "closed", gate: .open.setting(["closesAt": "\(past)"]), answer: [5, 5, past]),
        Refusal(
            testDescription: "closed, although claimed before", gate: .soldOut.setting(["closesAt": "\(past)"]), user: "2",
            answer: [5, 5, past]),
        Refusal(testDescription: "paused", gate: .paused, answer: [6]),
        Refusal(testDescription: "paused, although claimed before", gate: .paused.claimed(["42": "1"]), answer: [6]),
        Refusal(testDescription: "not loaded", gate: Gate(fields: [:]), answer: [7]),
        Refusal(testDescription: "not loaded, although claims stand", gate: Gate(fields: [:], claims: ["42": "1"]), answer: [7]),
        Refusal(testDescription: "a hash of somebody else", gate: Gate(fields: ["colour": "red"]), answer: [7]),
        Refusal(testDescription: "sold out, and the claims are gone", gate: .soldOut.claimed([:]), answer: [8, 5]),
        Refusal(testDescription: "some left, claims gone", gate: .open.setting(["remaining": "2", "sequence": "1"]), answer: [8, 5]),
        Refusal(testDescription: "no state", gate: .open.setting(["state": nil]), answer: [8, 5]),
        Refusal(testDescription: "an unknown state", gate: .open.setting(["state": "OPEN"]), answer: [8, 5]),
        Refusal(testDescription: "only a state", gate: Gate(fields: ["state": "open"]), answer: [8, 0]),
    ]

    @Test("every refusal has its code and writes nothing", arguments: refusals)
    func refused(_ row: Refusal) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(row.gate)
        try await redis.expectNothingWritten {
            let before = try await redis.now
            var answer = try await redis.claim(row.user)
            let after = try await redis.now
            if let place = row.answer.firstIndex(of: -1), place < answer.count {
                #expect((before...after).contains(answer[place]))
                answer[place] = -1
            }
            #expect(answer == row.answer)
        }
    }

    @Test("the refusals reach every code but CLAIMED")
    func everyCode() {
        #expect(Set(Self.refusals.map { $0.answer[0] }) == Set(ClaimCode.allCases.map(\.rawValue)).subtracting([1]))
    }

    static let garbage: [String?] = [nil, "", "many", "nan", "-nan", "inf", "-inf", "1e400", "1e300", "-1e300", "0.5"]

    @Test(
        "a field that is missing or no whole number is damage, never sold out and never a unit",
        arguments: ["remaining", "sequence", "opensAt", "closesAt", "epoch", "quantity"], garbage)
    func damaged(_ field: String, _ value: String?) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting([field: value]))
        // A damaged epoch is not repeated: the caller compares it with the store's.
        try await redis.expectRefusal([ClaimCode.damaged.rawValue, field == "epoch" ? 0 : 5], from: Scripts.claimCoupon, Gate.keys, ["42"])
    }

    struct Edge: Sendable {
        let opensAt, closesAt, now: Int64
        let code: ClaimCode
    }

    @Test(
        "the window opens at opensAt and is closed at closesAt, to the millisecond",
        arguments: [
            Edge(opensAt: 5_000, closesAt: 9_000, now: 4_999, code: .notOpen),
            Edge(opensAt: 5_000, closesAt: 9_000, now: 5_000, code: .claimed),
            Edge(opensAt: 5_000, closesAt: 9_000, now: 8_999, code: .claimed),
            Edge(opensAt: 5_000, closesAt: 9_000, now: 9_000, code: .closed),
            Edge(opensAt: 5_000, closesAt: 0, now: 5_000, code: .claimed),
            Edge(opensAt: 5_000, closesAt: 0, now: 9_000_000_000_000, code: .claimed),
            Edge(opensAt: -1, closesAt: 0, now: 0, code: .claimed),
        ])
    func edges(_ row: Edge) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(["opensAt": "\(row.opensAt)", "closesAt": "\(row.closesAt)"]))
        let answer = try await redis.numbers(Scripts.claimCoupon.frozen(atMilliseconds: row.now), Gate.keys, ["42"])
        #expect(answer.first == row.code.rawValue)
        if row.code == .claimed { #expect(answer[2] == row.now) }
    }

    @Test(
        "Redis' own clock judges the window",
        arguments: [(60_000, 0, ClaimCode.notOpen), (-60_000, -1, .closed), (-60_000, 60_000, .claimed), (0, 60_000, .claimed)])
    func clock(_ opensIn: Int64, _ closesIn: Int64, _ code: ClaimCode) async throws {
        let redis = try await LuaServer.emptied()
        let now = try await redis.now
        try await redis.put(Gate.open.setting(["opensAt": "\(now + opensIn)", "closesAt": closesIn == 0 ? "0" : "\(now + closesIn)"]))
        #expect(try await redis.claim("42").first == code.rawValue)
    }

    @Test("a gate that opens in a second refuses now")
    func oneSecond() async throws {
        let redis = try await LuaServer.emptied()
        let opensAt = try await redis.now + 1_000
        try await redis.put(Gate.open.setting(["opensAt": "\(opensAt)"]))
        let answer = try await redis.claim("42")
        // A machine that stalled for a second may find it open; the answer's own time tells.
        if answer[0] == ClaimCode.claimed.rawValue {
            #expect(answer[2] >= opensAt)
        } else {
            #expect(answer[0] == ClaimCode.notOpen.rawValue && answer[1] == opensAt && answer[2] < opensAt)
        }
    }

    @Test("a user who asks again gets the same sequence and no second unit, also when others came in between")
    func repeated() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        #expect(try await redis.claim("8")[1] == 1)
        #expect(try await redis.claim("9")[1] == 2)
        let again = try await redis.claim("8")
        #expect(again[0] == ClaimCode.alreadyClaimed.rawValue && again[1] == 1 && again[3] == 5)
        #expect(
            try await redis.snapshot() == Gate.open.setting(["remaining": "1", "sequence": "2"]).claimed(["8": "1", "9": "2"]).snapshot)
    }

    @Test("one user who claims 1,000 times at once takes one unit")
    func thousandTimes() async throws {
        let redis = try await LuaServer.emptied()
        let gate = Gate.open.setting(["quantity": "1000", "remaining": "1000"])
        try await redis.put(gate)
        let command = Scripts.claimCoupon.command(Gate.keys, ["42"])
        let answers = try await redis.pipeline(Array(repeating: command, count: 1_000)).map(LuaServer.numbers)
        #expect(answers.map { $0[0] } == [1] + Array(repeating: 2, count: 999))
        #expect(answers.allSatisfy { $0[1] == 1 })
        #expect(try await redis.snapshot() == gate.setting(["remaining": "999", "sequence": "1"]).claimed(["42": "1"]).snapshot)
    }

    @Test("500 users on 100 units: exactly 100 win, with the sequences 1 to 100 in the order of asking")
    func fiveHundred() async throws {
        let redis = try await LuaServer.emptied()
        let gate = Gate.open.setting(["quantity": "100", "remaining": "100"])
        try await redis.put(gate)
        let users = (1...500).shuffled()
        let answers = try await redis.pipeline(users.map { Scripts.claimCoupon.command(Gate.keys, [RedisArgument($0)]) }).map(
            LuaServer.numbers)
        #expect(answers[..<100].map { $0[0] } == Array(repeating: 1, count: 100))
        #expect(answers[..<100].map { $0[1] } == Array(1...100))
        #expect(answers[100...].allSatisfy { $0 == [ClaimCode.soldOut.rawValue, 5, 100] })
        let winners = Dictionary(uniqueKeysWithValues: users[..<100].enumerated().map { ("\($0.element)", "\($0.offset + 1)") })
        #expect(try await redis.snapshot() == gate.setting(["remaining": "0", "sequence": "100"]).claimed(winners).snapshot)
    }

    @Test("user ids beyond 2^53 stay exact: neighbours that one double cannot tell apart are two people")
    func largeIds() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        for (index, user) in [Int64(1) << 53, (1 << 53) + 1, .max].enumerated() {
            let answer = try await redis.claim(.integer(user))
            #expect(answer[..<2] == [ClaimCode.claimed.rawValue, Int64(index) + 1])
        }
        let claims = ["9007199254740992": "1", "9007199254740993": "2", "9223372036854775807": "3"]
        #expect(try await redis.snapshot() == Gate.open.setting(["remaining": "0", "sequence": "3"]).claimed(claims).snapshot)
    }

    @Test("large numbers are written in full, not as 1e+15")
    func largeNumbers() async throws {
        let redis = try await LuaServer.emptied()
        let gate = Gate.open.setting(["remaining": "1000000000000001", "sequence": "1999999999999999"]).claimed(["7": "1999999999999999"])
        try await redis.put(gate)
        #expect(try await redis.claim("42")[1] == 2_000_000_000_000_000)
        let after = gate.setting(["remaining": "1000000000000000", "sequence": "2000000000000000"])
            .claimed(["7": "1999999999999999", "42": "2000000000000000"])
        #expect(try await redis.snapshot() == after.snapshot)
    }

    @Test("a key of another type is an error and nothing changes", arguments: Gate.keys, ForeignType.allCases)
    func wrongType(_ key: String, _ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        try await redis.put(type, at: key)
        try await redis.expectError("WRONGTYPE", from: Scripts.claimCoupon, Gate.keys, ["42"])
    }

    @Test("a claim without a user is an error and nothing changes")
    func noUser() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        try await redis.expectError("ERR", from: Scripts.claimCoupon, Gate.keys)
    }

    /// The torture repeats this with a million.
    @Test("100,000 different losers write nothing and leave no byte behind")
    func losers() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        func lose(_ users: Range<Int64>) async throws {
            let commands = users.map { Scripts.claimCoupon.command(Gate.keys, [.integer($0)]) }
            for reply in try await redis.pipeline(commands) {
                guard try LuaServer.numbers(reply) == [ClaimCode.soldOut.rawValue, 5, 3] else { throw UnexpectedAnswer(value: reply) }
            }
        }
        // The first round leaves the connection's buffers at the size that they keep.
        try await lose(1_000..<11_000)
        _ = try await redis.send("CONFIG", "RESETSTAT")
        try await redis.expectNothingWritten {
            let before = try #require(Int(try await redis.info("used_memory_dataset") ?? ""))
            for start in stride(from: Int64(11_000), to: 111_000, by: 10_000) { try await lose(start..<(start + 10_000)) }
            let after = try #require(Int(try await redis.info("used_memory_dataset") ?? ""))
            // Eight bytes a loser, the least that any set of Redis takes, would be 800,000; buffers and Lua's heap move by 200,000.
            #expect(after - before < 400_000)
        }
        #expect(try await redis.info("cmdstat_zscore")?.hasPrefix("calls=100000,") == true)
        #expect(try await redis.info("cmdstat_zadd") == nil)
        #expect(try await redis.info("cmdstat_hset") == nil)
    }
}
