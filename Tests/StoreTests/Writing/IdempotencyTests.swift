import Commerce
import Store
import Testing

@Suite(.everyEngine) struct IdempotencyTests: StoreSuite {
    private func key(_ key: String = "k", scope: String = "1", route: UInt8 = 7) -> IdempotencyKey {
        IdempotencyKey(scope: scope, key: key, fingerprint: [route, 0, 255])
    }

    private func remember(_ key: IdempotencyKey) -> IdempotentWrite<Charge> {
        IdempotentWrite(key: key) { charge in
            StoredResponse(status: 201, body: Array("charge \(charge.id), balance \(charge.balance)\u{0}".utf8))
        }
    }

    private func charge(_ idempotency: IdempotentWrite<Charge>, amount: Int64 = 1_000, at now: Instant = noon) async throws
        -> WriteResult<Charge>
    {
        try await store.charge(userID: UserID(1), amount: Won(amount), in: WriteContext(at: now, idempotency: idempotency))
    }

    @Test("the same request again gets the first answer byte for byte, and takes no effect")
    func replay() async throws {
        _ = try await store.makeUsers(1)
        #expect(try reader.answer(for: key(), at: noon) == .absent)
        #expect(try await charge(remember(key())).isDone)
        let before = try home.dump()
        let answer = StoredResponse(status: 201, body: Array("charge 1, balance 1000\u{0}".utf8))
        #expect(try await charge(remember(key())) == .replayed(answer))
        #expect(try reader.answer(for: key(), at: noon) == .stored(answer))
        #expect(try home.dump() == before)
        #expect(try await charge(remember(key("other"))).isDone)
        #expect(try await charge(remember(key(scope: "2"))).isDone, "another user's key is another key")
    }

    @Test("another request under the same key is refused, and changes nothing")
    func reuse() async throws {
        _ = try await store.makeUsers(1)
        _ = try await charge(remember(key()))
        #expect(try reader.answer(for: key(route: 8), at: noon) == .reused)
        try await home.expectRefused(.idempotencyKeyReused) { _ in try await charge(remember(key(route: 8))) }
    }

    @Test("a refusal is not remembered: the same key may succeed later")
    func refusals() async throws {
        _ = try await store.makeUsers(1)
        let range = Policy().chargeAmounts
        try await home.expectRefused(.amountOutOfRange(range)) { _ in try await charge(remember(key()), amount: 1) }
        #expect(try await charge(remember(key())).isDone)
    }

    @Test("an answer is remembered for 24 hours and no longer, purged or not")
    func memory() async throws {
        _ = try await store.makeUsers(1)
        let day: Int64 = 24 * 3_600_000
        _ = try await charge(remember(key()))
        #expect(try reader.answer(for: key(), at: after(day - 1)) != .absent)
        #expect(try reader.answer(for: key(), at: after(day)) == .absent)
        #expect(try await charge(remember(key(route: 8)), at: after(day)).isDone, "the place of a forgotten answer is free")
        #expect(try reader.answer(for: key(route: 8), at: after(day)) != .absent)
    }

    @Test("the purge takes the oldest in batches and leaves what is young")
    func purging() async throws {
        _ = try await store.makeUsers(1)
        for index in 0..<5 { _ = try await charge(remember(key("k\(index)")), at: after(Int64(index))) }
        #expect(try await store.purgeStoredResponses(before: after(4), limit: 3) == 3)
        #expect(try await store.purgeStoredResponses(before: after(4), limit: 3) == 1)
        #expect(try await store.purgeStoredResponses(before: after(4), limit: 3) == 0)
        #expect(try reader.answer(for: key("k4"), at: after(5)) != .absent)
    }

    @Test("a hundred charges under one key at once are one charge")
    func parallelRetries() async throws {
        _ = try await store.makeUsers(1)
        let idempotency = remember(key())
        let store = store
        let results = try await withThrowingTaskGroup(of: WriteResult<Charge>.self) { group in
            for _ in 1...100 {
                group.addTask {
                    try await store.charge(userID: UserID(1), amount: Won(1_000), in: WriteContext(at: noon, idempotency: idempotency))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.count(where: \.isDone) == 1)
        #expect(try reader.balance(of: UserID(1))?.amount == Won(1_000))
    }

    @Test("a claim is remembered when it is issued, and only then")
    func claims() async throws {
        let users = try await store.makeUsers(2)
        let campaign = try await store.makeCampaign()
        func record(_ user: UserID, _ sequence: Int64) async throws -> WriteResult<ClaimRecord> {
            let idempotency = IdempotentWrite<IssuedCoupon>(key: key(scope: "\(user)")) { coupon in
                StoredResponse(status: 201, body: Array(coupon.code.description.utf8))
            }
            let claim = Claim(couponID: campaign.id, userID: user, sequence: sequence, epoch: 0, issuedAt: noon)
            return try await store.recordClaim(claim, idempotency: idempotency)
        }
        guard case .done(.issued(let coupon)) = try await record(users[0], 1) else { throw NotDone(result: "claim") }
        let answer = StoredResponse(status: 201, body: Array(coupon.code.description.utf8))
        #expect(try await record(users[0], 1) == .replayed(answer))
        #expect(try await record(users[1], 1) == .done(.stale))
        #expect(try reader.answer(for: key(scope: "\(users[1])"), at: noon) == .absent)
    }
}
