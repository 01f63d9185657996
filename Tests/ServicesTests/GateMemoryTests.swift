import Commerce
import GRDB
import NIOCore
import NIOPosix
import Store
import TestSupport
import Testing

@testable import Services

@Suite("What the gate said lately", .serialized)
struct GateMemoryTests {
    /// Longer than any test takes: whatever is seen before is seen in spite of it.
    private static let endless = Duration.seconds(3_600)

    private func withLease(_ lease: Duration, _ body: (Shop) async throws -> Void) async throws {
        try await withShop(Shop.Setup(configure: { $0.gateLease = lease }), body)
    }

    /// A campaign that is sold out and whose holders are known, so that claims are answered without the gate.
    private func soldOut(_ shop: Shop, quantity: Int64, _ users: [UserID]) async throws -> CouponID {
        let coupon = try await shop.makeCampaign(quantity: quantity)
        for user in users.prefix(Int(quantity)) { _ = try await shop.claim(coupon, by: user) }
        try await latch(shop, coupon, users[Int(quantity)])
        return coupon
    }

    private func latch(_ shop: Shop, _ coupon: CouponID, _ loser: UserID) async throws {
        try await eventually("claims no longer reach the gate") {
            guard try await shop.claim(coupon, by: loser) == .refused(.couponSoldOut) else { return false }
            let before = try shop.server.scriptCalls()
            return try await shop.claim(coupon, by: loser) == .refused(.couponSoldOut) && shop.server.scriptCalls() == before
        }
    }

