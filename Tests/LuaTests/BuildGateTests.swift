import Redis
import Services
import Testing

/// `load_coupon`, `load_claims` and `open_coupon`: how a gate is built from the store.
@Suite("building a gate: load_coupon, load_claims, open_coupon", .redisServer, .serialized)
struct BuildGateTests {
    /// epoch, quantity, opensAt, closesAt, store
    static let terms: [RedisArgument] = [6, 10, 1_000, 9_000_000_000_000, .string(Gate.store)]

    /// Both scripts note their instant in `builtAt`.
    static let loadCoupon = Scripts.loadCoupon.frozen(atMilliseconds: 1_700_000_000_123)
    static let loadClaims = Scripts.loadClaims.frozen(atMilliseconds: 1_700_000_000_456)

    @Test("the three calls build a gate whose next sequence follows the highest one issued")
    func wholeBuild() async throws {
        let redis = try await LuaServer.emptied()
        #expect(try await redis.numbers(Self.loadCoupon, Gate.keys, Self.terms) == [LoadCode.loading.rawValue])
        #expect(try await redis.snapshot() == Self.loaded.snapshot)

        #expect(try await redis.numbers(Self.loadClaims, Gate.keys, [6, 1, 11, 2, 12]) == [LoadClaimsCode.loaded.rawValue, 2])
        #expect(try await redis.numbers(Self.loadClaims, Gate.keys, [6, 5, 15]) == [LoadClaimsCode.loaded.rawValue, 3])
        let claims = ["11": "1", "12": "2", "15": "5"]
        let filled = Self.loaded.setting(["builtAt": "1700000000456"]).claimed(claims)
        #expect(try await redis.snapshot() == filled.snapshot)

        #expect(try await redis.numbers(Scripts.openCoupon, Gate.keys, [6, 3]) == [OpenCode.opened.rawValue, 7])
        let open = filled.setting(["state": "open", "remaining": "7", "sequence": "5"])
        #expect(try await redis.snapshot() == open.snapshot)
        #expect(try await redis.claim("16") == Verdict(.claimed, 6, epoch: 6))
    }

    static let loaded = Gate(fields: [
        "state": "paused", "epoch": "6", "quantity": "10", "remaining": "0", "sequence": "0", "opensAt": "1000",
        "closesAt": "9000000000000", "builtAt": "1700000000123", "store": Gate.store,
    ])

    // MARK: load_coupon

    /// What may be at the gate's key before a build of epoch 6 replaces it.
    static let replaceable: [(String, Gate)] = [
        ("an older epoch", Gate.soldOut),
        ("an older build", Gate.paused),
        ("no epoch", Gate.open.setting(["epoch": nil])),
        ("an epoch that is no number", Gate.open.setting(["epoch": "many"])),
        ("an epoch after which there is no room for another", Gate.open.setting(["epoch": "999999999999999"])),
        ("an epoch beyond all numbers", Gate.open.setting(["epoch": "inf"])),
        ("a field of somebody else", Gate.open.setting(["colour": "red"])),
        ("a store before it was restored", Gate.open.setting(["store": Gate.otherStore])),
        ("a gate that names no store", Gate.open.setting(["store": nil])),
        ("claims alone", Gate(fields: [:], claims: ["42": "1"])),
    ]

