import Commerce
import GRDB
import NIOCore
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Claims", .serialized)
struct ClaimsTests {
    @Test("each verdict of the gate is its own answer")
    func verdicts() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let open = try await shop.makeCampaign(quantity: 1)
            let early = try await shop.makeCampaign(quantity: 1, opensIn: 60_000)
            let late = try await shop.makeCampaign(quantity: 1, closesIn: -1)
            let opensAt = try #require(try shop.reader.campaign(early)).terms.opensAt
            #expect(try await shop.claim(open, by: UserID(99)) == .refused(.userNotFound))
            #expect(try await shop.claim(open, by: UserID(0)) == .refused(.userNotFound))
            #expect(try await shop.claim(CouponID(99), by: users[0]) == .refused(.couponNotFound))
            #expect(try await shop.claim(early, by: users[0]) == .refused(.couponNotOpen(opensAt: opensAt)))
            #expect(try await shop.claim(late, by: users[0]) == .refused(.couponClosed))
            #expect(try await shop.claim(open, by: users[0]) == .won(1))
            #expect(try await shop.claim(open, by: users[0]) == .already(1))
            #expect(try await shop.claim(open, by: users[1]) == .refused(.couponSoldOut))
            #expect(try await shop.issued(open) == [1: users[0]])
            #expect(try await shop.issued(early).isEmpty)
        }
    }

    @Test("2,000 people ask for 100 coupons at once: the first 100 get the places 1 to 100, and nobody else one")
    func crowd() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(2_000)
            let coupon = try await shop.makeCampaign(quantity: 100)
            let answers = try await shop.claimTogether(coupon, by: users)
            let places = answers.values.compactMap { if case .won(let place) = $0 { place } else { nil } }
            #expect(places.sorted() == Array(1...100))
            #expect(answers.values.count { $0 == .refused(.couponSoldOut) } == 1_900)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("one person who asks 300 times at once gets one coupon, once as new and else as theirs")
    func oneUser() async throws {
        try await withShop { shop in
            let user = try await shop.makeUsers(1)[0]
            let coupon = try await shop.makeCampaign(quantity: 50)
            let answers = try await withThrowingTaskGroup { group in
                for _ in 0..<300 { group.addTask { try await shop.claim(coupon, by: user) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count { $0 == .won(1) } == 1)
            #expect(answers.count { $0 == .already(1) } == 299)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("a claim whose reply is lost behind the script has one outcome: it is asked again and finds its own place")
    func lostReply() async throws {
        try await withTemporaryRedis { server in
            let proxy = try await FaultProxy(to: server.socketPath, in: server.directory)
            try await withShop(Shop.Setup(endpoint: .unix(path: proxy.socketPath)), on: server) { shop in
                let users = try await shop.makeUsers(10)
                let coupon = try await shop.makeCampaign(quantity: 20)
                for (index, user) in users.enumerated() {
                    proxy.inject(.cut(afterReplyBytes: 0))
                    #expect(try await shop.claimPatiently(coupon, by: user) == .won(Int64(index + 1)))
                    try await eventually("the proxy has cut") { proxy.isHealthy && shop.redis.isConnected }
                    #expect(try await shop.claimPatiently(coupon, by: user) == .already(Int64(index + 1)))
                }
                try await shop.expectAgreement(on: coupon)
            }
            try await proxy.close()
        }
    }

    @Test("a claim that ran after its caller had given up is the caller's when they ask again")
    func timedOut() async throws {
        try await withShop(Shop.Setup(commandDeadline: .seconds(1))) { shop in
            let users = try await shop.makeUsers(2)
            let coupon = try await shop.makeCampaign(quantity: 1)
            shop.server.pause()
            let answer = try await shop.claim(coupon, by: users[0])
            shop.server.resume()
            guard case .later = answer else { throw NotDone(result: "\(answer)") }
            // A machine that is busy may exceed the short deadline again.
            try await eventually("the late script has run") { (try? await shop.granted(coupon)) == [1: users[0]] }
            #expect(try await shop.claimPatiently(coupon, by: users[1]) == .refused(.couponSoldOut))
            #expect(try await shop.claimPatiently(coupon, by: users[0]) == .won(1))
            #expect(try await shop.claimPatiently(coupon, by: users[0]) == .already(1))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test(
        "a place that only the gate knows becomes a coupon by its owner's next claim or by recovery, whichever comes first",
        arguments: [true, false])
    func grantedOnly(recoveryFirst: Bool) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3)
            let coupon = try await shop.makeCampaign(quantity: 2)
            for user in users.prefix(2) { try await shop.grantOnly(coupon, to: user) }
            #expect(try await shop.issued(coupon).isEmpty)
            if recoveryFirst {
                try await shop.recovery.run(deep: false)
                #expect(try await shop.issued(coupon) == [1: users[0], 2: users[1]])
                #expect(try await shop.claim(coupon, by: users[1]) == .already(2))
            } else {
                #expect(try await shop.claim(coupon, by: users[1]) == .won(2))
                try await shop.recovery.run(deep: true)
                #expect(try await shop.claim(coupon, by: users[0]) == .already(1))
            }
            #expect(try await shop.claim(coupon, by: users[2]) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("recovery leaves a claim that is on its way to its claimant, who is told 201 although the first reply was lost")
    func recoveryDuringClaim() async throws {
        try await withTemporaryRedis { server in
            let proxy = try await FaultProxy(to: server.socketPath, in: server.directory)
            let setup = Shop.Setup(endpoint: .unix(path: proxy.socketPath), minimumBackoff: .milliseconds(600))
            try await withShop(setup, on: server) { shop in
                let user = try await shop.makeUsers(1)[0]
                let coupon = try await shop.makeCampaign(quantity: 5)
                let direct = RedisClient(
                    configuration: RedisConfiguration(endpoint: .unix(path: server.socketPath), scripts: Scripts.all),
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Shop.logger)
                direct.start()
                let recovery = ClaimRecovery(
                    store: shop.store, redis: direct, campaigns: shop.campaigns, clock: shop.services.configuration.clock,
                    archiveAfter: shop.services.configuration.archiveAfter, logger: Shop.logger)
                proxy.inject(.cut(afterReplyBytes: 0))
                async let answer = shop.claim(coupon, by: user)
                try await eventually("the script has run") {
                    try server.cli("ZCARD", RedisKeys.claims(of: coupon)) == "1"
                }
                async let recovered: Void = recovery.run(deep: true, grace: .seconds(2))
                #expect(try await answer == .won(1))
                try await recovered
                await direct.close()
                try await shop.expectAgreement(on: coupon)
            }
            try await proxy.close()
        }
    }

    @Test("recovery beside a sale takes no winner's answer: each of them is told 201 by their own claim")
    func recoveryBesideClaims() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(400)
            let coupon = try await shop.makeCampaign(quantity: 400)
            let recovering = Task {
                while !Task.isCancelled { try await shop.recovery.run(deep: true, grace: .seconds(2)) }
            }
            var won = 0
            for start in stride(from: 0, to: 400, by: 20) {
                let answers = try await shop.claimTogether(coupon, by: Array(users[start..<start + 20]))
                won += answers.values.count { if case .won = $0 { true } else { false } }
            }
            recovering.cancel()
            _ = await recovering.result
            #expect(won == 400)
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("where the store cannot write, nobody is told that they won, and in the end remaining and issued make up the quantity")
    func storeFails() async throws {
        let setup = Shop.Setup(configureStore: { $0.busyTimeoutMilliseconds = 50 })
        try await withShop(setup) { shop in
            let users = try await shop.makeUsers(30)
            let coupon = try await shop.makeCampaign(quantity: 20)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            let foreign = try shop.foreignConnection()
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
            for user in users[1..<6] {
                let answer = try await shop.claim(coupon, by: user)
                guard case .later = answer else { throw NotDone(result: "\(answer) without a store") }
            }
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try foreign.close()
            // The five hold their places: who comes next is the seventh.
            #expect(try await shop.claim(coupon, by: users[6]) == .won(7))
            #expect(try await shop.claim(coupon, by: users[3]) == .won(4))
            try await shop.recovery.run(deep: false)
            #expect(try await shop.claim(coupon, by: users[1]) == .already(2))
            let rest = try await shop.claimTogether(coupon, by: Array(users[7...]))
            #expect(rest.values.count { if case .won = $0 { true } else { false } } == 13)
            #expect(try await shop.issued(coupon).count == 20)
            try await shop.expectAgreement(on: coupon)
        }
    }
}

extension Shop {
    var reader: PointReader { services.context(for: MultiThreadedEventLoopGroup.singleton.next()).reader }

    /// Lets the gate decide a claim of which the store never hears, as a crash between the two does.
    func grantOnly(_ coupon: CouponID, to user: UserID) async throws {
        let reply = try await redis.evaluate(
            Scripts.claimCoupon, keys: [.string(RedisKeys.coupon(coupon)), .string(RedisKeys.claims(of: coupon))],
            arguments: [.string(store.identity.description), .integer(user.rawValue)])
        #expect(reply.array?.first?.integer == ClaimCode.claimed.rawValue)
    }
}