    @Test("once sold out, those who have nothing are refused without the gate, and each who has a coupon is shown it")
    func answeredFromMemory() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(60)
            let coupon = try await soldOut(shop, quantity: 3, users)
            for user in users.prefix(3) { _ = try await shop.claim(coupon, by: user) }
            let before = try shop.server.scriptCalls()
            let late = try await shop.makeUsers(1)[0]
            for (index, user) in users.enumerated() {
                let answer = try await shop.claim(coupon, by: user)
                #expect(answer == (index < 3 ? .already(Int64(index + 1)) : .refused(.couponSoldOut)))
            }
            #expect(try await shop.claim(coupon, by: late) == .refused(.couponSoldOut))
            #expect(try await shop.claim(coupon, by: UserID(1_000)) == .refused(.userNotFound))
            #expect(try shop.server.scriptCalls() == before)
        }
    }

    @Test("who won and has no row yet is not told that nothing is left: the coupon is theirs")
    func lostAnswer() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await shop.makeCampaign(quantity: 2)
            for user in users.prefix(2) { try await shop.grantOnly(coupon, to: user) }
            try await latch(shop, coupon, users[2])
            #expect(try await shop.claim(coupon, by: users[1]) == .won(2))
            #expect(try await shop.claim(coupon, by: users[0]) == .won(1))
            #expect(try await shop.claim(coupon, by: users[3]) == .refused(.couponSoldOut))
            try await shop.expectAgreement(on: coupon)
        }
    }

    @Test("more coupons, another window and a rebuild of the gate reach the next claim at once")
    func reopened() async throws {
        try await withLease(Self.endless) { shop in
            let users = try await shop.makeUsers(6)
            let coupon = try await soldOut(shop, quantity: 1, users)
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 2), at: shop.clock.now).value
            #expect(try await shop.claim(coupon, by: users[1]) == .won(2))
            try await latch(shop, coupon, users[2])
            // The gate loses a place that the store never had: its unit is free again.
            _ = try await shop.campaigns.change(coupon, CampaignChange(quantity: 3), at: shop.clock.now).value
            try await shop.grantOnly(coupon, to: users[3])
            try await latch(shop, coupon, users[2])
            let epoch = try #require(try shop.reader.campaign(coupon)).epoch
            try await shop.campaigns.build(coupon, beyond: epoch, waits: true)
            #expect(try await shop.claim(coupon, by: users[4]) == .won(3))
            try await latch(shop, coupon, users[2])
            let past = try #require(shop.clock.now.advanced(byMilliseconds: -1_000))
            _ = try await shop.campaigns.change(coupon, CampaignChange(closesAt: past), at: shop.clock.now).value
            #expect(try await shop.claim(coupon, by: users[2]) == .refused(.couponClosed))
            #expect(try await shop.claim(coupon, by: users[0]) == .refused(.couponClosed))
        }
    }

    @Test("an answer that was under way while the campaign changed says nothing about the new one")
    func overtaken() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 1)
            let users = try await shop.makeUsers(2)
            let campaign = KnownCampaign(coupon, lease: .hours(1))
            let terms = try #require(try campaign.terms(from: shop.reader))
            guard case .unknown(let question) = campaign.recall(users[0], at: .now()) else {
                throw NotDone(result: "recalled")
            }
            campaign.forget()
            _ = try campaign.terms(from: shop.reader)
            #expect(campaign.noteSoldOut(question) == nil)
            campaign.noteOpen(question, epoch: terms.epoch)
            campaign.keep(UserSet(), of: question)
            guard case .unknown = campaign.recall(users[1], at: .now()) else { throw NotDone(result: "recalled") }
        }
    }

    @Test("a loop's copy refuses who has no coupon, and ends with a change of the campaign, with new holders and with half the lease")
    func loopsCopy() async throws {
        try await withShop { shop in
            let coupon = try await shop.makeCampaign(quantity: 1)
            let users = try await shop.makeUsers(2)
            let context = shop.services.context(for: MultiThreadedEventLoopGroup.singleton.next())
            @Sendable func soldOut(lease: TimeAmount) throws -> (KnownCampaign, SoldOutCampaigns) {
                let campaign = KnownCampaign(coupon, lease: lease)
                _ = try campaign.terms(from: context.reader)
                guard case .unknown(let question) = campaign.recall(users[0], at: .now()) else { throw NotDone(result: "recalled") }
                _ = campaign.noteSoldOut(question)
                var holders = UserSet()
                let isTaken = holders.insert(users[0])
                #expect(isTaken)
                campaign.keep(holders, of: question)
                let copies = SoldOutCampaigns(eventLoop: context.eventLoop)
                copies.copy(campaign, at: .now())
                return (campaign, copies)
            }
            try await context.eventLoop.submit {
                let (campaign, copies) = try soldOut(lease: .hours(1))
                #expect(copies.refuses(users[1], coupon))
                #expect(!copies.refuses(users[0], coupon), "who has a coupon is not told that it is sold out")
                #expect(!copies.refuses(users[1], CouponID(coupon.rawValue + 8)), "another campaign in the same slot")
                campaign.forget()
                #expect(!copies.refuses(users[1], coupon), "after a change")
                let (other, copiesOfOther) = try soldOut(lease: .hours(1))
                other.dropHolders()
                #expect(!copiesOfOther.refuses(users[1], coupon), "after the holders are dropped")
                let (_, late) = try soldOut(lease: .nanoseconds(2))
                #expect(!late.refuses(users[1], coupon), "after half the lease")
            }.get()
        }
    }

    @Test("what another process does to the gate is seen when the lease ends, and a dead Redis is noticed")
    func otherProcess() async throws {
        try await withLease(.milliseconds(100)) { shop in
            let users = try await shop.makeUsers(4)
            let coupon = try await soldOut(shop, quantity: 1, users)
            // Another service on the same gate raises the quantity there.
            _ = try await shop.store.updateCampaign(coupon, CampaignChange(quantity: 2)).value
            _ = try await CouponGate.adjust(coupon, to: try #require(try shop.reader.campaign(coupon)).terms, through: shop.redis)
            try await eventually("somebody wins") { try await shop.claim(coupon, by: users[1]) == .won(2) }
            try await latch(shop, coupon, users[2])
            shop.server.kill()
            try await eventually("nobody is refused in the name of a gate that is gone") {
                if case .later = try await shop.claim(coupon, by: users[2]) { true } else { false }
            }
            try shop.server.start()
        }
    }

    @Test("a coupon that was held or given back is shown as it is now")
    func usedMeanwhile() async throws {
        try await withLease(Self.endless) { shop in
            let user = try await shop.makeUsers(2, balance: 100_000)[0]
            let product = try await shop.makeProduct(price: 10_000)
            let coupon = try await shop.makeCampaign(quantity: 5)
            #expect(try await shop.claim(coupon, by: user) == .won(1))
            _ = try await shop.claim(coupon, by: user)
            #expect(try await shop.state(of: coupon, for: user) == .issued)
            let issued = try #require(try shop.reader.issuedCoupon(of: coupon, userID: user))
            let order = try await shop.store.placeOrder(
                userID: user, items: [RequestedItem(productID: product, quantity: 1)], issuedCouponID: issued.id, at: shop.clock.now
            ).value
            #expect(try await shop.state(of: coupon, for: user) == .held)
            _ = try await shop.store.cancelOrder(order.id, by: user, at: shop.clock.now).value
            #expect(try await shop.state(of: coupon, for: user) == .issued)
        }
    }
}

