import Redis
import Services
import TestSupport
import Testing

@Suite("grant_coupon", .redisServer, .serialized)
struct GrantCouponTests {
    /// What `grant_coupon` answers for one user, without Redis' time.
    struct Verdict: Equatable, Sendable {
        let code: GrantCode
        let number: Int64
        let epoch: Int64

        init(_ code: GrantCode, _ number: Int64, epoch: Int64 = 5) { (self.code, self.number, self.epoch) = (code, number, epoch) }
    }

    private func grant(_ redis: LuaServer, _ users: [RedisArgument], atMilliseconds instant: Int64? = nil) async throws -> [Verdict] {
        let script = instant.map { Scripts.grantCoupon.frozen(atMilliseconds: $0) } ?? Scripts.grantCoupon
        let numbers = try await redis.numbers(script, Gate.keys, [.string(Gate.store)] + users)
        #expect(numbers.count == 4 * users.count)
        return try stride(from: 0, to: numbers.count, by: 4).map { index in
            Verdict(try #require(GrantCode(rawValue: numbers[index])), numbers[index + 1], epoch: numbers[index + 3])
        }
    }

    @Test("users are decided in their order, and each win takes one unit, the next sequence and one member")
    func granted() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(["remaining": "2", "sequence": "1"]).claimed(["9": "1"]))
        let verdicts = try await grant(redis, ["42", "9", "42", "7", "8"])
        #expect(
            verdicts == [
                Verdict(.granted, 2), Verdict(.alreadyClaimed, 1), Verdict(.alreadyClaimed, 2), Verdict(.granted, 3), Verdict(.soldOut, 3),
            ])
        let after = Gate.open.setting(["remaining": "0", "sequence": "3"]).claimed(["9": "1", "42": "2", "7": "3"])
        #expect(try await redis.snapshot() == after.snapshot)
    }

    @Test("a campaign that is not open yet grants")
    func beforeTheWindow() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(["opensAt": "9000000000000"]))
        #expect(try await grant(redis, ["42"]) == [Verdict(.granted, 1)])
        #expect(try await redis.claim("42") == LuaTests.Verdict(.alreadyClaimed, 1))
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let gate: Gate
        var user: RedisArgument = "42"
        let answer: Verdict
    }

    static let past: Int64 = 1_000
    static let now: Int64 = 1_800_000_000_000
    static let refusals: [Refusal] =
        [
            Refusal(testDescription: "already claimed", gate: .open.claimed(["42": "17"]), answer: Verdict(.alreadyClaimed, 17)),
            Refusal(
                testDescription: "already claimed, and closed", gate: .soldOut.setting(["closesAt": "\(past)"]), user: "2",
                answer: Verdict(.alreadyClaimed, 2)),
            Refusal(testDescription: "sold out", gate: .soldOut, answer: Verdict(.soldOut, 3)),
            Refusal(testDescription: "sold out below zero", gate: .open.setting(["remaining": "-4"]), answer: Verdict(.soldOut, 3)),
            Refusal(testDescription: "closed", gate: .open.setting(["closesAt": "\(past)"]), answer: Verdict(.closed, past)),
            Refusal(
                testDescription: "closed, although it never opened", gate: .open.setting(["opensAt": "\(now + 5)", "closesAt": "\(past)"]),
                answer: Verdict(.closed, past)),
            Refusal(
                testDescription: "closed, although sold out", gate: .soldOut.setting(["closesAt": "\(past)"]),
                answer: Verdict(.closed, past)),
            Refusal(testDescription: "paused", gate: .paused.setting(["builtAt": "\(now - 1_500)"]), answer: Verdict(.paused, 1_500)),
            Refusal(
                testDescription: "paused, built at no time", gate: .paused.setting(["builtAt": "x"]), answer: Verdict(.paused, now)),
            Refusal(testDescription: "not loaded", gate: Gate(fields: [:]), answer: Verdict(.notLoaded, 0, epoch: 0)),
            Refusal(
                testDescription: "another store's", gate: .open.setting(["store": Gate.otherStore]), answer: Verdict(.otherStore, 0)),
            Refusal(testDescription: "the claims are gone", gate: .soldOut.claimed([:]), answer: Verdict(.damaged, 0)),
            Refusal(testDescription: "no state", gate: .open.setting(["state": nil]), answer: Verdict(.damaged, 0)),
        ]
        + ["1.5", "inf", "0", "-3"].map {
            Refusal(testDescription: "a user's own sequence is \($0)", gate: .open.claimed(["42": $0]), answer: Verdict(.damaged, 0))
        }
        + ["remaining", "sequence", "opensAt", "closesAt", "quantity"].map {
            Refusal(testDescription: "\($0) is no whole number", gate: .open.setting([$0: "0.5"]), answer: Verdict(.damaged, 0))
        }

    @Test("every refusal has its code and writes nothing", arguments: refusals)
    func refused(_ row: Refusal) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(row.gate)
        try await redis.expectNothingWritten {
            for count in [1, 3] {
                let verdicts = try await grant(redis, Array(repeating: row.user, count: count), atMilliseconds: Self.now)
                #expect(verdicts == Array(repeating: row.answer, count: count))
            }
        }
    }

    @Test("the refusals reach every code but GRANTED")
    func everyCode() {
        #expect(Set(Self.refusals.map { $0.answer.code }) == Set(GrantCode.allCases).subtracting([.granted]))
    }

    @Test("256 users are decided by one call, and 257 by none")
    func most() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(["quantity": "300", "remaining": "300"]))
        let users = (1...257).map { RedisArgument.integer($0) }
        #expect(try await grant(redis, Array(users.dropLast())).map(\.number) == Array(1...256))
        await #expect(throws: (any Error).self) { _ = try await grant(redis, users) }
    }
}
