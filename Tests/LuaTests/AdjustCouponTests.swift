import Redis
import Services
import Testing

@Suite("adjust_coupon", .redisServer, .serialized)
struct AdjustCouponTests {
    @Test(
        "an open gate takes the new quantity and window; remaining is what the claims leave",
        arguments: [(3, 0), (4, 1), (10, 7), (1_000_000, 999_997)])
    func adjusted(_ quantity: Int64, _ remaining: Int64) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        let answer = try await redis.numbers(
            Scripts.adjustCoupon, Gate.keys, [.integer(quantity), 1_000, 9_000_000_000_000, .string(Gate.store)])
        #expect(answer == [AdjustCode.adjusted.rawValue, remaining])
        let after = Gate.soldOut.setting([
            "quantity": "\(quantity)", "remaining": "\(remaining)", "opensAt": "1000", "closesAt": "9000000000000",
        ])
        #expect(try await redis.snapshot() == after.snapshot)
    }

    @Test("remaining comes from the claims, not from a field that has drifted")
    func drifted() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut.setting(["remaining": "2"]))
        #expect(
            try await redis.numbers(Scripts.adjustCoupon, Gate.keys, [3, 0, 0, .string(Gate.store)]) == [AdjustCode.adjusted.rawValue, 0])
        #expect(try await redis.snapshot() == Gate.soldOut.snapshot)
    }

    @Test("raising the quantity reopens a sold-out gate, and the sequences go on")
    func reopens() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        #expect(try await redis.claim("42") == Verdict(.soldOut, 3))
        #expect(
            try await redis.numbers(Scripts.adjustCoupon, Gate.keys, [4, 0, 0, .string(Gate.store)]) == [AdjustCode.adjusted.rawValue, 1])
        #expect(try await redis.claim("42") == Verdict(.claimed, 4))
        #expect(try await redis.claim("43") == Verdict(.soldOut, 4))
    }

    @Test("a new window holds from the next claim on")
    func window() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        #expect(
            try await redis.numbers(Scripts.adjustCoupon, Gate.keys, [3, 0, 1, .string(Gate.store)]) == [AdjustCode.adjusted.rawValue, 3])
        #expect(try await redis.claim("42") == Verdict(.closed, 1))
        #expect(
            try await redis.numbers(Scripts.adjustCoupon, Gate.keys, [3, 9_000_000_000_000, 0, .string(Gate.store)]) == [
                AdjustCode.adjusted.rawValue, 3,
            ])
        #expect(try await redis.claim("42") == Verdict(.notOpen, 9_000_000_000_000))
    }

    @Test("repeated after a lost reply it answers the same and changes nothing more")
    func repeated() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        let first = try await redis.numbers(Scripts.adjustCoupon, Gate.keys, [9, 1, 2, .string(Gate.store)])
        let after = try await redis.snapshot()
        #expect(try await redis.numbers(Scripts.adjustCoupon, Gate.keys, [9, 1, 2, .string(Gate.store)]) == first)
        #expect(try await redis.snapshot() == after)
    }

    static let refusals: [(String, Gate, Int64, [Int64])] = [
        ("below what is issued", .soldOut, 2, [2, 3]),
        ("nothing, with claims", .soldOut, 0, [2, 3]),
        ("negative, without claims", .open, -1, [2, 0]),
        ("not loaded", Gate(fields: [:]), 5, [3]),
        ("not loaded but for claims", Gate(fields: [:], claims: ["1": "1"]), 0, [3]),
        ("paused", .paused, 5, [4]),
        ("paused, and below what is issued", .paused.claimed(["1": "1"]), 0, [4]),
        ("an unknown state", Gate.open.setting(["state": "ajar"]), 5, [4]),
        ("of a store that was restored since", Gate.open.setting(["store": Gate.otherStore]), 5, [5]),
        ("paused by another store", Gate.paused.setting(["store": Gate.otherStore]), 5, [5]),
    ]

    @Test("every refusal has its code and writes nothing", arguments: refusals)
    func refused(_ name: String, _ gate: Gate, _ quantity: Int64, _ answer: [Int64]) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(gate)
        try await redis.expectRefusal(answer, from: Scripts.adjustCoupon, Gate.keys, [.integer(quantity), 0, 0, .string(Gate.store)])
    }

    @Test("the refusals reach every code but ADJUSTED")
    func everyCode() {
        #expect(Set(Self.refusals.map { $0.3[0] }) == Set(AdjustCode.allCases.map(\.rawValue)).subtracting([1]))
    }

    @Test(
        "an argument that is no integer, or missing, is an error and nothing changes",
        arguments: 0..<3, ["", "x", "nan", "inf", "1.5", " 1", "1e3"])
    func badArguments(_ place: Int, _ value: String) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        var arguments: [RedisArgument] = [5, 0, 0, .string(Gate.store)]
        arguments[place] = .string(value)
        try await redis.expectError("quantity", from: Scripts.adjustCoupon, Gate.keys, arguments)
        try await redis.expectError("quantity", from: Scripts.adjustCoupon, Gate.keys, Array(arguments[..<place]))
    }

    @Test("a key of another type is an error and nothing changes", arguments: Gate.keys, ForeignType.allCases)
    func wrongType(_ key: String, _ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        try await redis.put(type, at: key)
        try await redis.expectError("WRONGTYPE", from: Scripts.adjustCoupon, Gate.keys, [5, 0, 0, .string(Gate.store)])
    }
}
