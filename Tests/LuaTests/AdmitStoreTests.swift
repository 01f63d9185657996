import Redis
import Services
import Testing

@Suite("admit_store", .redisServer, .serialized)
struct AdmitStoreTests {
    static let keys = [RedisKeys.store, RedisKeys.applied]

    /// What Redis holds, whether events of a store without a name are this one's, whether the name is written, the answer's code, and the
    /// store that Redis serves afterwards.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var store: String?
        var applied: String?
        let flags: [RedisArgument]
        let code: AdmitStoreCode
        var after: String?
    }

    static let rows: [Row] =
        [[0, 0], [0, 1], [1, 0], [1, 1]].flatMap { flags in
            [
                Row(testDescription: "its own store", store: Gate.store, applied: "8", flags: flags, code: .admitted, after: Gate.store),
                Row(
                    testDescription: "another incarnation", store: Gate.otherStore, applied: "8", flags: flags, code: .otherStore,
                    after: Gate.otherStore),
                Row(testDescription: "an empty name is another's", store: "", flags: flags, code: .otherStore, after: ""),
            ]
        } + [
            Row(testDescription: "empty, for a tool", flags: [0, 0], code: .admitted),
            Row(testDescription: "nothing was counted, for a tool", applied: "0", flags: [0, 0], code: .admitted),
            Row(testDescription: "counted for nobody knows whom, for a tool", applied: "8", flags: [0, 0], code: .unknownStore),
            Row(testDescription: "counted by an earlier version, for a tool", applied: "8", flags: [1, 0], code: .admitted),
            Row(testDescription: "empty", flags: [0, 1], code: .admitted, after: Gate.store),
            Row(testDescription: "nothing was counted", applied: "0", flags: [0, 1], code: .admitted, after: Gate.store),
            Row(testDescription: "counted for nobody knows whom", applied: "8", flags: [0, 1], code: .unknownStore),
            Row(testDescription: "empty, for an old store", flags: [1, 1], code: .admitted, after: Gate.store),
            Row(testDescription: "counted by an earlier version", applied: "8", flags: [1, 1], code: .admitted, after: Gate.store),
        ]

    @Test("a store is admitted to its own Redis and to one that serves none, and to no other", arguments: rows)
    func admits(_ row: Row) async throws {
        let redis = try await LuaServer.emptied()
        if let store = row.store { _ = try await redis.send("SET", .string(RedisKeys.store), .string(store)) }
        if let applied = row.applied { _ = try await redis.send("SET", .string(RedisKeys.applied), .string(applied)) }
        // Twice, as two loops of a service do.
        for _ in 1...2 {
            let reply = try await redis.pipeline([Scripts.admitStore.command(Self.keys, [.string(Gate.store)] + row.flags)])[0]
            #expect(reply.array?.first?.integer == row.code.rawValue)
            if row.code == .otherStore { #expect(reply.array?.last?.string == row.store) }
            #expect(try await redis.send("GET", .string(RedisKeys.store)).string == row.after)
        }
    }

    @Test("the rows reach every code")
    func everyCode() { #expect(Set(Self.rows.map(\.code)) == Set(AdmitStoreCode.allCases)) }

    @Test("of two stores that meet an empty Redis at once one is admitted")
    func race() async throws {
        let redis = try await LuaServer.emptied()
        let calls = [Gate.store, Gate.otherStore].map { Scripts.admitStore.command(Self.keys, [.string($0), 0, 1]) }
        let codes = try await redis.pipeline(calls).map { $0.array?.first?.integer }
        #expect(codes == [AdmitStoreCode.admitted.rawValue, AdmitStoreCode.otherStore.rawValue])
    }

    @Test(
        "a missing or foreign argument is an error and writes nothing",
        arguments: [[], ["a:1"], ["a:1", "0"], ["a:1", "0", "2"], ["a:1", "x", "1"]] as [[RedisArgument]])
    func garbage(_ arguments: [RedisArgument]) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.expectError("whose events", from: Scripts.admitStore, Self.keys, arguments)
    }

    @Test("a name of another type is an error and nothing changes", arguments: [ForeignType.list, .set])
    func wrongType(_ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(type, at: RedisKeys.store)
        try await redis.expectError("WRONGTYPE", from: Scripts.admitStore, Self.keys, [.string(Gate.store), 1, 1])
    }
}
