import Commerce
import GRDB
import NIOCore
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Claims of one tick leave as one call", .serialized)
struct ClaimBatchTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func key(_ user: UserID, _ name: String, _ fingerprint: UInt8 = 0) -> IdempotentWrite<IssuedCoupon> {
        IdempotentWrite(key: IdempotencyKey(scope: "user:\(user)", key: name, fingerprint: [fingerprint])) { coupon in
            StoredResponse(status: 201, body: Array("\(coupon.sequence)".utf8))
        }
    }

    @Test("sequences follow the order of arrival, in one call and one commit", arguments: [2, 256])
    func oneCall(count: Int) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(count)
            let coupon = try await shop.makeCampaign(quantity: 1_000)
            let (calls, before) = (try shop.server.scriptCalls(), shop.store.statistics)
            let order = Array(users.reversed())
            let answers = try await shop.claimInOneTick(coupon, by: order, on: loop)
            #expect(answers == (1...count).map { .won(Int64($0)) })
            #expect(try shop.server.scriptCalls() == calls + 1)
            #expect(shop.store.statistics.groups == before.groups + 1)
            #expect(shop.store.statistics.jobs == before.jobs + count)
            #expect(try await shop.issued(coupon) == Dictionary(uniqueKeysWithValues: zip(Int64(1)..., order)))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("more than 256 claims leave as several calls, in order; two campaigns have calls of their own")
    func severalCalls() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(600)
            let coupon = try await shop.makeCampaign(quantity: 550)
            let calls = try shop.server.scriptCalls()
            let answers = try await shop.claimInOneTick(coupon, by: users, on: loop)
            #expect(answers == (1...600).map { $0 <= 550 ? .won(Int64($0)) : .refused(.couponSoldOut) })
            #expect(try shop.server.scriptCalls() == calls + 3)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("claims that are made while a call fails at once are answered too, also more than one call takes")
    func madeWhileFailing() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1)[0]
            let coupon = try await shop.makeCampaign(quantity: 10)
            _ = await shop.outcome(of: coupon, by: UserID(99), on: loop)
            try await shop.killRedis()
            let (context, services) = (shop.services.context(for: loop), shop.services)
            let (stream, answers) = AsyncStream.makeStream(of: Void.self)
            // As connections do whose clients have sent the next claim ahead: each answer is followed by a claim at once.
            @Sendable func claim(again times: Int) {
                switch services.claims.claim(coupon, by: user, on: context) {
                case .now: answers.yield()
                case .later(let begin):
                    begin { _ in
                        answers.yield()
                        if times > 0 { claim(again: times - 1) }
                    }
                }
            }
            loop.execute { for _ in 0..<600 { claim(again: 3) } }
            var count = 0
            for await _ in stream {
                count += 1
                if count == 2_400 { break }
            }
            try shop.server.start()
            #expect(try await shop.claimPatiently(coupon, by: user) == .won(1))
        }
    }

    @Test("a user who stands twice in one call gets one win, and is told of it by the other")
    func twice() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 10)
            let answers = try await shop.claimInOneTick(coupon, by: [users[0], users[1], users[0], users[2], users[1]], on: loop)
            #expect(answers == [.won(1), .won(2), .already(1), .won(3), .already(2)])
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("holders, winners and losers of one call each get their own answer, and the last unit goes to the first who asked")
    func mixed() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(6)
            let coupon = try await shop.makeCampaign(quantity: 4)
            #expect(try await shop.claim(coupon, by: users[0], on: loop) == .won(1))
            try await shop.grantOnly(coupon, to: users[1])
            let answers = try await shop.claimInOneTick(coupon, by: [4, 0, 3, 2, 1, 5].map { users[$0] }, on: loop)
            // User 1 won before, and the answer got lost.
            #expect(answers == [.won(3), .already(1), .won(4), .refused(.couponSoldOut), .won(2), .refused(.couponSoldOut)])
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("each win of a call is stored under its own idempotency key, and a key that was used otherwise refuses its claim alone")
    func keys() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let (first, coupon) = (try await shop.makeCampaign(quantity: 10), try await shop.makeCampaign(quantity: 10))
            #expect(try await shop.claim(first, by: users[1], idempotency: key(users[1], "b", 1)) == .won(1))
            let keys = [key(users[0], "a"), key(users[1], "b", 2), nil]
            let answers = try await shop.claimInOneTick(coupon, by: users, on: loop, idempotency: keys)
            #expect(answers == [.won(1), .refused(.idempotencyKeyReused), .won(3)])
            #expect(
                try shop.reader.answer(for: key(users[0], "a").key, at: shop.clock.now)
                    == .stored(StoredResponse(status: 201, body: Array("1".utf8))))
            // The place that the refused request took at the gate is its user's: the next claim finds it.
            #expect(try await shop.claim(coupon, by: users[1]) == .won(2))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a script that Redis has forgotten in the middle of a sale is sent again, and every claim has one outcome")
    func forgottenScript() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(300)
            let coupon = try await shop.makeCampaign(quantity: 200)
            var answers: [ClaimAnswer] = []
            for start in stride(from: 0, to: 300, by: 50) {
                _ = try shop.server.cli("SCRIPT", "FLUSH")
                answers += try await shop.claimInOneTick(coupon, by: Array(users[start..<start + 50]), on: loop)
            }
            #expect(answers == (1...300).map { $0 <= 200 ? .won(Int64($0)) : .refused(.couponSoldOut) })
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a reply that does not come in time concerns every claim of the call, and each finds its place when it asks again")
    func timedOut() async throws {
        try await withShop(Shop.Setup(commandDeadline: .seconds(1))) { shop in
            let users = try await shop.makeUsers(20)
            let coupon = try await shop.makeCampaign(quantity: 15)
            shop.server.pause()
            let answers = try await shop.claimInOneTick(coupon, by: users, on: loop)
            shop.server.resume()
            for answer in answers { guard case .later = answer else { throw NotDone(result: "\(answer)") } }
            // A machine that is busy may exceed the short deadline again.
            try await eventually("the late script has run") { (try? await shop.granted(coupon))?.count == 15 }
            for (index, user) in users.enumerated() {
                #expect(try await shop.claimPatiently(coupon, by: user) == (index < 15 ? .won(Int64(index + 1)) : .refused(.couponSoldOut)))
            }
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a claim of a call that the store contradicts is decided anew, and the others of the call keep theirs")
    func contradiction() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 10)
            let epoch = try #require(try shop.reader.campaign(coupon)).epoch
            // The gate went back in time: it does not know that sequence 2 is taken.
            _ = try await shop.store.recordClaim(
                Claim(couponID: coupon, userID: users[3], sequence: 2, epoch: epoch, issuedAt: shop.clock.now)
            ).value
            try await shop.campaigns.build(coupon, beyond: nil, waits: true)
            let answers = try await shop.claimInOneTick(coupon, by: Array(users[..<3]), on: loop)
            #expect(answers == [.won(1), .won(4), .won(3)])
            #expect(try await shop.claim(coupon, by: users[3]) == .already(2))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("claims that wait for a gate to be built are decided together afterwards, in their order")
    func cold() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(100)
            let coupon = try await shop.makeCampaign(quantity: 60)
            // Another build within 200 ms of the first one would be refused.
            try await shop.campaigns.build(coupon, beyond: nil, waits: true)
            _ = try shop.server.cli("FLUSHALL")
            let answers = try await shop.claimInOneTick(coupon, by: users, on: loop)
            #expect(answers == (1...100).map { $0 <= 60 ? .won(Int64($0)) : .refused(.couponSoldOut) })
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("where the store cannot write, every win of the call is told to come back, and each is there afterwards")
    func storeFails() async throws {
        try await withShop(Shop.Setup(configureStore: { $0.busyTimeoutMilliseconds = 50 })) { shop in
            let users = try await shop.makeUsers(40)
            let coupon = try await shop.makeCampaign(quantity: 30)
            let foreign = try shop.foreignConnection()
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
            let answers = try await shop.claimInOneTick(coupon, by: users, on: loop)
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try foreign.close()
            for (index, answer) in answers.enumerated() {
                if index < 30 {
                    guard case .later = answer else { throw NotDone(result: "\(answer) without a store") }
                } else {
                    #expect(answer == .refused(.couponSoldOut))
                }
            }
            let again = try await shop.claimInOneTick(coupon, by: users, on: loop)
            #expect(again == (1...40).map { $0 <= 30 ? .won(Int64($0)) : .refused(.couponSoldOut) })
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a holder is told so before the window, after it and while the gate is built")
    func holderFirst() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(2)
            let coupon = try await shop.makeCampaign(quantity: 5)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            // The answer to this one got lost.
            try await shop.grantOnly(coupon, to: users[1])
            let now = shop.clock.now.milliseconds
            _ = try await shop.campaigns.change(
                coupon, CampaignChange(opensAt: Instant(milliseconds: now + 600_000))
            ).value
            #expect(try await shop.claim(coupon, by: users[0]) == .already(1))
            _ = try await shop.campaigns.change(
                coupon,
                CampaignChange(opensAt: Instant(milliseconds: now - 60_000), closesAt: Instant(milliseconds: now - 1))
            ).value
            #expect(try await shop.claim(coupon, by: users[0]) == .already(1))
            #expect(try await shop.claim(coupon, by: users[1]) == .won(2), "granted in the window, and asked again after it")
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "state", "paused", "builtAt", "\(shop.clock.now.milliseconds)")
            #expect(try await shop.claim(coupon, by: users[0]) == .already(1))
        }
    }

    @Test("a holder whose claim the gate has lost is told of the coupon, not that it is closed, and the gate is repaired")
    func lostClaim() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 5)
            for user in users[..<2] { _ = try await shop.claim(coupon, by: user, on: loop) }
            let past = try #require(shop.clock.now.advanced(byMilliseconds: -1_000))
            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: past)).value
            // As after a failover that lost the second claim: the same epoch, the same terms, numbers that agree.
            _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "\(users[1])")
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "remaining", "4", "sequence", "1")
            try await shop.campaigns.build(coupon, beyond: nil, waits: true)
            #expect(try await shop.claim(coupon, by: users[1], on: loop) == .already(2))
            #expect(try await shop.claim(coupon, by: users[2], on: loop) == .refused(.couponClosed))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test(
        "a gate with integers at the edge of what they can be ends nothing, and is repaired",
        arguments: ["quantity", "remaining", "sequence", "builtAt", "epoch", "opensAt", "closesAt"],
        [Int64.min, Int64.max, 999_999_999_999_999])
    func extremeIntegers(field: String, value: Int64) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 5)
            #expect(try await shop.claim(coupon, by: users[0], on: loop) == .won(1))
            try await shop.campaigns.build(coupon, beyond: nil, waits: true)
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), field, "\(value)")
            try await shop.recovery.run(deep: true)
            #expect(try await shop.claimPatiently(coupon, by: users[1]) == .won(2))
            try await shop.expectAgreement(on: coupon)
            guard ["builtAt", "epoch"].contains(field) else { return }
            try await shop.campaigns.build(coupon, beyond: nil, waits: true)
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), field, "\(value)", "state", "paused")
            #expect(try await shop.claimPatiently(coupon, by: users[2]) == .won(3))
            try await shop.expectAgreement(on: coupon)
        }
    }
}
