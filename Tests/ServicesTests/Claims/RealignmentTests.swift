import Commerce
import GRDB
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("Gates are given the store's terms in turn with the changes", .serialized)
struct RealignmentTests {
    @Test(
        "while fewer coupons are agreed on, claims that see gate and store differ wait for how it ends, and undo nothing",
        arguments: [true, false])
    func loweringInProgress(succeeds: Bool) async throws {
        try await withShop(Shop.Setup(configureStore: { $0.busyTimeoutMilliseconds = succeeds ? 20_000 : 1_000 })) { shop in
            let users = try await shop.makeUsers(15)
            let coupon = try await shop.makeCampaign(quantity: 20)
            _ = try await shop.claimTogether(coupon, by: Array(users[..<5]))
            let epoch = try #require(try shop.reader.campaign(coupon)).epoch
            let foreign = try shop.foreignConnection()
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
            let change = Task { try await shop.campaigns.change(coupon, CampaignChange(quantity: 5)).value }
            try await eventually("the gate has agreed") { try await shop.gate(of: coupon)?.quantity == 5 }
            let (asked, scripts) = (shop.claimsAsked, try shop.server.scriptCalls())
            async let answers = shop.claimTogether(coupon, by: Array(users[5...]))
            try await eventually("all ten have asked the gate") { shop.claimsAsked >= asked + 10 }
            try await eventually("the gate has answered") { try shop.server.scriptCalls() > scripts }
            if !succeeds { _ = await change.result }
            try await foreign.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try foreign.close()
            let came = try await answers.values
            if succeeds {
                #expect(try await change.value.terms.quantity == 5)
                #expect(came.allSatisfy { $0 == .refused(.couponSoldOut) })
                // Nobody got a place in between, so nothing had to be taken back.
                #expect(try #require(try shop.reader.campaign(coupon)).epoch == epoch)
            } else {
                await #expect(throws: StoreError.self) { _ = try await change.value }
                #expect(came.compactMap { if case .won(let place) = $0 { place } else { nil } }.sorted() == Array(6...Int64(15)))
            }
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("recovery that read a campaign before it was changed leaves the gate as the change has set it", arguments: [5, 20] as [Int64])
    func staleRecovery(quantity: Int64) async throws {
        try await withTemporaryRedis { server in
            let proxy = try await FaultProxy(to: server.socketPath, in: server.directory)
            try await withShop(on: server) { shop in
                let coupon = try await shop.makeCampaign(quantity: 10)
                let slow = RedisClient(
                    configuration: RedisConfiguration(endpoint: .unix(path: proxy.socketPath), scripts: Scripts.all),
                    eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Shop.logger)
                slow.start()
                try await eventually("connected") { slow.isConnected }
                let recovery = ClaimRecovery(
                    store: shop.store, redis: slow, campaigns: shop.campaigns, clock: shop.services.configuration.clock,
                    archiveAfter: shop.services.configuration.archiveAfter, logger: Shop.logger)
                proxy.hold()
                async let recovered: Void = recovery.run(deep: true)
                // The store has been read, and the gate is being asked.
                try await eventually("the gate is asked") { proxy.holdsRequests }
                _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: quantity)).value
                proxy.release()
                try await recovered
                #expect(try await shop.gate(of: coupon)?.quantity == quantity)
                try await shop.expectAgreement(on: coupon)
                await slow.close()
            }
            try await proxy.close()
        }
    }

    @Test("a quantity can be lowered although an older gate came back that has granted more")
    func lowerOnOlderGate() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(8)
            let coupon = try await shop.makeCampaign(quantity: 10)
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            for user in users[1...5] { try await shop.grantOnly(coupon, to: user) }
            _ = try shop.server.cli("SAVE")
            _ = try shop.server.cli("FLUSHALL")
            #expect(try await shop.claimPatiently(coupon, by: users[6]) == .won(2))
            try await shop.crash()
            #expect(try await shop.gate(of: coupon)?.claims == 6)
            #expect(try await shop.campaigns.change(coupon, CampaignChange(quantity: 3)).value.terms.quantity == 3)
            #expect(try await shop.claim(coupon, by: users[7]) == .won(3))
            #expect(try await shop.claim(coupon, by: users[1]) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test(
        "changes up and down beside a crowd whose gate keeps going back: every change is true when it is answered, and nobody loses a place"
    )
    func underLoad() async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(600)
            let coupon = try await shop.makeCampaign(quantity: 400)
            let isOver = Flag()
            let goingBack = Task {
                while !isOver.isUp { try await shop.fallBackToSoldOut(coupon) }
            }
            let changing = Task {
                var (round, lowered, refused): (Int64, Int, Int) = (0, 0, 0)
                while !isOver.isUp {
                    round += 1
                    let issued = try #require(try shop.reader.campaign(coupon)).issued
                    let asked = round.isMultiple(of: 2) ? min(399, issued + 3) : 400 + round
                    do {
                        switch try await shop.campaigns.change(coupon, CampaignChange(quantity: asked)) {
                        case .done(let campaign):
                            #expect(campaign.terms.quantity == asked && campaign.issued <= asked)
                            let now = try #require(try shop.reader.campaign(coupon))
                            #expect(now.terms.quantity == asked && now.issued <= asked)
                            if round.isMultiple(of: 2) { lowered += 1 }
                        case .refused(.quantityIssued(let granted)):
                            #expect(granted > asked)
                            refused += 1
                        case .refused(let refusal): throw NotDone(result: "\(refusal)")
                        }
                    } catch let error as ServiceError where error.code == .paused {}
                }
                return (lowered, refused)
            }
            var places: [UserID: Int64] = [:]
            for start in stride(from: 0, to: 600, by: 60) {
                for (user, answer) in try await shop.claimTogether(coupon, by: Array(users[start..<start + 60])) {
                    if case .won(let place) = answer { places[user] = place }
                }
                let campaign = try #require(try shop.reader.campaign(coupon))
                #expect(campaign.issued <= campaign.terms.quantity)
            }
            isOver.raise()
            try await goingBack.value
            let (lowered, refused) = try await changing.value
            #expect(lowered > 0, "\(refused) refused")
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 600)).value
            for user in users where places[user] == nil {
                if case .won(let place) = try await shop.claimPatiently(coupon, by: user) { places[user] = place }
            }
            let issued = try await shop.issued(coupon)
            #expect(places.count == 600 && issued.count == 600)
            for (user, place) in places { #expect(issued[place] == user) }
            try await shop.expectAgreement(on: coupon)
        }
    }
}

extension Shop {
    /// Redis is killed and comes back with what it saved last, if it saved anything.
    func crash() async throws {
        server.kill()
        try await eventually("Redis is away") { redis.isAway }
        try server.start()
        try await eventually("Redis is back") { redis.isConnected }
    }

    /// The gate as it was before a raise: all that was there is given away.
    fileprivate func fallBackToSoldOut(_ coupon: CouponID) async throws {
        let script = """
            if redis.call('HGET', KEYS[1], 'state') == 'open' then
              redis.call('HSET', KEYS[1], 'quantity', redis.call('ZCARD', KEYS[2]), 'remaining', '0')
            end
            """
        let words: [RedisArgument] = ["EVAL", .string(script), 2] + CouponGate.keys(coupon)
        _ = try await redis.send(RedisCommand(words: words))
        try await Task.sleep(for: .milliseconds(5))
    }
}
