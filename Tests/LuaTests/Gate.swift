import Commerce
import Redis
import Services
import Testing

/// A campaign's gate as `redis-cli` would show it; tests put it into Redis and expect it there.
struct Gate: Sendable {
    static let key = RedisKeys.coupon(CouponID(7))
    static let claimsKey = RedisKeys.claims(of: CouponID(7))
    static let keys = [key, claimsKey]

    /// The store of every gate of the tests.
    static let store = "0123456789abcdef:1795300182372"
    /// The same store before it was restored.
    static let otherStore = "0123456789abcdef:1795300182371"

    var fields = [
        "state": "open", "store": Gate.store, "quantity": "3", "remaining": "3", "sequence": "0", "opensAt": "0", "closesAt": "0",
        "epoch": "5",
    ]
    /// Sequences by user id.
    var claims: [String: String] = [:]

    /// An open gate without claims.
    static let open = Gate()
    /// Open, and users 1 to 3 have taken all three units.
    static let soldOut = Gate.open.setting(["remaining": "0", "sequence": "3"]).claimed(["1": "1", "2": "2", "3": "3"])

    /// Being built, as `load_coupon` leaves it.
    static let paused = Gate.open.setting(["state": "paused", "remaining": "0"])

    /// The same gate with other fields; a nil takes the field away.
    func setting(_ changes: [String: String?]) -> Gate {
        var gate = self
        for (field, value) in changes { gate.fields[field] = value }
        return gate
    }

    func claimed(_ claims: [String: String]) -> Gate {
        var gate = self
        gate.claims = claims
        return gate
    }

    /// What Redis holds when this gate is all it holds.
    var snapshot: Snapshot {
        var snapshot = Snapshot()
        if !fields.isEmpty { snapshot.keys[Self.key] = .hash(fields) }
        if !claims.isEmpty { snapshot.keys[Self.claimsKey] = .sortedSet(claims) }
        return snapshot
    }
}

extension LuaServer {
    func put(_ gate: Gate) async throws {
        _ = try await send("DEL", .string(Gate.key), .string(Gate.claimsKey))
        var commands: [RedisCommand] = []
        for (field, value) in gate.fields { commands.append(RedisCommand("HSET", .string(Gate.key), .string(field), .string(value))) }
        for (user, sequence) in gate.claims {
            commands.append(RedisCommand("ZADD", .string(Gate.claimsKey), .string(sequence), .string(user)))
        }
        for case .error(let error) in try await pipeline(commands) { throw RedisError(error) }
    }

    /// Claims for one user, and expects that the answer's time is Redis' own.
    func claim(_ user: RedisArgument) async throws -> Verdict { try await claim([user])[0] }

    /// Claims for all users in one call, and expects that the answers' time is Redis' own, or the one given.
    ///
    /// - Parameter early: whether an admin grants, also before the window opens.
    func claim(_ users: [RedisArgument], early: Bool = false, atMilliseconds instant: Int64? = nil) async throws -> [Verdict] {
        let before = try await now
        let script = instant.map { Scripts.claimCoupon.frozen(atMilliseconds: $0) } ?? Scripts.claimCoupon
        let numbers = try await numbers(script, Gate.keys, [.string(Gate.store)] + (early ? ["early"] : []) + users)
        let after = try await now
        #expect(numbers.count == 4 * users.count)
        let times = Set(stride(from: 2, to: numbers.count, by: 4).map { numbers[$0] })
        #expect(times.count == 1 && times.allSatisfy { instant.map { $0...$0 } ?? before...after ~= $0 })
        return try Verdict.verdicts(numbers)
    }
}

/// What `claim_coupon` answers for one user, without Redis' time.
struct Verdict: Equatable, Sendable {
    let code: ClaimCode
    let number: Int64
    let epoch: Int64

    init(_ code: ClaimCode, _ number: Int64, epoch: Int64 = 5) { (self.code, self.number, self.epoch) = (code, number, epoch) }

    static func verdicts(_ reply: RedisValue) throws -> [Verdict] { try verdicts(LuaServer.numbers(reply)) }

    fileprivate static func verdicts(_ numbers: [Int64]) throws -> [Verdict] {
        try stride(from: 0, to: numbers.count, by: 4).map { index in
            Verdict(try #require(ClaimCode(rawValue: numbers[index])), numbers[index + 1], epoch: numbers[index + 3])
        }
    }
}