extension Shop {
    /// What a claim is told of the coupon that the user has already.
    fileprivate func state(of coupon: CouponID, for user: UserID) async throws -> IssuedCoupon.State {
        let context = services.context(for: MultiThreadedEventLoopGroup.singleton.next())
        let asked = await withCheckedContinuation { (continuation: CheckedContinuation<Claims.Asked, Never>) in
            context.eventLoop.execute { [services] in
                switch services.claims.recall(coupon, by: user, on: context) {
                case .soldOut: continuation.resume(returning: .refused(.couponSoldOut))
                case .userNotFound: continuation.resume(returning: .refused(.userNotFound))
                case .alreadyClaimed(let known): continuation.resume(returning: .refused(.couponAlreadyClaimed(known.issued)))
                case .unknown(let question): services.claims.ask(question, on: context) { continuation.resume(returning: $0) }
                }
            }
        }
        guard case .refused(.couponAlreadyClaimed(let issued)) = asked else { throw NotDone(result: "\(asked)") }
        return issued.state
    }
}

@Suite("The parts of what the gate said")
struct LeaseTests {
    @Test("a lease holds for its length; in its second half one caller renews it")
    func lease() {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var lease = GateMemory.Lease(.milliseconds(100))
        func holds(after milliseconds: Int64) -> Bool { lease.holds(at: start + .milliseconds(milliseconds)) }
        #expect(!holds(after: 0))
        lease.renew(askedAt: start)
        #expect(holds(after: 0))
        #expect(holds(after: 50))
        #expect(!holds(after: 51))
        #expect(holds(after: 99))
        #expect(!holds(after: 100))
        lease.renew(askedAt: start + .milliseconds(51))
        #expect(holds(after: 100))
        // An answer that was asked for earlier and comes later shortens nothing.
        lease.renew(askedAt: start)
        #expect(!holds(after: 102))
        #expect(holds(after: 103))
    }

    @Test("holders are asked for once as many were turned away as a fiftieth of them, and not twice at once")
    func worth() {
        var gate = GateMemory(lease: .milliseconds(100))
        let asked = (1...100).filter { _ in gate.wantsHolders(ofQuantity: 1_000) }
        #expect(asked == [20])
        var huge = GateMemory(lease: .milliseconds(100))
        let askedOfHuge = (1...1_000).filter { _ in huge.wantsHolders(ofQuantity: GateMemory.maximumHolders + 1) }
        #expect(askedOfHuge.isEmpty)
    }

    @Test("a set of users holds what was put in, counts it once, and takes no id that it has no room for")
    func users() {
        var random = Seeded(seed: 7)
        var (set, model) = (UserSet(), Set<Int64>())
        for _ in 0..<20_000 {
            let id = Int64.random(in: 0..<100_000, using: &random)
            let isTaken = set.insert(UserID(id))
            #expect(isTaken)
            model.insert(id)
        }
        #expect(set.count == Int64(model.count))
        #expect((0..<100_100).allSatisfy { set.contains(UserID($0)) == model.contains($0) })
        for id in [-1, UserSet.limit, .max] {
            let isTaken = set.insert(UserID(id))
            #expect(!isTaken)
        }
        #expect(!set.contains(UserID(-1)) && !set.contains(UserID(.max)) && !set.contains(UserID(.min)))
    }
}
