import Redis
import Services
import TestSupport
import Testing

@Suite("claim_coupon", .redisServer, .serialized)
struct ClaimCouponTests {
    @Test("a claim takes one unit and the next sequence, and adds exactly its member")
    func claimed() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        #expect(try await redis.claim("42") == Verdict(.claimed, 1))
        #expect(try await redis.snapshot() == Gate.open.setting(["remaining": "2", "sequence": "1"]).claimed(["42": "1"]).snapshot)
    }

    // MARK: Refusals

    /// A gate, who asks, and the answer at ``now``.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let gate: Gate
        var user: RedisArgument = "42"
        let answer: Verdict
    }

    static let past: Int64 = 1_000
    static let now: Int64 = 1_800_000_000_000
    static let future: Int64 = 9_000_000_000_000
    private static func other(_ gate: Gate) -> Gate { gate.setting(["store": Gate.otherStore]) }
    static let holder = Verdict(.alreadyClaimed, 2)
    static let refusals: [Refusal] =
        [
            Refusal(testDescription: "already claimed", gate: .open.claimed(["42": "17"]), answer: Verdict(.alreadyClaimed, 17)),
            Refusal(testDescription: "already claimed, and sold out", gate: .soldOut, user: "2", answer: holder),
            Refusal(
                testDescription: "already claimed, and not open", gate: .soldOut.setting(["opensAt": "\(future)"]), user: "2",
                answer: holder),
            Refusal(
                testDescription: "already claimed, and closed", gate: .soldOut.setting(["closesAt": "\(past)"]), user: "2", answer: holder),
            Refusal(
                testDescription: "already claimed, never open",
                gate: .soldOut.setting(["opensAt": "\(future)", "closesAt": "\(past)"]), user: "2", answer: holder),
            Refusal(testDescription: "sold out", gate: .soldOut, answer: Verdict(.soldOut, 3)),
            Refusal(testDescription: "sold out below zero", gate: .open.setting(["remaining": "-4"]), answer: Verdict(.soldOut, 3)),
            Refusal(testDescription: "not open", gate: .open.setting(["opensAt": "\(future)"]), answer: Verdict(.notOpen, future)),
            Refusal(
                testDescription: "not open, although sold out", gate: .soldOut.setting(["opensAt": "\(future)"]),
                answer: Verdict(.notOpen, future)),
            Refusal(testDescription: "closed", gate: .open.setting(["closesAt": "\(past)"]), answer: Verdict(.closed, past)),
            Refusal(
                testDescription: "closed, although sold out", gate: .soldOut.setting(["closesAt": "\(past)"]),
                answer: Verdict(.closed, past)),
            Refusal(
                testDescription: "paused", gate: .paused.setting(["builtAt": "\(now - 1_500)"]), answer: Verdict(.paused, 1_500)),
            Refusal(
                testDescription: "paused at this moment", gate: .paused.setting(["builtAt": "\(now)"]), answer: Verdict(.paused, 0)),
            Refusal(
                testDescription: "paused, although claimed before", gate: .paused.setting(["builtAt": "\(now - 1)"]).claimed(["42": "1"]),
                answer: Verdict(.paused, 1)),
            Refusal(
                testDescription: "paused with a damaged epoch", gate: .paused.setting(["epoch": "many"]),
                answer: Verdict(.paused, now, epoch: 0)),
            Refusal(testDescription: "not loaded", gate: Gate(fields: [:]), answer: Verdict(.notLoaded, 0, epoch: 0)),
            Refusal(
                testDescription: "not loaded, although claims exist", gate: Gate(fields: [:], claims: ["42": "1"]),
                answer: Verdict(.notLoaded, 0, epoch: 0)),
            Refusal(
                testDescription: "a hash of somebody else", gate: Gate(fields: ["colour": "red"]), answer: Verdict(.notLoaded, 0, epoch: 0)),
            Refusal(
                testDescription: "sold out, of a gate that names no store", gate: .soldOut.setting(["store": nil]),
                answer: Verdict(.soldOut, 3)),
            Refusal(testDescription: "open, of another store", gate: other(.open), answer: Verdict(.otherStore, 0)),
            Refusal(testDescription: "sold out, of another store", gate: other(.soldOut), answer: Verdict(.otherStore, 0)),
            Refusal(testDescription: "claimed, of another store", gate: other(.soldOut), user: "2", answer: Verdict(.otherStore, 0)),
            Refusal(testDescription: "paused, of another store", gate: other(.paused), answer: Verdict(.otherStore, 0)),
            Refusal(testDescription: "sold out, and the claims are gone", gate: .soldOut.claimed([:]), answer: Verdict(.damaged, 0)),
            Refusal(
                testDescription: "some left, claims gone", gate: .open.setting(["remaining": "2", "sequence": "1"]),
                answer: Verdict(.damaged, 0)),
            Refusal(testDescription: "no state", gate: .open.setting(["state": nil]), answer: Verdict(.damaged, 0)),
            Refusal(testDescription: "an unknown state", gate: .open.setting(["state": "OPEN"]), answer: Verdict(.damaged, 0)),
            Refusal(testDescription: "only a state", gate: Gate(fields: ["state": "open"]), answer: Verdict(.damaged, 0, epoch: 0)),
        ]
        + ["1.5", "inf", "-inf", "1e300", "0", "-3"].map {
            Refusal(testDescription: "a user's own sequence is \($0)", gate: .open.claimed(["42": $0]), answer: Verdict(.damaged, 0))
        }
        // Without a time that can be believed, no build has written for as long as there are clocks.
        + [nil, "", "x", "1.5", "nan", "inf", "-inf", "-1", "-1e300", "1e300", "\(now + 1)"].map {
            Refusal(
                testDescription: "paused, built at \($0 ?? "no time")", gate: .paused.setting(["builtAt": $0]),
                answer: Verdict(.paused, now))
        }

    @Test("every refusal has its code and writes nothing, for one user and for that user in a call of many", arguments: refusals)
    func refused(_ row: Refusal) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(row.gate)
        try await redis.expectNothingWritten {
            for count in [1, 3] {
                let verdicts = try await redis.claim(Array(repeating: row.user, count: count), atMilliseconds: Self.now)
                #expect(verdicts == Array(repeating: row.answer, count: count))
            }
        }
    }

    @Test("an early claim is refused as any other, except that it does not wait for the window", arguments: refusals)
    func refusedEarly(_ row: Refusal) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(row.gate)
        var answer = row.answer
        if answer.code == .notOpen { answer = row.gate.fields["remaining"] == "0" ? Verdict(.soldOut, 3) : Verdict(.claimed, 1) }
        let before = try await redis.snapshot()
        let verdicts = try await redis.claim([row.user], early: true, atMilliseconds: Self.now)
        #expect(verdicts == [answer])
        let isWin = answer.code == .claimed
        #expect((try await redis.snapshot() != before) == isWin, "an early win is written, and a refusal writes nothing")
    }

    @Test("a list of early claims is decided in its order, before the window opens")
    func earlyList() async throws {
        let redis = try await LuaServer.emptied()
        let gate = Gate.open.setting(["remaining": "2", "sequence": "1", "opensAt": "\(Self.future)"])
        try await redis.put(gate.claimed(["9": "1"]))
        #expect(
            try await redis.claim(["42", "9", "42", "7", "8"], early: true) == [
                Verdict(.claimed, 2), Verdict(.alreadyClaimed, 1), Verdict(.alreadyClaimed, 2), Verdict(.claimed, 3), Verdict(.soldOut, 3),
            ])
        let after = gate.setting(["remaining": "0", "sequence": "3"]).claimed(["9": "1", "42": "2", "7": "3"])
        #expect(try await redis.snapshot() == after.snapshot)
    }

    @Test("the refusals reach every code but CLAIMED")
    func everyCode() {
        #expect(Set(Self.refusals.map { $0.answer.code }) == Set(ClaimCode.allCases).subtracting([.claimed]))
    }

    static let garbage: [String?] = [
        nil, "", "many", "nan", "-nan", "inf", "-inf", "1e400", "1e300", "-1e300", "0.5", "9007199254740993e1",
    ]

    @Test(
        "a field that is missing or no whole number is damage for all, never sold out and never a unit",
        arguments: ["remaining", "sequence", "opensAt", "closesAt", "epoch", "quantity"], garbage)
    func damaged(_ field: String, _ value: String?) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting([field: value]))
        // A damaged epoch is not repeated: the caller compares it with the store's.
        let verdict = Verdict(.damaged, 0, epoch: field == "epoch" ? 0 : 5)
        try await redis.expectNothingWritten {
            let verdicts = try await redis.claim(["42", "43"])
            #expect(verdicts == [verdict, verdict])
        }
    }

    @Test(
        "fields that are damaged in ways that cancel each other out are damage too",
        arguments: [
            ["remaining": "2.5", "sequence": "0.5"], ["remaining": "1.5", "quantity": "2.5"],
            ["sequence": "9007199254740992", "opensAt": "-9007199254740992"], ["remaining": "inf", "quantity": "-inf"],
            ["closesAt": "1e300", "opensAt": "-1e300"],
        ])
    func damagedTogether(_ fields: [String: String]) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(fields).claimed(["9": "1"]))
        try await redis.expectNothingWritten {
            let verdict = try await redis.claim("42")
            #expect(verdict == Verdict(.damaged, 0))
        }
    }

    // MARK: The window

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
        #expect(try await redis.claim(["42"], atMilliseconds: row.now)[0].code == row.code)
    }

    @Test(
        "Redis' own clock judges the window",
        arguments: [(60_000, 0, ClaimCode.notOpen), (-60_000, -1, .closed), (-60_000, 60_000, .claimed), (0, 60_000, .claimed)])
    func clock(_ opensIn: Int64, _ closesIn: Int64, _ code: ClaimCode) async throws {
        let redis = try await LuaServer.emptied()
        let now = try await redis.now
        try await redis.put(Gate.open.setting(["opensAt": "\(now + opensIn)", "closesAt": closesIn == 0 ? "0" : "\(now + closesIn)"]))
        #expect(try await redis.claim("42").code == code)
    }

    @Test("a gate that opens in a second refuses now")
    func oneSecond() async throws {
        let redis = try await LuaServer.emptied()
        let opensAt = try await redis.now + 1_000
        try await redis.put(Gate.open.setting(["opensAt": "\(opensAt)"]))
        let answer = try await redis.numbers(Scripts.claimCoupon, Gate.keys, [.string(Gate.store), "42"])
        // A machine that stalled for a second may find it open; the answer's own time tells.
        if answer[0] == ClaimCode.claimed.rawValue {
            #expect(answer[2] >= opensAt)
        } else {
            #expect(answer[0] == ClaimCode.notOpen.rawValue && answer[1] == opensAt && answer[2] < opensAt)
        }
    }

    @Test("a paused gate says how long ago load_coupon or load_claims wrote, by Redis' own clock")
    func silence() async throws {
        let redis = try await LuaServer.emptied()
        var last: Int64 = 0
        for (script, arguments) in [(Scripts.loadCoupon, ["6", "10", "0", "0", Gate.store]), (Scripts.loadClaims, ["6", "1", "11"])] {
            let before = try await redis.now
            _ = try await redis.numbers(script, Gate.keys, arguments.map { .string($0) })
            let after = try await redis.now
            let builtAt = try #require(try await redis.send("HGET", .string(Gate.key), "builtAt").integer)
            #expect((before...after).contains(builtAt) && builtAt >= last)
            try await eventually("time passes") { try await redis.now > builtAt + 3 }
            let answer = try await redis.numbers(Scripts.claimCoupon, Gate.keys, [.string(Gate.store), "42"])
            #expect(answer[0] == ClaimCode.paused.rawValue && answer[1] == answer[2] - builtAt && answer[1] > 3)
            last = builtAt
        }
    }

    // MARK: Many users in one call

    /// A call, its verdicts in the order of the users, and the gate after it.
    struct Call: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let gate: Gate
        let users: [RedisArgument]
        let verdicts: [Verdict]
        var changes: [String: String] = [:]
        /// Claims beside those that were there.
        var added: [String: String] = [:]
    }

    private static func won(_ sequence: Int64) -> Verdict { Verdict(.claimed, sequence) }
    private static func holds(_ sequence: Int64) -> Verdict { Verdict(.alreadyClaimed, sequence) }
    static let calls: [Call] = [
        Call(
            testDescription: "sequences follow the order of the users, not of their ids", gate: .open, users: ["9", "100", "10"],
            verdicts: [won(1), won(2), won(3)], changes: ["remaining": "0", "sequence": "3"],
            added: ["9": "1", "100": "2", "10": "3"]),
        Call(
            testDescription: "who comes twice in a call has one place", gate: .open, users: ["8", "9", "8", "8", "9"],
            verdicts: [won(1), won(2), holds(1), holds(1), holds(2)], changes: ["remaining": "1", "sequence": "2"],
            added: ["8": "1", "9": "2"]),
        Call(
            testDescription: "the last unit in the middle of a call",
            gate: .soldOut.setting(["quantity": "4", "remaining": "1"]), users: ["41", "42", "41", "43", "42"],
            verdicts: [won(4), Verdict(.soldOut, 4), holds(4), Verdict(.soldOut, 4), Verdict(.soldOut, 4)],
            changes: ["remaining": "0", "sequence": "4"], added: ["41": "4"]),
        Call(
            testDescription: "every verdict that an open window has, in one call",
            gate: .soldOut.setting(["quantity": "5", "remaining": "2"]).claimed(["1": "1", "2": "2", "3": "3", "4": "1.5"]),
            users: ["2", "50", "4", "51", "52", "50", "3"],
            verdicts: [
                holds(2), won(4), Verdict(.damaged, 0), won(5), Verdict(.soldOut, 5), holds(4), holds(3),
            ],
            changes: ["remaining": "0", "sequence": "5"], added: ["50": "4", "51": "5"]),
        Call(
            testDescription: "before the window", gate: .soldOut.setting(["remaining": "7", "opensAt": "\(future)"]),
            users: ["42", "3", "42"],
            verdicts: [Verdict(.notOpen, future), holds(3), Verdict(.notOpen, future)]),
        Call(
            testDescription: "after the window", gate: .soldOut.setting(["remaining": "7", "closesAt": "\(past)"]),
            users: ["1", "42", "43"],
            verdicts: [holds(1), Verdict(.closed, past), Verdict(.closed, past)]),
        Call(
            testDescription: "holders alone keep the gate from being damaged only while they are there",
            gate: .soldOut.claimed(["2": "2"]), users: ["7", "2"], verdicts: [Verdict(.soldOut, 3), holds(2)]),
        Call(
            testDescription: "user ids beyond 2^53: neighbours that one double cannot tell apart are two people", gate: .open,
            users: [9_007_199_254_740_992, 9_007_199_254_740_993, .integer(.max), 9_007_199_254_740_993],
            verdicts: [won(1), won(2), won(3), holds(2)], changes: ["remaining": "0", "sequence": "3"],
            added: ["9007199254740992": "1", "9007199254740993": "2", "9223372036854775807": "3"]),
        Call(
            testDescription: "large numbers are written in full, not as 1e+15",
            gate: .open.setting(["remaining": "1000000000000001", "sequence": "99999999999999"]).claimed(["7": "99999999999999"]),
            users: ["42", "43"], verdicts: [won(100_000_000_000_000), won(100_000_000_000_001)],
            changes: ["remaining": "999999999999999", "sequence": "100000000000001"],
            added: ["42": "100000000000000", "43": "100000000000001"]),
    ]

    @Test("a call decides its users in their order, and leaves exactly what its verdicts say", arguments: calls)
    func call(_ row: Call) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(row.gate)
        #expect(try await redis.claim(row.users) == row.verdicts)
        let after = row.gate.setting(row.changes).claimed(row.gate.claims.merging(row.added) { $1 })
        #expect(try await redis.snapshot() == after.snapshot)
    }

    @Test("a call takes 256 users, early or not, with one HSET and one ZADD for all winners", arguments: [false, true])
    func largestCall(early: Bool) async throws {
        let redis = try await LuaServer.emptied()
        let gate = Gate.open.setting(["quantity": "300", "remaining": "300"])
        try await redis.put(gate)
        _ = try await redis.send("CONFIG", "RESETSTAT")
        let users = (1...256).shuffled()
        #expect(try await redis.claim(users.map { RedisArgument($0) }, early: early) == (1...256).map { Verdict(.claimed, $0) })
        let claims = Dictionary(uniqueKeysWithValues: users.enumerated().map { ("\($0.element)", "\($0.offset + 1)") })
        #expect(try await redis.snapshot() == gate.setting(["remaining": "44", "sequence": "256"]).claimed(claims).snapshot)
        for command in ["hset", "zadd", "zmscore", "evalsha"] {
            #expect(try await redis.info("cmdstat_\(command)")?.hasPrefix("calls=1,") == true, "\(command)")
        }
    }

    @Test("a call of no users, or of more than 256, is an error and changes nothing", arguments: [0, 257, 1_000], [false, true])
    func wrongSize(_ count: Int, early: Bool) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(["quantity": "2000", "remaining": "2000"]))
        let arguments = [.string(Gate.store)] + (early ? ["early"] : []) + (0..<count).map { RedisArgument($0 + 1) }
        try await redis.expectError("1 to 256 user ids", from: Scripts.claimCoupon, Gate.keys, arguments)
    }

    @Test("a user who asks again gets the same sequence and no second unit, also when others came in between")
    func repeated() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        #expect(try await redis.claim("8") == Verdict(.claimed, 1))
        #expect(try await redis.claim("9") == Verdict(.claimed, 2))
        #expect(try await redis.claim("8") == Verdict(.alreadyClaimed, 1))
        #expect(
            try await redis.snapshot() == Gate.open.setting(["remaining": "1", "sequence": "2"]).claimed(["8": "1", "9": "2"]).snapshot)
    }

    @Test("a whole call repeated after a lost reply answers the same sequences and changes nothing")
    func repeatedCall() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        #expect(try await redis.claim(["8", "9"]) == [Verdict(.claimed, 1), Verdict(.claimed, 2)])
        try await redis.expectNothingWritten {
            let verdicts = try await redis.claim(["8", "9"])
            #expect(verdicts == [Verdict(.alreadyClaimed, 1), Verdict(.alreadyClaimed, 2)])
        }
    }

    @Test("one user who claims 1,000 times at once takes one unit", arguments: [1, 250])
    func thousandTimes(_ usersPerCall: Int) async throws {
        let redis = try await LuaServer.emptied()
        let gate = Gate.open.setting(["quantity": "1000", "remaining": "1000"])
        try await redis.put(gate)
        let command = Scripts.claimCoupon.command(Gate.keys, [.string(Gate.store)] + Array(repeating: "42", count: usersPerCall))
        let verdicts = try await redis.pipeline(Array(repeating: command, count: 1_000 / usersPerCall)).flatMap(Verdict.verdicts)
        #expect(verdicts == [Verdict(.claimed, 1)] + Array(repeating: Verdict(.alreadyClaimed, 1), count: 999))
        #expect(try await redis.snapshot() == gate.setting(["remaining": "999", "sequence": "1"]).claimed(["42": "1"]).snapshot)
    }

    @Test("500 users on 100 units: exactly 100 win, with the sequences 1 to 100 in the order of asking", arguments: [1, 7, 250])
    func fiveHundred(_ usersPerCall: Int) async throws {
        let redis = try await LuaServer.emptied()
        let gate = Gate.open.setting(["quantity": "100", "remaining": "100"])
        try await redis.put(gate)
        let users = (1...500).shuffled()
        let calls = stride(from: 0, to: users.count, by: usersPerCall).map { start in
            Scripts.claimCoupon.command(
                Gate.keys, [.string(Gate.store)] + users[start..<min(start + usersPerCall, users.count)].map { RedisArgument($0) })
        }
        let verdicts = try await redis.pipeline(calls).flatMap(Verdict.verdicts)
        #expect(verdicts == (1...100).map { Verdict(.claimed, $0) } + Array(repeating: Verdict(.soldOut, 100), count: 400))
        let winners = Dictionary(uniqueKeysWithValues: users[..<100].enumerated().map { ("\($0.element)", "\($0.offset + 1)") })
        #expect(try await redis.snapshot() == gate.setting(["remaining": "0", "sequence": "100"]).claimed(winners).snapshot)
    }

    @Test("a key of another type is an error and nothing changes", arguments: Gate.keys, ForeignType.allCases)
    func wrongType(_ key: String, _ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        try await redis.put(type, at: key)
        for users in [["42"], ["42", "43", "44"]] as [[RedisArgument]] {
            try await redis.expectError("WRONGTYPE", from: Scripts.claimCoupon, Gate.keys, [.string(Gate.store)] + users)
        }
    }

    /// The torture repeats this with a million.
    @Test("100,000 different losers write nothing and leave no byte behind", arguments: [1, 100])
    func losers(_ usersPerCall: Int64) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        let soldOut = Verdict(.soldOut, 3)
        func lose(_ users: Range<Int64>) async throws {
            let commands = stride(from: users.lowerBound, to: users.upperBound, by: Int64.Stride(usersPerCall)).map { first in
                Scripts.claimCoupon.command(Gate.keys, [.string(Gate.store)] + (first..<first + usersPerCall).map { .integer($0) })
            }
            for reply in try await redis.pipeline(commands) {
                guard try Verdict.verdicts(reply).allSatisfy({ $0 == soldOut }) else { throw UnexpectedAnswer(value: reply) }
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
        #expect(try await redis.info("cmdstat_zmscore")?.hasPrefix("calls=\(100_000 / usersPerCall),") == true)
        #expect(try await redis.info("cmdstat_zadd") == nil)
        #expect(try await redis.info("cmdstat_hset") == nil)
    }

    // MARK: Against the same claims one by one

    static let secondKeys = ["coupon:{8}", "coupon:{8}:claims"]

    @Test("random calls decide and leave what the same claims decide and leave one by one", arguments: 0..<3)
    func model(run: Int) async throws {
        var random = SeededGenerator()
        for round in 0..<12 {
            let redis = try await LuaServer.emptied()
            let (opensAt, closesAt) = (Int64.random(in: 0...400, using: &random), Int64.random(in: 500...900, using: &random))
            let terms: [RedisArgument] = [.integer(.random(in: 0...400, using: &random)), .integer(opensAt), .integer(closesAt)]
            let population = Int64.random(in: 1...600, using: &random)
            for keys in [Gate.keys, Self.secondKeys] {
                _ = try await redis.numbers(Scripts.loadCoupon, keys, [5] + terms + [.string(Gate.store)])
                // Some have a place already, with gaps between the sequences.
                _ = try await redis.numbers(Scripts.loadClaims, keys, [5, 3, 2, 9, 5])
                _ = try await redis.numbers(Scripts.openCoupon, keys, [5, 2])
            }
            for call in 0..<20 {
                let now = Int64.random(in: 0...999, using: &random)
                let script = Scripts.claimCoupon.frozen(atMilliseconds: now)
                let size = Bool.random(using: &random) ? Int.random(in: 1...256, using: &random) : Int.random(in: 1...8, using: &random)
                let users = (0..<size).map { _ in RedisArgument(Int64.random(in: 1...population, using: &random)) }
                if Int.random(in: 0..<5, using: &random) == 0 {
                    let quantity = RedisArgument(Int64.random(in: 0...600, using: &random))
                    for keys in [Gate.keys, Self.secondKeys] {
                        _ = try await redis.numbers(
                            Scripts.adjustCoupon, keys, [quantity, .integer(opensAt), .integer(closesAt), .string(Gate.store)])
                    }
                }
                let together = try await redis.numbers(script, Gate.keys, [.string(Gate.store)] + users)
                let singles = try await redis.pipeline(users.map { script.command(Self.secondKeys, [.string(Gate.store), $0]) }).flatMap(
                    LuaServer.numbers)
                let (first, second) = try await redis.gates()
                guard together == singles, first == second else {
                    Issue.record("\(random), round \(round), call \(call) of \(users) at \(now): \(together) and \(singles)")
                    return
                }
            }
        }
    }
}

extension LuaServer {
    /// Everything about the two gates of the model test, each without its own key names.
    fileprivate func gates() async throws -> ([Snapshot.Content?], [Snapshot.Content?]) {
        var snapshot = try await snapshot()
        // Both are built by load_claims, each at its own instant.
        for key in [Gate.key, ClaimCouponTests.secondKeys[0]] {
            guard case .hash(var fields)? = snapshot.keys[key] else { continue }
            fields["builtAt"] = nil
            snapshot.keys[key] = .hash(fields)
        }
        #expect(Set(snapshot.keys.keys).subtracting(Gate.keys + ClaimCouponTests.secondKeys).isEmpty)
        return (Gate.keys.map { snapshot.keys[$0] }, ClaimCouponTests.secondKeys.map { snapshot.keys[$0] })
    }
}
