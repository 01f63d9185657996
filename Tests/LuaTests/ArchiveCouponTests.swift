import Redis
import Services
import Testing

@Suite("archive_coupon", .redisServer, .serialized)
struct ArchiveCouponTests {
    /// What may be at the gate's keys when a campaign of epoch 5 is archived, and how many keys go.
    static let removed: [(String, Gate, Int64)] = [
        ("its gate", .soldOut, 2),
        ("its gate without claims", .open, 1),
        ("its gate, being built", .paused.claimed(["7": "1"]), 2),
        ("an older gate", .soldOut.setting(["epoch": "4"]), 2),
        ("an epoch below zero", .soldOut.setting(["epoch": "-9"]), 2),
        ("claims alone", Gate(fields: [:], claims: ["7": "1"]), 1),
        ("nothing", Gate(fields: [:]), 0),
        ("a gate without an epoch", .soldOut.setting(["epoch": nil]), 2),
        ("an epoch that is no number", .soldOut.setting(["epoch": "many"]), 2),
        ("an epoch that only Lua takes for a number", .soldOut.setting(["epoch": "inf"]), 2),
        ("an epoch after which there is no room for another", .soldOut.setting(["epoch": "999999999999999"]), 2),
        ("an epoch between two", .soldOut.setting(["epoch": "5.5"]), 2),
    ]

    @Test("the keys of a gate that is not later than the archived campaign go, and others stay", arguments: removed)
    func removes(_ name: String, _ gate: Gate, _ keys: Int64) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(gate)
        _ = try await redis.send("SET", "coupon:{77}", "another campaign's")
        #expect(try await redis.numbers(Scripts.archiveCoupon, Gate.keys, [5]) == [ArchiveCode.removed.rawValue, keys])
        #expect(try await redis.snapshot() == Snapshot(keys: ["coupon:{77}": .string("another campaign's")]))
        // After a lost reply it is sent again, and finds nothing to do.
        try await redis.expectRefusal([ArchiveCode.removed.rawValue, 0], from: Scripts.archiveCoupon, Gate.keys, [5])
    }

    @Test("a gate of a later epoch stays: the campaign was brought back", arguments: ["6", "10", "99999999999999"], ["open", "paused"])
    func later(_ epoch: String, _ state: String) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut.setting(["epoch": epoch, "state": state]))
        let answer = [ArchiveCode.superseded.rawValue, try #require(Int64(epoch))]
        try await redis.expectRefusal(answer, from: Scripts.archiveCoupon, Gate.keys, [5])
    }

    @Test("a key of another type goes too: no script of ours wrote it", arguments: Gate.keys, ForeignType.allCases)
    func foreignTypes(_ key: String, _ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        try await redis.put(type, at: key)
        #expect(try await redis.numbers(Scripts.archiveCoupon, Gate.keys, [5]) == [ArchiveCode.removed.rawValue, 2])
        #expect(try await redis.snapshot() == Snapshot())
    }

    @Test("a later gate stays although its claims are of another type", arguments: ForeignType.allCases)
    func laterWithForeignClaims(_ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(["epoch": "6"]))
        try await redis.put(type, at: Gate.claimsKey)
        try await redis.expectRefusal([ArchiveCode.superseded.rawValue, 6], from: Scripts.archiveCoupon, Gate.keys, [5])
    }

    @Test("an archived gate answers NOT_LOADED, and a build of a later epoch brings it back")
    func backAgain() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        _ = try await redis.numbers(Scripts.archiveCoupon, Gate.keys, [5])
        #expect(try await redis.claim("1") == Verdict(.notLoaded, 0, epoch: 0))
        // A build that was under way when the gate went ends without a gate.
        #expect(try await redis.numbers(Scripts.loadClaims, Gate.keys, [5, 1, 11]) == [LoadClaimsCode.notLoaded.rawValue])
        #expect(try await redis.numbers(Scripts.openCoupon, Gate.keys, [5, 0]) == [OpenCode.notLoaded.rawValue])
        #expect(try await redis.numbers(Scripts.loadCoupon, Gate.keys, [6, 10, 0, 0, .string(Gate.store)]) == [LoadCode.loading.rawValue])
        #expect(try await redis.numbers(Scripts.openCoupon, Gate.keys, [6, 0]) == [OpenCode.opened.rawValue, 10])
        #expect(try await redis.numbers(Scripts.archiveCoupon, Gate.keys, [5]) == [ArchiveCode.superseded.rawValue, 6])
        #expect(try await redis.claim("1") == Verdict(.claimed, 1, epoch: 6))
    }

    @Test(
        "an epoch that is no integer, or missing, is an error and nothing changes",
        arguments: ["", "x", "nan", "inf", "1.5", " 1", "1e3", "1000000000000000"])
    func garbage(_ value: String) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        try await redis.expectError("epoch", from: Scripts.archiveCoupon, Gate.keys, [.string(value)])
        try await redis.expectError("epoch", from: Scripts.archiveCoupon, Gate.keys)
    }
}