    @Test("load_coupon replaces what is older or not ours, with claims and foreign fields", arguments: replaceable)
    func replaces(_ name: String, _ present: Gate) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(present)
        #expect(try await redis.numbers(Self.loadCoupon, Gate.keys, Self.terms) == [LoadCode.loading.rawValue])
        #expect(try await redis.snapshot() == Self.loaded.snapshot)
    }

    @Test("load_coupon replaces a key of another type", arguments: Gate.keys, ForeignType.allCases)
    func replacesTypes(_ key: String, _ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open)
        try await redis.put(type, at: key)
        #expect(try await redis.numbers(Self.loadCoupon, Gate.keys, Self.terms) == [LoadCode.loading.rawValue])
        #expect(try await redis.snapshot() == Self.loaded.snapshot)
    }

    @Test("load_coupon refuses beside the same or a later epoch, open or paused", arguments: ["6", "7", "10"], ["open", "paused"])
    func superseded(_ epoch: String, _ state: String) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut.setting(["epoch": epoch, "state": state]))
        let present = try #require(Int64(epoch))
        try await redis.expectRefusal([LoadCode.superseded.rawValue, present], from: Scripts.loadCoupon, Gate.keys, Self.terms)
    }

    @Test("epochs are compared as numbers: 10 is later than 9")
    func numericEpochs() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.open.setting(["epoch": "9"]))
        #expect(try await redis.numbers(Scripts.loadCoupon, Gate.keys, [10, 10, 0, 0, .string(Gate.store)]) == [LoadCode.loading.rawValue])
    }

    @Test(
        "load_coupon with an argument that is no integer is an error and keeps what stands",
        arguments: 0..<4, ["", "x", "nan", "inf", "1.5", " 1", "1e3", "1000000000000000"])
    func badTerms(_ place: Int, _ value: String) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.soldOut)
        var terms = Self.terms
        terms[place] = .string(value)
        try await redis.expectError("quantity", from: Scripts.loadCoupon, Gate.keys, terms)
        try await redis.expectError("quantity", from: Scripts.loadCoupon, Gate.keys, Array(terms[..<place]))
    }

    // MARK: load_claims

    @Test("load_claims repeated after a lost reply changes nothing")
    func repeatedClaims() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.paused)
        for _ in 1...2 {
            #expect(try await redis.numbers(Self.loadClaims, Gate.keys, [5, 1, 11, 2, 12]) == [LoadClaimsCode.loaded.rawValue, 2])
        }
        let filled = Gate.paused.setting(["builtAt": "1700000000456"]).claimed(["11": "1", "12": "2"])
        #expect(try await redis.snapshot() == filled.snapshot)
    }

    static let strangers: [(String, Gate, [Int64])] = [
        ("an open gate of the same epoch", Gate.open, [2, 5]),
        ("a later build", Gate.paused.setting(["epoch": "6"]), [2, 6]),
        ("an earlier build", Gate.paused.setting(["epoch": "4"]), [2, 4]),
        ("an epoch that is no number", Gate.paused.setting(["epoch": "many"]), [2, 0]),
        ("no gate", Gate(fields: [:]), [3]),
        ("claims without a gate", Gate(fields: [:], claims: ["9": "1"]), [3]),
        ("a gate without an epoch", Gate.paused.setting(["epoch": nil]), [3]),
    ]

    @Test("load_claims adds nothing to a gate that is not its build's", arguments: strangers)
    func notItsBuild(_ name: String, _ gate: Gate, _ answer: [Int64]) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(gate)
        try await redis.expectRefusal(answer, from: Scripts.loadClaims, Gate.keys, [5, 1, 11])
    }

    static let badPairs: [(String, [RedisArgument])] = [
        ("none", [5]), ("an odd number", [5, 1, 11, 2]), ("no arguments at all", []),
        ("a sequence in the middle that is no number", [5, 1, 11, "x", 12, 3, 13]),
        ("a sequence that only Lua takes", [5, 1, 11, " 2", 12]), ("a sequence nan", [5, 1, 11, "nan", 12]),
        ("more than the stack holds", [5] + Array(repeating: 1, count: 7_002)),
    ]

    @Test("load_claims with bad pairs is an error and adds none of them, not even the sign of life", arguments: badPairs)
    func noHalfLoad(_ name: String, _ arguments: [RedisArgument]) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.paused)
        try await redis.expectError("", from: Scripts.loadClaims, Gate.keys, arguments)
    }

    @Test("load_claims takes 3,500 pairs at once")
    func largestLoad() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.paused)
        let pairs = (1...3_500).flatMap { [RedisArgument($0), RedisArgument($0 + 100_000)] }
        #expect(try await redis.numbers(Scripts.loadClaims, Gate.keys, [5] + pairs) == [LoadClaimsCode.loaded.rawValue, 3_500])
        #expect(try await redis.send("ZSCORE", .string(Gate.claimsKey), 103_500).string == "3500")
    }

    // MARK: open_coupon

    static let opened: [(String, Gate, [RedisArgument], Gate, Int64)] = [
        ("no claims", .paused, [5, 0], .open, 3),
        (
            "claims with a gap: the sequence follows the highest", .paused.claimed(["8": "2", "9": "7"]), [5, 2],
            Gate.open.setting(["remaining": "1", "sequence": "7"]).claimed(["8": "2", "9": "7"]), 1
        ),
        (
            "more claims than units: none is left, not less", .paused.setting(["quantity": "1"]).claimed(["8": "1", "9": "2"]),
            [5, 2],
            Gate.open.setting(["quantity": "1", "remaining": "0", "sequence": "2"]).claimed(["8": "1", "9": "2"]), 0
        ),
    ]

    @Test("open_coupon sets remaining and sequence from the claims and ends the pause", arguments: opened)
    func opens(_ name: String, _ gate: Gate, _ arguments: [RedisArgument], _ after: Gate, _ remaining: Int64) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(gate)
        #expect(try await redis.numbers(Scripts.openCoupon, Gate.keys, arguments) == [OpenCode.opened.rawValue, remaining])
        #expect(try await redis.snapshot() == after.snapshot)
    }

    static let notOpened: [(String, Gate, [RedisArgument], [Int64])] = [
        ("open already, with claims since", .soldOut.setting(["remaining": "1"]), [5, 0], [1, 1]),
        ("another build", .paused, [4, 0], [2, 5]),
        ("another build, open", .open, [6, 0], [2, 5]),
        ("an epoch that is no number", .paused.setting(["epoch": "many"]), [5, 0], [2, 0]),
        ("vanished", Gate(fields: [:]), [5, 0], [3]),
        ("vanished but for the claims", Gate(fields: [:], claims: ["8": "1"]), [5, 1], [3]),
        ("too few claims", .paused.claimed(["8": "1"]), [5, 2], [4, 1]),
        ("too many claims", .paused.claimed(["8": "1"]), [5, 0], [4, 1]),
        ("a number of claims that is none", .paused, [5, "x"], [4, 0]),
    ]

    @Test("open_coupon changes nothing where the gate is open, not its own, or incomplete", arguments: notOpened)
    func staysShut(_ name: String, _ gate: Gate, _ arguments: [RedisArgument], _ answer: [Int64]) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(gate)
        try await redis.expectRefusal(answer, from: Scripts.openCoupon, Gate.keys, arguments)
    }

    @Test("open_coupon on a gate without a quantity is an error and changes nothing")
    func noQuantity() async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.paused.setting(["quantity": nil]))
        try await redis.expectError("ERR", from: Scripts.openCoupon, Gate.keys, [5, 0])
    }

    @Test("a key of another type is an error and nothing changes", arguments: Gate.keys, ForeignType.allCases)
    func wrongType(_ key: String, _ type: ForeignType) async throws {
        let redis = try await LuaServer.emptied()
        try await redis.put(Gate.paused)
        try await redis.put(type, at: key)
        try await redis.expectError("WRONGTYPE", from: Scripts.loadClaims, Gate.keys, [5, 1, 11])
        try await redis.expectError("WRONGTYPE", from: Scripts.openCoupon, Gate.keys, [5, 0])
    }

    @Test("the tables reach every code")
    func everyCode() {
        #expect(Set(Self.strangers.map { $0.2[0] }).union([1]) == Set(LoadClaimsCode.allCases.map(\.rawValue)))
        #expect(Set(Self.notOpened.map { $0.3[0] }) == Set(OpenCode.allCases.map(\.rawValue)))
        #expect(LoadCode.allCases == [.loading, .superseded])
    }
}
