import Commerce
import Redis
import Store
import TestSupport
import Testing

@testable import Services

@Suite("The audit of Redis", .serialized)
struct AuditTests {
    /// A way to damage what Redis holds, and the one check of the Redis side that must notice it.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// A part of the claim of each check that fires.
        let fires: [String]
        let happen: @Sendable (Shop, CouponID) throws -> Void
    }

    private static let gates = "every gate in Redis"
    private static let claims = "the claims in Redis"
    private static let scores = "the day scores in Redis"

    private static let damages: [Damage] = [
        Damage(testDescription: "nothing", fires: []) { _, _ in },
        Damage(testDescription: "a member is missing", fires: [gates, claims]) { shop, coupon in
            _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "2")
        },
        Damage(testDescription: "a member is missing and its place is free again", fires: [claims]) { shop, coupon in
            _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "2")
            _ = try shop.server.cli("HINCRBY", RedisKeys.coupon(coupon), "remaining", "1")
        },
        Damage(testDescription: "a member too many", fires: [gates, claims]) { shop, coupon in
            _ = try shop.server.cli("ZADD", RedisKeys.claims(of: coupon), "9", "8")
        },
        Damage(testDescription: "a place is somebody else's", fires: [claims]) { shop, coupon in
            _ = try shop.server.cli("ZREM", RedisKeys.claims(of: coupon), "2")
            _ = try shop.server.cli("ZADD", RedisKeys.claims(of: coupon), "2", "8")
        },
        Damage(testDescription: "two swapped places", fires: [claims]) { shop, coupon in
            _ = try shop.server.cli("ZADD", RedisKeys.claims(of: coupon), "1", "2", "2", "1")
        },
        Damage(testDescription: "one remaining too many", fires: [gates]) { shop, coupon in
            _ = try shop.server.cli("HINCRBY", RedisKeys.coupon(coupon), "remaining", "1")
        },
        Damage(testDescription: "another quantity, consistent in itself", fires: [gates]) { shop, coupon in
            _ = try shop.server.cli("HINCRBY", RedisKeys.coupon(coupon), "quantity", "1")
            _ = try shop.server.cli("HINCRBY", RedisKeys.coupon(coupon), "remaining", "1")
        },
        Damage(testDescription: "another window", fires: [gates]) { shop, coupon in
            _ = try shop.server.cli("HINCRBY", RedisKeys.coupon(coupon), "opensAt", "1")
        },
        Damage(testDescription: "a gate that stays paused", fires: [gates]) { shop, coupon in
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "state", "paused")
        },
        Damage(testDescription: "a score off by one", fires: [scores]) { shop, _ in
            _ = try shop.server.cli("ZINCRBY", RedisKeys.sales(on: shop.day(ago: 1)), "1", "1")
        },
        Damage(testDescription: "a product too many in a day", fires: [scores]) { shop, _ in
            _ = try shop.server.cli("ZADD", RedisKeys.sales(on: shop.day(ago: 0)), "3", "77")
        },
        Damage(testDescription: "a product missing from a day", fires: [scores]) { shop, _ in
            _ = try shop.server.cli("ZREM", RedisKeys.sales(on: shop.day(ago: 2)), "2")
        },
        Damage(testDescription: "a day missing", fires: [scores]) { shop, _ in
            _ = try shop.server.cli("DEL", RedisKeys.sales(on: shop.day(ago: 0)))
        },
        Damage(testDescription: "a mark behind the scores", fires: [scores]) { shop, _ in
            _ = try shop.server.cli("DECR", RedisKeys.applied)
        },
        Damage(testDescription: "a mark ahead of the store", fires: [scores]) { shop, _ in
            _ = try shop.server.cli("INCR", RedisKeys.applied)
        },
    ]

    @Test("each damage fires its own checks of the Redis side and no other", arguments: damages)
    func damage(damage: Damage) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(8, balance: 100_000)
            let coupon = try await shop.makeCampaign(quantity: 20)
            for user in users.prefix(5) { _ = try await shop.claim(coupon, by: user) }
            let products = [try await shop.makeProduct(price: 1), try await shop.makeProduct(price: 1)]
            for ago in 0..<Int64(3) {
                _ = try await shop.sell([(products[0], 2), (products[1], ago + 1)], to: users[0], on: shop.day(ago: ago))
            }
            try await shop.makeRelay().step()
            try damage.happen(shop, coupon)
            // Nothing is on its way here, so that looking again soon is enough.
            var audit = shop.audit
            audit.pause = .milliseconds(5)
            let report = try await audit.run()
            let fired = report.checks.filter { $0.violationCount > 0 }
            #expect(fired.count == damage.fires.count, "\(fired.map(\.claim))")
            for claim in damage.fires { #expect(fired.contains { $0.claim.hasPrefix(claim) }, "\(fired.map(\.claim))") }
            #expect(report.isClean == damage.fires.isEmpty)
            for claim in [Self.gates, Self.claims, Self.scores] {
                let check = try #require(report.checks.first { $0.claim.hasPrefix(claim) })
                #expect(check.rowsChecked > 0)
                #expect(check.violations.count == min(100, Int(check.violationCount)))
            }
            #expect(Set(report.checks.map(\.invariant)).isSuperset(of: [1, 3, 4, 5, 6, 7, 8]))
        }
    }

    /// A way to lose what Redis should hold, and the verdicts of the checks that must notice it.
    struct Loss: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let verdicts: [String: AuditReport.Verdict]
        let happen: @Sendable (Shop, CouponID) throws -> Void
    }

    private static let owner = "Redis serves this store"

    private static let losses: [Loss] = [
        Loss(testDescription: "an empty Redis", verdicts: [gates: .missing, claims: .missing, scores: .missing, owner: .missing]) {
            shop, _ in
            _ = try shop.server.cli("FLUSHALL")
        },
        Loss(testDescription: "no gate", verdicts: [gates: .missing, claims: .missing]) { shop, coupon in
            _ = try shop.server.cli("DEL", RedisKeys.coupon(coupon), RedisKeys.claims(of: coupon))
        },
        Loss(testDescription: "no offset", verdicts: [scores: .missing]) { shop, _ in _ = try shop.server.cli("DEL", RedisKeys.applied) },
        Loss(testDescription: "no name", verdicts: [owner: .missing]) { shop, _ in _ = try shop.server.cli("DEL", RedisKeys.store) },
        Loss(testDescription: "the name of another store", verdicts: [owner: .broken]) { shop, _ in
            _ = try shop.server.cli("SET", RedisKeys.store, "0123456789abcdef:1795300182372")
        },
        Loss(testDescription: "a gate of another store", verdicts: [gates: .broken]) { shop, coupon in
            _ = try shop.server.cli("HSET", RedisKeys.coupon(coupon), "store", "0123456789abcdef:1795300182372")
        },
        Loss(testDescription: "a gate of an earlier version", verdicts: [:]) { shop, coupon in
            _ = try shop.server.cli("HDEL", RedisKeys.coupon(coupon), "store")
        },
    ]

    @Test("a check that finds nothing where the store has rows is missing, and the audit is not clean", arguments: losses)
    func loss(loss: Loss) async throws {
        try await withShop { shop in
            let users = try await shop.makeUsers(3, balance: 100_000)
            let coupon = try await shop.makeCampaign(quantity: 20)
            let ended = try await shop.makeCampaign(quantity: 20, closesIn: -1)
            _ = try shop.server.cli("DEL", RedisKeys.coupon(ended), RedisKeys.claims(of: ended))
            for user in users { _ = try await shop.claim(coupon, by: user) }
            let product = try await shop.makeProduct(price: 1)
            _ = try await shop.sell([(product, 2)], to: users[0], on: shop.day(ago: 0))
            try await shop.makeRelay().step()
            try loss.happen(shop, coupon)
            var audit = shop.audit
            audit.pause = .milliseconds(5)
            let report = try await audit.run()
            #expect(report.isClean == loss.verdicts.isEmpty)
            for claim in [Self.gates, Self.claims, Self.scores, Self.owner] {
                let check = try #require(report.checks.first { $0.claim.hasPrefix(claim) })
                #expect(check.verdict == loss.verdicts[claim] ?? .holds, "\(check)")
            }
        }
    }

    @Test("a store that has nothing to count and no campaign needs nothing in Redis")
    func emptyStore() async throws {
        try await withShop { shop in
            _ = try await shop.makeUsers(3)
            _ = try shop.server.cli("FLUSHALL")
            var audit = shop.audit
            audit.pause = .milliseconds(5)
            let report = try await audit.run()
            #expect(report.isClean && report.checks.filter { [3, 7].contains($0.invariant) }.allSatisfy { $0.verdict == .noRows })
        }
    }

    @Test("a service at work is no violation: an audit beside claims and payments is clean")
    func besideWork() async throws {
        try await withShop(Shop.Setup(configure: { $0.recoveryInterval = .milliseconds(500) })) { shop in
            let users = try await shop.makeUsers(2_000, balance: 10_000)
            let coupon = try await shop.makeCampaign(quantity: 5_000)
            let products = [try await shop.makeProduct(price: 1), try await shop.makeProduct(price: 1)]
            try await shop.start()
            let isAudited = Flag()
            let working = Task {
                var next = users[...]
                let clock = ContinuousClock()
                var due = clock.now
                while !isAudited.isUp, !next.isEmpty {
                    // Ten claims and a payment every 20 ms: 500 claims a second.
                    due += .milliseconds(20)
                    let batch = Array(next.prefix(10))
                    next = next.dropFirst(10)
                    _ = try await shop.claimTogether(coupon, by: batch)
                    _ = try await shop.sell([(products[next.count % 2], 1)], to: batch[0], on: shop.day(ago: Int64(next.count % 3)))
                    try await clock.sleep(until: due)
                }
                return users.count - next.count
            }
            try await eventually("the work has begun") { try await shop.issued(coupon).count > 20 }
            for _ in 0..<2 {
                let report = try await shop.audit.run()
                #expect(report.isClean, "\(report.checks.filter { $0.violationCount > 0 })")
            }
            isAudited.raise()
            let claimed = try await working.value
            #expect(try await shop.issued(coupon).count == claimed)
            try await shop.expectAgreement(on: coupon)
        }
    }
}

extension Shop {
    var audit: Audit { Audit(store: store, redis: redis, calendar: calendar, clock: services.configuration.clock) }
}
