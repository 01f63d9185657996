import Commerce
import Redis
import Store
import Synchronization
import TestSupport
import Testing

@testable import Services

@Suite("Several services on one Redis and one store", .serialized)
struct SeveralServicesTests {
    @Test("a service that remembers an older epoch than the gate's reads the store and leaves the gate as it is")
    func olderView() async throws {
        try await withShop { shop in
            try await shop.withPeers(3) { peers in
                let users = try await shop.makeUsers(4)
                let coupon = try await shop.makeCampaign(quantity: 1)
                #expect(try await peers[0].claimPatiently(coupon, by: users[0]) == .won(1))
                // Every service remembers the campaign as it is now.
                for peer in peers { #expect(try await peer.claimPatiently(coupon, by: users[1]) == .refused(.couponSoldOut)) }
                let before = try #require(try shop.epoch(of: coupon))
                try await peers[0].campaigns.build(coupon, beyond: before, waits: true)
                #expect(try shop.epoch(of: coupon) == before + 1)
                for round in 0..<12 {
                    let answer = try await peers[(round + 1) % 3].claimPatiently(coupon, by: users[2])
                    #expect(answer == .refused(.couponSoldOut))
                }
                let after = try #require(try shop.epoch(of: coupon))
                #expect(after == before + 1, "\(after - before) epochs")
                try await shop.expectAgreement(on: coupon)
            }
        }
    }

    @Test("FLUSHALL under the load of three services: at most three epochs, nobody loses a place, and no place is given twice")
    func flushUnderLoad() async throws {
        try await withShop { shop in
            try await shop.withPeers(3) { peers in
                let users = try await shop.makeUsers(1_500)
                let coupon = try await shop.makeCampaign(quantity: 1)
                #expect(try await peers[0].claimPatiently(coupon, by: users[0]) == .won(1))
                // Every service remembers the campaign as it is before the loss.
                for peer in peers { #expect(try await peer.claimPatiently(coupon, by: users[1]) == .refused(.couponSoldOut)) }
                _ = try await peers[0].campaigns.change(coupon, CampaignChange(quantity: 1_000)).value
                let before = try #require(try shop.epoch(of: coupon))
                let won = Count()
                let places = try await withThrowingTaskGroup { group in
                    // 30 people at a time, and the next one when one has an answer.
                    for worker in 0..<30 {
                        group.addTask {
                            var places: [UserID: Int64] = [:]
                            for index in stride(from: worker, to: users.count, by: 30) {
                                let answer = try await peers[index % 3].claimPatiently(coupon, by: users[index])
                                guard case .won(let place) = answer else { continue }
                                places[users[index]] = place
                                // In the middle of the sale.
                                if won.increment() == 400 { _ = try await shop.redis.send(RedisCommand("FLUSHALL", isRepeatable: true)) }
                            }
                            return places
                        }
                    }
                    return try await group.reduce(into: [UserID: Int64]()) { $0.merge($1) { first, _ in first } }
                }
                let after = try #require(try shop.epoch(of: coupon))
                #expect(after > before && after <= before + 3, "\(before) to \(after)")
                let issued = try await shop.issued(coupon)
                #expect(issued.count == 1_000)
                #expect(Set(places.values).count == places.count)
                for (user, place) in places { #expect(issued[place] == user) }
                try await shop.expectAgreement(on: coupon)
                // The gate is everybody's: no service sees a reason to build it again.
                for peer in peers {
                    #expect(try await peer.claimPatiently(coupon, by: users[0]) == .already(1))
                }
                #expect(try shop.epoch(of: coupon) == after)
            }
        }
    }

    @Test("a build that another service has under way is left alone, by claims and by recovery, and is taken over after 2 s of silence")
    func buildsOfOthers() async throws {
        try await withShop { shop in
            try await shop.withPeers(2) { peers in
                let users = try await shop.makeUsers(40)
                let coupon = try await shop.makeCampaign(quantity: 30)
                _ = try await shop.claimTogether(coupon, by: Array(users[..<10]))
                let before = try #require(try shop.reader.campaign(coupon))
                // A builder of which these services know nothing: it has paused the gate and raised the epoch.
                let epoch = before.epoch + 1
                let built = Campaign(id: coupon, terms: before.terms, issued: before.issued, createdAt: before.createdAt, epoch: epoch)
                #expect(try await CouponGate.load(built, of: shop.store.identity, through: shop.redis))
                _ = try await shop.store.bumpEpoch(of: coupon, to: epoch).value
                let isOver = Flag()
                let building = Task {
                    var longest: Duration = .zero
                    while !isOver.isUp {
                        let begin = ContinuousClock.now
                        _ = try await CouponGate.load([(users[0], 1)], into: coupon, epoch: epoch, through: shop.redis)
                        longest = max(longest, ContinuousClock.now - begin)
                        try await Task.sleep(for: .milliseconds(5))
                        longest = max(longest, ContinuousClock.now - begin)
                    }
                    return longest
                }
                let begin = ContinuousClock.now
                var refused = 0
                // Longer than the silence after which a build counts as abandoned.
                while ContinuousClock.now - begin < .milliseconds(2_500) {
                    for peer in peers {
                        guard case .later = try await peer.claim(coupon, by: users[20]) else { throw NotDone(result: "the gate is open") }
                        refused += 1
                    }
                    let recovery = shop.recovery
                    try await recovery.run(deep: true)
                    #expect(recovery.unloadedCampaigns == [coupon])
                }
                isOver.raise()
                let longest = try await building.value
                let during = try #require(try shop.epoch(of: coupon))
                // Only a machine on which the builder itself was silent for so long would be an excuse.
                #expect(during == epoch || longest >= CouponGate.takeoverSilence, "\(during) after \(refused) claims")

                let last = try await shop.builtAt(coupon)
                #expect(try await peers[1].claimPatiently(coupon, by: users[20]) == .won(11))
                #expect(try await shop.builtAt(coupon) >= last + CouponGate.takeoverMilliseconds)
                #expect(try shop.epoch(of: coupon) == during + 1)
                for user in users[..<10] {
                    guard case .already = try await peers[0].claimPatiently(coupon, by: user) else { throw NotDone(result: "\(user) lost") }
                }
                try await shop.expectAgreement(on: coupon)
            }
        }
    }

    @Test("three services that find the gate gone at the same moment build it once")
    func oneBuilder() async throws {
        try await withShop { shop in
            try await shop.withPeers(3) { peers in
                let coupon = try await shop.makeCampaign(quantity: 5)
                for round in 1...Int64(10) {
                    _ = try await shop.redis.send(RedisCommand("FLUSHALL"))
                    let before = try #require(try shop.epoch(of: coupon))
                    await withTaskGroup { group in
                        for peer in peers {
                            group.addTask { _ = try? await peer.campaigns.build(coupon, beyond: nil, waits: true) }
                        }
                    }
                    #expect(try shop.epoch(of: coupon) == before + 1, "round \(round)")
                    try await shop.expectAgreement(on: coupon)
                }
            }
        }
    }

    @Test("a win that the store refuses in the gate's own epoch is a contradiction, and the gate is built again")
    func contradiction() async throws {
        try await withShop { shop in
            try await shop.withPeers(2) { peers in
                let users = try await shop.makeUsers(3)
                let coupon = try await shop.makeCampaign(quantity: 5)
                #expect(try await peers[0].claim(coupon, by: users[0]) == .won(1))
                let before = try #require(try shop.epoch(of: coupon))
                // The gate has forgotten a claim and everything agrees with it: only the store knows that the sequence is taken.
                _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "\(users[0])")
                _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "sequence", "0", "remaining", "5")
                #expect(try await peers[1].claimPatiently(coupon, by: users[1]) == .won(2))
                #expect(try shop.epoch(of: coupon) == before + 1)
                #expect(try await peers[0].claimPatiently(coupon, by: users[0]) == .already(1))
                try await shop.expectAgreement(on: coupon)
            }
        }
    }
}

@Suite("The builds of a service")
struct RecentBuildsTests {
    @Test("builds of a campaign begin 200 ms apart, those of others at once")
    func interval() {
        var builds = RecentBuilds()
        let start = ContinuousClock.now
        #expect(builds.pause(before: CouponID(1), at: start) == nil)
        builds.begin(CouponID(1), at: start)
        #expect(builds.pause(before: CouponID(1), at: start + .milliseconds(150)) == .milliseconds(50))
        #expect(builds.pause(before: CouponID(1), at: start + .milliseconds(200)) == nil)
        #expect(builds.pause(before: CouponID(2), at: start) == nil)
    }

