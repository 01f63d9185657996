import Commerce
import NIOCore
import NIOPosix
import Redis
import Store
import TestSupport
import Testing

@testable import Services

/// Runs `body` with a shop on a cluster. Both end when `body` does, however it does.
func withClusterShop(
    _ setup: Shop.Setup = Shop.Setup(), replicasEach: Int = 1, arguments: [String] = [], behindProxies: Bool = false,
    isolation: isolated (any Actor)? = #isolation, _ body: (Shop, TemporaryRedisCluster) async throws -> Void
) async throws {
    try await withTemporaryRedisCluster(replicasEach: replicasEach, arguments: arguments, behindProxies: behindProxies) { cluster in
        var setup = setup
        setup.endpoint = try RedisEndpoint(url: cluster.url)
        try await withShop(setup, on: cluster.nodes[0].server) { try await body($0, cluster) }
    }
}

extension TemporaryRedisCluster {
    /// The node that decides the campaign's claims.
    func primary(of coupon: CouponID) throws -> Node { try primary(of: RedisKeys.coupon(coupon)) }

    /// The node with the ranking and the name of the store.
    func primaryOfSales() throws -> Node { try primary(of: RedisKeys.store) }
}

/// What everybody's claims came to, by campaign.
typealias ClaimAnswers = [CouponID: [UserID: ClaimAnswer]]

extension Shop {
    /// Settings with which recovery looks often, and waits less for the requests whose claims it finds.
    static var eager: Setup { Setup(commandDeadline: .seconds(10), configure: { $0.recoveryInterval = .milliseconds(200) }) }

    /// Campaigns of that quantity, of which each primary has some.
    func makeCampaigns(on cluster: TemporaryRedisCluster, count: Int = 12, quantity: Int64) async throws -> [CouponID] {
        var coupons: [CouponID] = []
        for _ in 0..<count { coupons.append(try await makeCampaign(quantity: quantity)) }
        let primaries = Set(try coupons.map { try cluster.primary(of: $0).index })
        try #require(primaries.count == 3, "the campaigns lie on \(primaries.count) primaries")
        return coupons
    }

    func untilReady() async throws { try await eventually("ready") { await services.readiness().isReady } }

    /// Everybody claims each of the coupons, as long as they are told to come back.
    func claimEverywhere(_ coupons: [CouponID], by users: [UserID]) async throws -> ClaimAnswers {
        try await withThrowingTaskGroup { group in
            for coupon in coupons { group.addTask { (coupon, try await self.claimTogether(coupon, by: users)) } }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    /// Every answer is true in the store, no place was given twice, and gate and store agree.
    func expectSound(_ answers: ClaimAnswers, quantity: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for (coupon, ofUsers) in answers {
            let issued = try await issued(coupon)
            #expect(issued.count <= quantity && Set(issued.values).count == issued.count, "\(coupon)", sourceLocation: sourceLocation)
            for (user, answer) in ofUsers {
                switch answer {
                case .won(let place), .already(let place):
                    #expect(issued[place] == user, "\(coupon), \(user): \(answer)", sourceLocation: sourceLocation)
                case .refused(.couponSoldOut): #expect(!issued.values.contains(user), sourceLocation: sourceLocation)
                case .refused, .later, .replayed:
                    Issue.record("\(coupon), \(user): \(answer)", sourceLocation: sourceLocation)
                }
            }
            try await expectAgreement(on: coupon, sourceLocation: sourceLocation)
        }
    }

    /// Sold out exactly, besides what ``expectSound(_:quantity:)`` says.
    func expectSoldOut(_ answers: ClaimAnswers, quantity: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await expectSound(answers, quantity: quantity, sourceLocation: sourceLocation)
        for coupon in answers.keys { #expect(try await issued(coupon).count == quantity, sourceLocation: sourceLocation) }
    }

    var epochs: [CouponID: Int64] {
        get async throws {
            let live = try await store.snapshot { snapshot throws(StoreError) in try snapshot.liveCampaigns() }
            return Dictionary(uniqueKeysWithValues: live.map { ($0.id, $0.epoch) })
        }
    }
}