    @Test("a gate is this service's own where its build has paused it, and only in that epoch")
    func own() {
        var builds = RecentBuilds()
        builds.begin(CouponID(1), at: .now)
        #expect(!builds.hasLeft(epoch: nil, of: CouponID(1)))
        builds.hasPaused(CouponID(1), epoch: 4)
        #expect(builds.hasLeft(epoch: 4, of: CouponID(1)))
        #expect(!builds.hasLeft(epoch: 5, of: CouponID(1)) && !builds.hasLeft(epoch: 4, of: CouponID(2)))
    }

    @Test("of 100,000 campaigns that are built one after the other the table keeps those of the last 2 s, and those under way")
    func bounded() {
        var builds = RecentBuilds()
        var now = ContinuousClock.now
        builds.begin(CouponID(0), at: now)
        for id in 1...Int64(100_000) {
            now += .milliseconds(10)
            builds.begin(CouponID(id), at: now)
            builds.hasPaused(CouponID(id), epoch: 1)
            builds.end(CouponID(id), at: now)
        }
        builds.hasPaused(CouponID(0), epoch: 7)
        // 200 builds in 2 s.
        #expect(builds.count <= 500)
        #expect(builds.hasLeft(epoch: 7, of: CouponID(0)) && builds.hasLeft(epoch: 1, of: CouponID(100_000)))
    }
}

extension Shop {
    /// When a build last wrote to the gate, in ms by Redis' clock.
    fileprivate func builtAt(_ coupon: CouponID) async throws -> Int64 {
        try #require(try await redis.send(RedisCommand("HGET", .string(RedisKeys.coupon(coupon)), "builtAt")).integer)
    }
}

/// A number that many tasks raise.
final class Count: Sendable {
    private let state = Mutex(0)

    func increment() -> Int {
        state.withLock { count in
            count += 1
            return count
        }
    }
}
